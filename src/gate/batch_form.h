/* SPDX-License-Identifier: Apache-2.0 */
/* The form of a batch's body, {"requests":[…]}, and where in it each request is. */
#ifndef HSMINT_BATCH_FORM_H
#define HSMINT_BATCH_FORM_H

#include "buffer.h"
#include "limits.h"

/*
 * Find the requests, each of which is a JSON object within the bounds of json_form_check by itself; `items` has room
 * for HM_BATCH_MAX and points into `text`. HM_REFUSED: why as json_form_check says, with requests[INDEX] as the field;
 * body_too_large for one longer than HM_HTTP_MAX_BODY; invalid_batch; or malformed_json, unknown_member,
 * duplicate_member, missing_member, wrong_type for what is not a batch.
 */
hm_result batch_form_read(
	const char *text, size_t length, struct hm_bytes *items, unsigned *count, struct hm_problem *why) HM_MUST_USE;

#endif
