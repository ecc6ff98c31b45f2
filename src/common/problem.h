/* SPDX-License-Identifier: Apache-2.0 */
/* Every code a caller can meet, with its HTTP status, title and whether to retry; and the RFC 9457 body made of it.
 * docs/errors.md explains each; a test holds the two together. */
#ifndef HSMINT_PROBLEM_H
#define HSMINT_PROBLEM_H

#include "result.h"
#include <stddef.h>

#define HM_PROBLEM_TYPE "application/problem+json"
enum { HM_PROBLEM_MAX = 4096 };

struct problem_kind {
	const char *code;
	int status;
	const char *retry; /* "no", "same-key": the same request may be repeated at once, "after": after Retry-After */
	const char *title;
};

/* The table, ended by a NULL code. */
extern const struct problem_kind problem_kinds[];

/* The kind of a code; one that is not in the table is our own bug and reads as "internal". */
const struct problem_kind *problem_kind(const char *code);

/* What Retry-After says, in seconds: at least 1 for codes with retry `after`, 0 (no such header) for all others. */
unsigned problem_retry_after(const struct hm_problem *why);

/*
 * Write the problem as JSON: {type, title, status, code, field?, accepts?, retry, retry_after?}. `accepts` is the
 * detail, given only for 4xx: what a fault of ours holds is for the log. Returns the length; 0 if `size`
 * (HM_PROBLEM_MAX always suffices) is small.
 */
size_t problem_write(const struct hm_problem *why, char *body, size_t size);

#endif
