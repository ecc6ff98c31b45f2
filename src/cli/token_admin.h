/* SPDX-License-Identifier: Apache-2.0 */
/* `hsmint-token admin` as commands start it: what changes a token is done by the program that speaks PKCS#11. */
#ifndef HSMINT_TOKEN_ADMIN_H
#define HSMINT_TOKEN_ADMIN_H

#include "result.h"
#include "token_protocol.h"

struct token_admin; /* opaque; holds the start lock of the state directory while it is open */

/* Start it for the token and the keys of `config`. NULL: it could not be, or has no memory. */
struct token_admin *token_admin_open(const struct token_config *config, struct hm_problem *why) HM_MUST_USE;
void token_admin_close(struct token_admin *admin); /* NULL is fine */

/* Initialise the token with the security officer's PIN in `so_pin_file`. */
hm_result token_admin_init(
	const struct token_admin *admin, const char *so_pin_file, struct hm_problem *why) HM_MUST_USE;

/* Generate a key pair, named by its place among the configured keys. */
hm_result token_admin_create(const struct token_admin *admin, uint16_t key, struct hm_problem *why) HM_MUST_USE;

/* Destroy both halves of a key pair, if it has this kid. */
hm_result token_admin_destroy(
	const struct token_admin *admin, uint16_t key, const char *kid, struct hm_problem *why) HM_MUST_USE;

#endif
