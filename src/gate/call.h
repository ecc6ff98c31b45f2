/* SPDX-License-Identifier: Apache-2.0 */
/* What mint is told of a request to its API beside the body: method and target, and what an HTTP signature needs. */
#ifndef HSMINT_CALL_H
#define HSMINT_CALL_H

#include "gate_protocol.h"
#include "guard.h"
#include <gnutls/gnutls.h>

struct call {
	bool has_query;
	bool is_long;                      /* the target is longer than HM_HTTP_MAX_PATH, and not kept */
	bool shows_client;                 /* its certificates are passed on without a signature, too */
	char target[HM_HTTP_MAX_PATH + 1]; /* as it came */
	/* In the library's memory, for the request's life. */
	struct guard_text content_digest, signature_input, signature, dpop;
};

void call_begin(struct call *call, const char *target);

/* HM_REFUSED: invalid_header, or bad_request for a target that cannot be passed on. */
hm_result call_read(struct call *call, const struct guard *guard, struct hm_problem *why) HM_MUST_USE;

/* `chain` has room for HM_CERTIFICATES_MAX; `out` points into it. `session` NULL: a Unix socket. HM_REFUSED:
 * certificate_refused, certificates that are too long to be passed on. */
hm_result call_fill(const struct call *call, const char *method, bool is_form, gnutls_session_t session, uint8_t *chain,
	struct gate_call *out, struct hm_problem *why) HM_MUST_USE;

#endif
