/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A problem as an OAuth token endpoint answers it (RFC 6749, section 5.2; RFC 8693, section 2.2.2; RFC 8707, section
 * 2): {"error", "error_description"?, "error_uri"?}. docs/errors.md has the table.
 */
#ifndef HSMINT_OAUTH_ERROR_H
#define HSMINT_OAUTH_ERROR_H

#include "result.h"
#include <stddef.h>

struct oauth_error {
	const char *error;
	int status;
};

struct oauth_error oauth_error_of(const char *code);

/* The body; the problem's own code is the first word of the description. Returns its length; 0 if `size`
 * (HM_PROBLEM_MAX always suffices) is small. */
size_t oauth_error_write(const struct hm_problem *why, char *body, size_t size);

#endif
