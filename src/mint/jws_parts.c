/* SPDX-License-Identifier: Apache-2.0 */
#include "jws_parts.h"

#include <string.h>

bool jws_split(const char *text, size_t length, size_t most, struct jws_parts *parts)
{
	if (length > most)
		return false;
	const char *end = text + length, *first = memchr(text, '.', length);
	const char *second = first ? memchr(first + 1, '.', (size_t)(end - first - 1)) : NULL;
	if (!second || memchr(second + 1, '.', (size_t)(end - second - 1)))
		return false;
	*parts = (struct jws_parts){.header = {text, (size_t)(first - text)},
		.payload = {first + 1, (size_t)(second - first - 1)},
		.signature = {second + 1, (size_t)(end - second - 1)},
		.signed_ = {text, (size_t)(second - text)}};
	return true;
}
