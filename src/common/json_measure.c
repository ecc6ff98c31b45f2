/* SPDX-License-Identifier: Apache-2.0 */
#include "json_measure.h"

#include <stdbool.h>
#include <string.h>

/* The index of the quote that ends the string which begins at `start`; `length` when none does. */
static size_t string_end(const char *text, size_t length, size_t start)
{
	for (size_t i = start + 1; i < length; i++) {
		if (text[i] == '\\')
			i++;
		else if (text[i] == '"')
			return i;
	}
	return length;
}

struct json_measure json_measure(const char *text, size_t length)
{
	struct json_measure found = {0, 0};
	unsigned depth = 0;
	bool in_scalar = false;

	for (size_t i = 0; i < length; i++) {
		char c = text[i];
		bool begins_or_goes_on = !strchr("}],: \t\r\n", c);
		if (begins_or_goes_on && !in_scalar)
			found.values++;
		in_scalar = begins_or_goes_on && !strchr("{[\"", c);
		if (c == '{' || c == '[')
			depth++;
		else if ((c == '}' || c == ']') && depth)
			depth--;
		else if (c == '"')
			i = string_end(text, length, i);
		if (depth > found.depth)
			found.depth = depth;
	}
	return found;
}
