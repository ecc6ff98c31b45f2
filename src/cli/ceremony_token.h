/* SPDX-License-Identifier: Apache-2.0 */
/* A ceremony's side of hsmint-ceremony: the configured token, one key on it, and what the key is to sign. */
#ifndef HSMINT_CEREMONY_TOKEN_H
#define HSMINT_CEREMONY_TOKEN_H

#include "ceremony_protocol.h"
#include "token_program.h"

/* Which token and key. */
struct ceremony_place {
	const char *config; /* the configuration file */
	const char *token;  /* its name in it */
	const char *label;
	uint8_t id[32];
	uint32_t id_length;
	enum key_algorithm algorithm;
	bool makes_key; /* the token must have key_rights: manage */
};

/* The token's part of the configuration with this one key. It is large: a caller's static. */
hm_result ceremony_token_config(
	const struct ceremony_place *place, struct token_config *out, struct hm_problem *why) HM_MUST_USE;

/* One of CHECK, FIND and CREATE, and what the token showed. */
hm_result ceremony_token_show(const struct token_program *program, enum hm_frame_type command,
	struct token_ready *shown, struct hm_problem *why) HM_MUST_USE;

/* The DER goes into `der` of HM_CERTIFICATE_MAX bytes. */
hm_result ceremony_token_certify(const struct token_program *program, const struct ceremony_certificate *wanted,
	uint8_t *der, size_t *length, struct hm_problem *why) HM_MUST_USE;

hm_result ceremony_token_sign(const struct token_program *program, enum ceremony_signed what, const void *data,
	size_t data_length, uint8_t signature[HM_SIGNATURE_MAX], size_t *length, struct hm_problem *why) HM_MUST_USE;

/* KEEP or DESTROY. */
hm_result ceremony_token_decide(
	const struct token_program *program, enum hm_frame_type command, struct hm_problem *why) HM_MUST_USE;

#endif
