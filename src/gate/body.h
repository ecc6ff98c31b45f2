/* SPDX-License-Identifier: Apache-2.0 */
/* A request's whole body: of the form that its route wants, and what an Idempotency-Key stands for. */
#ifndef HSMINT_BODY_H
#define HSMINT_BODY_H

#include "batch.h"
#include "guard.h"
#include "route.h"

/* By its header. An act may need no words: then there is no body that has a type. HM_REFUSED: unsupported_media_type.
 */
hm_result body_check_type(const struct route *route, const struct guard *guard, struct hm_problem *why) HM_MUST_USE;

/* Of a batch, `*batch` is opened. HM_REFUSED as json_form_check and batch_form_read, or malformed_form. */
hm_result body_check(
	const struct route *route, struct hm_bytes body, struct batch **batch, struct hm_problem *why) HM_MUST_USE;

/* Of this path with this body. */
hm_result body_digest(
	const struct route *route, struct hm_bytes body, uint8_t digest[32], struct hm_problem *why) HM_MUST_USE;

#endif
