/* SPDX-License-Identifier: Apache-2.0 */
/* What the rooms of DPoP share: dpop.c (a proof), dpop_key.c (its key), dpop_memory.c (nonces, and proofs that were
 * used). */
#ifndef HSMINT_DPOP_INSIDE_H
#define HSMINT_DPOP_INSIDE_H

#include "dpop.h"
#include "jwk.h"
#include <jansson.h>

struct dpop_key {
	uint8_t spki[HM_SPKI_MAX];
	size_t spki_length;
	struct jwk jwk;
};

/* Refuse the proof for its `field` (a member of its header or its claims). */
hm_result dpop_refuse(struct hm_problem *why, const char *field, const char *accepted) HM_MUST_USE;

/* The public key that a proof's `jwk` (NULL: it has none) is, for the algorithm whose JWS name is `name`. HM_REFUSED:
 * it is none, has a private part, or is for something else. */
hm_result dpop_key_read(const json_t *jwk, enum key_algorithm algorithm, const char *name, struct dpop_key *key,
	struct hm_problem *why) HM_MUST_USE;

/* Look at the clock, before what follows. */
hm_result dpop_tell_time(struct dpop *dpop, int64_t now, struct hm_problem *why) HM_MUST_USE;

/* Is it this process's, of now or before? */
bool dpop_is_nonce(const struct dpop *dpop, const char *nonce);

/* Of a nonce that is good. HM_REFUSED: this key has used this jti; HM_UNAVAILABLE: overload. */
hm_result dpop_use(
	struct dpop *dpop, const char *nonce, const char *jkt, const char *jti, struct hm_problem *why) HM_MUST_USE;

#endif
