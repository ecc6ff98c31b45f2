/* SPDX-License-Identifier: Apache-2.0 */
/* The normal form of an http or https URL (RFC 3986, sections 6.2.2 and 6.2.3), so that equal ones have equal bytes. */
#ifndef HSMINT_URL_NORMAL_H
#define HSMINT_URL_NORMAL_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Write it into `out`, without query and fragment: scheme and host in lower case, no port that the scheme has anyway,
 * no escape that is not needed and the others in upper case, no dot segments, "/" for an empty path. False, `out` being
 * of no use: it is no absolute http or https URL, names a user, escapes within its host, or does not fit `size` with a
 * NUL.
 */
bool url_normal(const char *url, char *out, size_t size) __attribute__((warn_unused_result));

#endif
