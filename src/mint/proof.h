/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys that a request to a token endpoint shows that its client has: by a DPoP proof (RFC 9449), and by the
 * certificate of its connection (RFC 8705). To which of them a credential is bound, the decision says.
 */
#ifndef HSMINT_PROOF_H
#define HSMINT_PROOF_H

#include "limits.h"
#include "result.h"
#include <stdbool.h>
#include <stdint.h>

struct config;
struct gate_request;
struct service;

/* Thumbprints, as members of `cnf` have them; "": no such key was shown. */
struct proof {
	bool is_read; /* a DPoP proof is good once: what came of it is kept while the request waits */
	char jkt[HM_KID_MAX + 1];
	char x5t_s256[HM_KID_MAX + 1];
};

/* Whether credentials of a profile of this issuer may be bound to a certificate. */
bool proof_may_be_certificate(const struct config *config, unsigned issuer);

/*
 * What a request of a client that is authenticated shows, read once. Mint itself verifies the certificate, and that it
 * is of the caller that gate names. HM_REFUSED: invalid_dpop_proof, use_dpop_nonce or certificate_refused;
 * HM_UNAVAILABLE: overload.
 */
hm_result proof_read(const struct service *service, unsigned issuer, const struct gate_request *from, int64_t now,
	struct proof *proof, struct hm_problem *why) HM_MUST_USE;

#endif
