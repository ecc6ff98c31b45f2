/* SPDX-License-Identifier: Apache-2.0 */
/* One version of a configured key, together with what its token showed of it. */
#ifndef HSMINT_ISSUING_KEY_H
#define HSMINT_ISSUING_KEY_H

#include "jwk.h"
#include "key_record.h"
#include "token.h"
#include <openssl/evp.h>

struct issuing_key {
	const struct config_key *config;
	struct key_version *version; /* in the service's record of keys */
	struct token *token;
	uint16_t place;       /* among its token's keys, as frames name it */
	bool known;           /* its token showed it: the public key is known */
	EVP_PKEY *public_key; /* owned; to read it anew takes longer than to verify with it */
	struct jwk jwk;
	char header[2 * HM_JWT_HEADER_MAX]; /* base64url of the JOSE header it signs JWTs under */
};

/* Every version of every configured key that is in use. */
struct issuing_keys {
	unsigned count;
	struct issuing_key items[HM_KEYS_MAX];
	struct issuing_key *active[HM_KEYS_MAX]; /* of each configured key, by its place in the configuration */
};

/* Read the public key that its token showed, which token.c has checked. HM_REFUSED: it cannot be read, or is another
 * one than was recorded. */
hm_result issuing_key_learn(
	struct issuing_key *issuing, const struct token_key_ready *shown, struct hm_problem *why) HM_MUST_USE;

/* Forget all of them. */
void issuing_keys_clear(struct issuing_keys *keys);

/* Whether its token can sign with it now. */
bool issuing_key_can_sign(const struct issuing_key *issuing);

/* Whether verifiers are to know it. */
bool issuing_key_is_public(const struct issuing_key *issuing);

/* The one of this version; NULL: it is not in use. */
const struct issuing_key *issuing_keys_find(const struct issuing_keys *keys, const struct key_version *version);

/* Whether every public key of an issuer (an index) is known, so that its key set is published. */
bool issuing_keys_are_whole(const struct issuing_keys *keys, unsigned issuer);

#endif
