/* SPDX-License-Identifier: Apache-2.0 */
/* What a parser would have to build of a text, measured before it builds anything: it recurses, and allocates for each
 * value. */
#ifndef HSMINT_JSON_MEASURE_H
#define HSMINT_JSON_MEASURE_H

#include <stddef.h>

struct json_measure {
	unsigned depth;  /* of objects and arrays in each other */
	unsigned values; /* the names of members counted, too */
};

/* Exact for JSON. Of other text, `depth` is that of the part before the fault at least. `length` fits an unsigned. */
struct json_measure json_measure(const char *text, size_t length);

#endif
