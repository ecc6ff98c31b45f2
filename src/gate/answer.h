/* SPDX-License-Identifier: Apache-2.0 */
/* What goes back to a client, as the HTTP library wants it. The caller releases each with MHD_destroy_response. */
#ifndef HSMINT_ANSWER_H
#define HSMINT_ANSWER_H

#include "buffer.h"
#include <microhttpd.h>

/* Copies `body`. `cache_control` NULL: no-store. NULL: out of memory, or a header's value is not one. */
struct MHD_Response *answer_make(const char *content_type, const char *cache_control, struct hm_bytes body);

/* Takes over `text`, of malloc. NULL: out of memory, and `text` is gone. */
struct MHD_Response *answer_take(const char *content_type, char *text, size_t length);

/* An RFC 9457 body; `*status` becomes its HTTP status. With Retry-After for the codes that have it. */
struct MHD_Response *answer_problem(const struct hm_problem *why, unsigned *status);

/* The same of a token endpoint: an RFC 6749 body. */
struct MHD_Response *answer_oauth_error(const struct hm_problem *why, unsigned *status);

/* Does the value of an If-None-Match header name this ETag (RFC 9110, section 13.1.2)? Never, when that is "". */
bool answer_matches(const char *etag, const char *value, size_t length);

/* False: out of memory. */
bool answer_add(struct MHD_Response *response, const char *header, const char *value);
bool answer_add_number(struct MHD_Response *response, const char *header, unsigned long value);

#endif
