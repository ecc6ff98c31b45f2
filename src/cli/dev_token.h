/* SPDX-License-Identifier: Apache-2.0 */
/* Provisioning by `hsmint-token admin`: a token made and its keys generated in it. */
#ifndef HSMINT_DEV_TOKEN_H
#define HSMINT_DEV_TOKEN_H

#include "result.h"
#include "token_protocol.h"

/* Initialise the token of `config` with the SO PIN in `so_pin_file`, and generate each of its keys. */
hm_result dev_token_make(
	const struct token_config *config, const char *so_pin_file, struct hm_problem *why) HM_MUST_USE;

#endif
