/* SPDX-License-Identifier: Apache-2.0 */
/* What operations read of queries and bodies alike. */
#ifndef HSMINT_API_QUERY_H
#define HSMINT_API_QUERY_H

#include "api.h"

enum { API_LIST_STANDARD = 100 };

/* Of a list: `after` and `limit`. `*after` NULL: from the beginning. `more`: another parameter that is known, or NULL.
 */
hm_result api_query_page(const struct api_call *call, const char *more, const char **after, unsigned *limit,
	struct hm_problem *why) HM_MUST_USE;

/* `wait` in seconds; 0: it was not asked for. */
hm_result api_query_wait(const struct api_call *call, unsigned *seconds, struct hm_problem *why) HM_MUST_USE;

/* {issuer?, reason?}: why something was done, or NULL. */
hm_result api_body_reason(const struct api_call *call, const char **reason, struct hm_problem *why) HM_MUST_USE;

/* A text of 1 to `most` bytes without control characters, of a body that may have it. */
hm_result api_body_text(const struct api_call *call, const char *name, size_t most, const char **text,
	struct hm_problem *why) HM_MUST_USE;

#endif
