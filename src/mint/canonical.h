/* SPDX-License-Identifier: Apache-2.0 */
/* JSON in the one form of RFC 8785, so that equal values have equal bytes. */
#ifndef HSMINT_CANONICAL_H
#define HSMINT_CANONICAL_H

#include "json_write.h"
#include <jansson.h>

/* Of pointers to names, for qsort: their order (RFC 8785, section 3.2.3). */
int canonical_compare(const void *a, const void *b);

/* Write a value of at most HM_JSON_MAX_DEPTH levels. A number that is not an integer within HM_INTEGER_MAX, or too many
 * levels or members, fail the writer. */
void canonical_write(struct hm_json *json, const json_t *value);

#endif
