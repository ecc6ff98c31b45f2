/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP message signatures (RFC 9421) by the key of a caller's certificate: how an act is proven to mint itself, so that
 * gate's word is not needed. docs/governance.md has the exact profile.
 */
#ifndef HSMINT_HTTP_SIGNATURE_H
#define HSMINT_HTTP_SIGNATURE_H

#include "gate_protocol.h"
#include "result.h"
#include <stdbool.h>

struct nonces; /* opaque; made by nonces_open, released by nonces_close. Source: nonces.c */

struct nonces *nonces_open(void); /* NULL: no memory */
void nonces_close(struct nonces *nonces);
/* A new one, good for HM_NONCE_SECONDS and for once. */
hm_result nonces_make(struct nonces *nonces, int64_t now, char text[HM_ID_MAX + 1], struct hm_problem *why) HM_MUST_USE;
/* One that was given out lately is used up. HM_REFUSED: signature_refused; HM_UNAVAILABLE: overload. */
hm_result nonces_use(struct nonces *nonces, int64_t now, const char *text, struct hm_problem *why) HM_MUST_USE;

/* Is there a signature, or a part of one? Then it has to be good. */
bool http_signature_is_there(const struct gate_call *call);

/*
 * Verify the request's signature, with nothing taken from gate but bytes: the certificate's chain against `trust`
 * (PEM), its time, the signature over method, path, query and body, `created` and the nonce, which is used up. Fills
 * `caller` from the certificate. HM_REFUSED: signature_refused.
 */
hm_result http_signature_verify(struct nonces *nonces, const char *trust, const struct gate_request *request,
	int64_t now, struct gate_caller *caller, struct hm_problem *why) HM_MUST_USE;

#endif
