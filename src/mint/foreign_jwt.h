/* SPDX-License-Identifier: Apache-2.0 */
/* A JWT that somebody else signed, verified strictly: docs/threat-model.md, "JWTs of others", has the rules. */
#ifndef HSMINT_FOREIGN_JWT_H
#define HSMINT_FOREIGN_JWT_H

#include "key_set.h"
#include <jansson.h>

/*
 * The code of each refusal. On purpose none of those that a caller can meet: whoever asked maps it to what its own
 * interface says, and the detail is for the log alone. Unmapped it reads as `internal`, without the detail.
 */
#define FOREIGN_JWT_REFUSED "foreign_jwt"

/* What is expected. Of zeros, nothing is accepted. Texts are the caller's, and have to outlive the call alone. */
struct jwt_rules {
	unsigned algorithms;                   /* a bit for each enum key_algorithm */
	const char *typs[HM_FOREIGN_TYPS_MAX]; /* accepted, without application/; the first NULL ends them */
	bool typ_may_be_missing;
	bool kid_may_be_missing; /* where one key alone of the set verifies its alg */
	bool header_is_bare;     /* no members but alg, kid and typ (JWT-SVID, section 2) */
	const char *issuer;      /* `iss` exactly; NULL: none is */
	bool any_issuer;         /* `iss` may be missing or anything: who signs is known by the key set alone */
	const char *const *audiences;
	unsigned audience_count; /* of which one has to be in `aud` */
	bool one_audience;       /* which has no other then */
	int64_t now;
	unsigned leeway;       /* seconds, at most HM_LEEWAY_MAX */
	unsigned max_lifetime; /* seconds from `iat`, or from now where there is none, to `exp` */
	bool needs_iat, needs_nbf, needs_jti, needs_sub;
};

struct foreign_jwt {
	json_t *payload;                     /* owned: the texts below are its */
	const char *subject, *issuer, *id;   /* "": none */
	int64_t expires, issued, not_before; /* -1: none */
	char kid[HM_FOREIGN_KID_MAX + 1];
};

/*
 * Verify against the rules with the keys of who is trusted. HM_REFUSED, code FOREIGN_JWT_REFUSED: it is not good; why,
 * is in the detail. Free with foreign_jwt_free in any case.
 */
hm_result foreign_jwt_verify(const char *text, size_t length, const struct jwt_rules *rules, const struct key_set *keys,
	struct foreign_jwt *out, struct hm_problem *why) HM_MUST_USE;
void foreign_jwt_free(struct foreign_jwt *jwt);

#define FOREIGN_JWT_AUTO __attribute__((cleanup(foreign_jwt_free))) struct foreign_jwt

/* What a JWT claims of itself, and anybody can have written; "" where it does not say. */
struct unverified_jwt {
	char kid[HM_FOREIGN_KID_MAX + 1], typ[HM_NAME_MAX + 1];
	char issuer[HM_URL_MAX + 1], subject[HM_SPIFFE_ID_MAX + 1];
};

/* Read it WITHOUT verifying anything, to choose by whose rules and keys to verify; it is good for nothing else.
 * `subject` is for JWT-SVIDs, whose trust domain stands there. HM_REFUSED as above. */
hm_result foreign_jwt_peek_unverified(
	const char *text, size_t length, struct unverified_jwt *out, struct hm_problem *why) HM_MUST_USE;

#endif
