/* SPDX-License-Identifier: Apache-2.0 */
#include "json_members.h"

#include <string.h>

enum { DEPTH_MAX = 16 };

struct walk {
	const char *at, *end;
	char open[DEPTH_MAX]; /* the brackets we are in */
	unsigned depth;
	bool expects_name; /* in the outermost object, the next string is a member's name */
};

/* From behind the opening quote to behind the closing one. */
static bool pass_string(struct walk *walk, bool *escaped)
{
	*escaped = false;
	for (; walk->at < walk->end; walk->at++) {
		if (*walk->at == '"') {
			walk->at++;
			return true;
		}
		if (*walk->at == 0)
			return false;
		if (*walk->at == '\\') {
			*escaped = true;
			walk->at++;
		}
	}
	return false;
}

static bool pass_text(struct walk *walk, const char *name, unsigned *named)
{
	const char *start = walk->at;
	bool escaped;
	bool is_name = walk->depth == 1 && walk->expects_name;
	if (!pass_string(walk, &escaped))
		return false;
	if (!is_name)
		return true;
	walk->expects_name = false;
	size_t length = (size_t)(walk->at - 1 - start);
	*named += length == strlen(name) && memcmp(start, name, length) == 0;
	return !escaped;
}

static bool pass_bracket(struct walk *walk, char c)
{
	if (c == '{' || c == '[') {
		if (walk->depth == DEPTH_MAX || (walk->depth == 0 && c == '['))
			return false;
		walk->open[walk->depth++] = c;
		walk->expects_name |= walk->depth == 1;
		return true;
	}
	if (walk->depth == 1 && walk->expects_name)
		return false; /* nothing behind a comma */
	return walk->depth && walk->open[--walk->depth] == (c == '}' ? '{' : '[');
}

static bool pass(struct walk *walk, const char *name, unsigned *named)
{
	char c = *walk->at++;
	switch (c) {
	case '"':
		return pass_text(walk, name, named);
	case '{':
	case '[':
	case '}':
	case ']':
		return pass_bracket(walk, c);
	case ',':
		walk->expects_name |= walk->depth == 1;
		return true;
	default:
		return c != 0;
	}
}

bool json_members_name_once(const char *text, size_t length, const char *name)
{
	struct walk walk = {.at = text, .end = text + length};
	unsigned named = 0;
	if (!length || *text != '{')
		return false;
	do {
		if (!pass(&walk, name, &named))
			return false;
	} while (walk.depth && walk.at < walk.end);
	return walk.depth == 0 && walk.at == walk.end && named == 1;
}
