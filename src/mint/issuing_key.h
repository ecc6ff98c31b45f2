/* SPDX-License-Identifier: Apache-2.0 */
/* A configured key together with what its token showed of it. */
#ifndef HSMINT_ISSUING_KEY_H
#define HSMINT_ISSUING_KEY_H

#include "config.h"
#include "jwk.h"
#include "token.h"

struct issuing_key {
	struct token *token;
	bool known; /* its token was ready once: the public key is known */
	struct jwk jwk;
	char header[2 * HM_JWT_HEADER_MAX]; /* base64url of the JOSE header it signs under */
};

/* Read the public key that the token showed for `key`, which token.c has checked. HM_REFUSED: it cannot be read. */
hm_result issuing_key_learn(struct issuing_key *issuing, const struct config_key *key,
	const struct token_ready *holdings, struct hm_problem *why) HM_MUST_USE;

/* Whether `key`'s token can sign with it now. */
bool issuing_key_can_sign(const struct issuing_key *issuing, const struct config_key *key);

/* Whether every key of an issuer (an index) is known, so that its key set is published. */
bool issuing_keys_are_whole(const struct config *config, const struct issuing_key *keys, unsigned issuer);

#endif
