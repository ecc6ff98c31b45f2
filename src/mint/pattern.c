/* SPDX-License-Identifier: Apache-2.0 */
#include "pattern.h"

/* Greedy with one point to come back to: a later `*` never needs an earlier one to be longer, except across '/',
 * which no `*` crosses, so failing there is final. */
bool pattern_matches(const char *pattern, const char *text, size_t length)
{
	const char *end = text + length;
	const char *after_star = NULL; /* the pattern behind the last `*` met */
	const char *taken = NULL;      /* the text behind what that `*` takes so far */

	while (text < end || *pattern) {
		if (*pattern == '*' && text < end && *text != '/') {
			after_star = ++pattern;
			taken = ++text; /* one character at least */
		} else if (*pattern && *pattern != '*' && text < end && *pattern == *text) {
			pattern++;
			text++;
		} else if (after_star && taken < end && *taken != '/') {
			pattern = after_star;
			text = ++taken;
		} else {
			return false;
		}
	}
	return true;
}
