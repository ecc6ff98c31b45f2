/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shape of an HTTP request, judged by what the HTTP library shows of it before anything else looks at it. The
 * library accepts shapes that two parsers could read differently (RFC 9112, section 11.2); we accept none.
 */
#ifndef HSMINT_GUARD_H
#define HSMINT_GUARD_H

#include "result.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct guard_text {
	const char *text; /* the library's memory, for the request's life; NULL: no such header */
	size_t length;
};

/* A header that may come once, and how often it came. */
struct guard_header {
	unsigned count;
	struct guard_text value; /* of the last */
};

/* What one pass over the headers found. Begin with zeros. */
struct guard {
	unsigned hosts, lengths, content_types;
	bool transfer_encoding, name_not_token, length_not_digits;
	bool expects; /* the client may wait before it sends its body */
	uint64_t content_length;
	struct guard_text content_type, if_none_match;
	struct guard_header idempotency_key, deadline, content_digest, signature_input, signature, dpop;
};

void guard_see_header(
	struct guard *guard, const char *name, size_t name_length, const char *value, size_t value_length);

/* HM_REFUSED: bad_request or length_required; what follows on this connection cannot be trusted, so close it. */
hm_result guard_check(const struct guard *guard, const char *method, const char *version, const char *target,
	struct hm_problem *why) HM_MUST_USE;

/* Is it application/json, with no parameter but charset=utf-8? */
bool guard_is_json(struct guard_text content_type);

/* Is it application/x-www-form-urlencoded, with no parameter but charset=utf-8? */
bool guard_is_form(struct guard_text content_type);

#endif
