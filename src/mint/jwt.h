/* SPDX-License-Identifier: Apache-2.0 */
/* The JWT builder: at+jwt access tokens (RFC 9068) and JWT-SVIDs (SPIFFE JWT-SVID, sections 2 and 3). */
#ifndef HSMINT_JWT_H
#define HSMINT_JWT_H

#include "json_write.h"
#include "mint_request.h"
#include "policy.h"
#include "status_lists.h"

/*
 * Write the base64url of a key's JOSE header, exactly {"alg":…,"kid":…,"typ":…}, NUL-terminated. The token process
 * builds the same from the key it holds and signs under no other.
 */
void jwt_header(enum key_algorithm algorithm, enum key_use use, const char *kid, char *text, size_t size);

/* Where the list with this place is published: ISSUER/status/LIST. */
void status_place_uri(const char *issuer_url, const struct status_place *place, char *uri, size_t size);

/* The member `cnf`, of a credential and of its entry in the ledger alike; nothing, when it is bound to no key. */
void jwt_put_cnf(struct hm_json *json, const struct decision *decision);

struct jwt_times {
	int64_t issued;  /* when, truly */
	int64_t expires; /* seconds since 1970 */
};

/*
 * Write what is to be signed (header, dot, payload) into `tbs` of HM_JWT_TBS_MAX bytes. `iat` and `nbf` are earlier
 * than `issued` by the profile's backdate. `place` may be NULL. HM_REFUSED: the claims make it too large.
 */
hm_result jwt_build(const struct decision *decision, const struct mint_request *request, const char *header,
	const char *id, const struct jwt_times *times, const struct status_place *place, char *tbs, size_t *length,
	struct hm_problem *why) HM_MUST_USE;

#endif
