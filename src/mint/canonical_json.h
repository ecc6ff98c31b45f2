/* SPDX-License-Identifier: Apache-2.0 */
/* JSON in the one form that RFC 8785 gives it, of what has no other numbers than integers. */
#ifndef HSMINT_CANONICAL_JSON_H
#define HSMINT_CANONICAL_JSON_H

#include "json_write.h"
#include <jansson.h>

/* Of pointers to names, for qsort: by UTF-16 code units (section 3.2.3). */
int canonical_compare(const void *a, const void *b);

/* Write a value. One with a number that is no integer, or an object of more than `HM_JSON_MAX_TOKENS` members, fails
 * the writer. */
void canonical_write(const json_t *value, struct hm_json *json);

#endif
