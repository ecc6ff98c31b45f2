/* SPDX-License-Identifier: Apache-2.0 */
#include "answer.h"

#include "oauth_error.h"
#include "problem.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool answer_add(struct MHD_Response *response, const char *header, const char *value)
{
	return MHD_add_response_header(response, header, value) == MHD_YES;
}

bool answer_add_number(struct MHD_Response *response, const char *header, unsigned long value)
{
	char text[24];
	snprintf(text, sizeof text, "%lu", value);
	return answer_add(response, header, text);
}

static struct MHD_Response *finish(struct MHD_Response *response, const char *content_type, const char *cache_control)
{
	if ((content_type[0] && !answer_add(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type)) ||
		!answer_add(response, MHD_HTTP_HEADER_CACHE_CONTROL, cache_control ? cache_control : "no-store")) {
		MHD_destroy_response(response);
		return NULL;
	}
	return response;
}

struct MHD_Response *answer_make(const char *content_type, const char *cache_control, struct hm_bytes body)
{
	struct MHD_Response *response =
		MHD_create_response_from_buffer(body.length, (void *)body.data, MHD_RESPMEM_MUST_COPY);
	return response ? finish(response, content_type, cache_control) : NULL;
}

struct MHD_Response *answer_take(const char *content_type, char *text, size_t length)
{
	struct MHD_Response *response = MHD_create_response_from_buffer(length, text, MHD_RESPMEM_MUST_FREE);
	if (!response) {
		free(text);
		return NULL;
	}
	return finish(response, content_type, NULL);
}

static struct MHD_Response *refusal(
	const struct hm_problem *why, const char *content_type, const char *body, size_t length)
{
	struct MHD_Response *response =
		answer_make(content_type, NULL, (struct hm_bytes){(const uint8_t *)body, length});
	if (response && problem_retry_after(why))
		(void)answer_add_number(response, MHD_HTTP_HEADER_RETRY_AFTER, problem_retry_after(why));
	return response;
}

struct MHD_Response *answer_problem(const struct hm_problem *why, unsigned *status)
{
	char body[HM_PROBLEM_MAX];
	*status = (unsigned)problem_kind(why->code)->status;
	return refusal(why, HM_PROBLEM_TYPE, body, problem_write(why, body, sizeof body));
}

struct MHD_Response *answer_oauth_error(const struct hm_problem *why, unsigned *status)
{
	char body[HM_PROBLEM_MAX];
	*status = (unsigned)oauth_error_of(why->code).status;
	return refusal(why, "application/json", body, oauth_error_write(why, body, sizeof body));
}

bool answer_matches(const char *etag, const char *value, size_t length)
{
	size_t wanted = strlen(etag);
	const char *end = value + length;
	for (const char *at = value; wanted && at < end; at++) {
		size_t span = strcspn(at, " \t,");
		if (span > (size_t)(end - at))
			span = (size_t)(end - at);
		if (span == 1 && *at == '*')
			return true;
		if (span > 2 && strncmp(at, "W/", 2) == 0) { /* compared weakly: for a GET both mean the same */
			at += 2;
			span -= 2;
		}
		if (span == wanted && memcmp(at, etag, wanted) == 0)
			return true;
		at += span;
	}
	return false;
}
