/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DPoP proofs (RFC 9449): that who asks for a token has the private key of the public one that the token is to be bound
 * to. A proof is good once, for one endpoint, and at one process alone: it holds a nonce that only this process knows,
 * so that what was used need not be remembered elsewhere, nor after this process. One thread.
 */
#ifndef HSMINT_DPOP_H
#define HSMINT_DPOP_H

#include "limits.h"
#include "result.h"
#include <stdint.h>

struct dpop; /* opaque; made by dpop_open, released by dpop_close. Source: dpop_memory.c */

struct dpop *dpop_open(void); /* NULL: no memory. It takes what it will ever take. */
void dpop_close(struct dpop *dpop);

/* JWS algorithms of proofs, ended by NULL: what metadata have as dpop_signing_alg_values_supported. */
extern const char *const dpop_algorithms[];

/* What the DPoP-Nonce of an answer says: good for HM_DPOP_SECONDS at least and twice that at most, as often as one
 * wants. All clients get the same one. */
hm_result dpop_nonce(struct dpop *dpop, int64_t now, char nonce[HM_ID_MAX + 1], struct hm_problem *why) HM_MUST_USE;

struct dpop_request {
	const char *proof;  /* the value of the one header DPoP */
	const char *method; /* of the request that came with it */
	const char *url;    /* the endpoint's, as configured: no header of a request has a say in it */
};

/* What the client is told when a proof is refused. */
enum dpop_error {
	DPOP_INVALID_PROOF, /* invalid_dpop_proof (section 5) */
	DPOP_USE_NONCE, /* use_dpop_nonce (section 8), with dpop_nonce(): all else is right, and another proof will do
			 */
};

/*
 * Verify a proof by all rules of section 4.3, and use it up; for those alone who are authenticated already, since
 * anybody can make proofs, and those that were used are remembered. On HM_OK `jkt` is the thumbprint of its key (RFC
 * 7638, SHA-256), else empty. HM_REFUSED: `error`, with `why` for a description of it; the code there is none of the
 * table's. HM_UNAVAILABLE: overload, the memory of used proofs is full, and this one was not used up.
 */
hm_result dpop_verify(struct dpop *dpop, const struct dpop_request *request, int64_t now, char jkt[HM_KID_MAX + 1],
	enum dpop_error *error, struct hm_problem *why) HM_MUST_USE;

#endif
