/* SPDX-License-Identifier: Apache-2.0 */
/* The terms on which a client asks for credentials: the headers Idempotency-Key and Deadline-Ms. */
#ifndef HSMINT_TERMS_H
#define HSMINT_TERMS_H

#include "guard.h"
#include "limits.h"

struct terms {
	uint64_t deadline_ms;                 /* on CLOCK_MONOTONIC; 0: none was set */
	char key[HM_IDEMPOTENCY_KEY_MAX + 1]; /* "": none */
};

/* Read them; a deadline counts from `now_ms`. HM_REFUSED: invalid_header. */
hm_result terms_read(
	const struct guard *guard, uint64_t now_ms, struct terms *terms, struct hm_problem *why) HM_MUST_USE;

#endif
