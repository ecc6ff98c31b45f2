/* SPDX-License-Identifier: Apache-2.0 */
/* Patterns of the configuration: text in which `*` matches one or more characters other than '/'. */
#ifndef HSMINT_PATTERN_H
#define HSMINT_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

/* True when all of `text` matches. Time is bounded by the product of both lengths. */
bool pattern_matches(const char *pattern, const char *text, size_t length);

#endif
