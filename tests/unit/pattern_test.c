/* SPDX-License-Identifier: Apache-2.0 */
#include "pattern.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *pattern, *text;
	bool matches;
} cases[] = {
	/* without a star: the same text and nothing else */
	{"", "", true},
	{"", "a", false},
	{"a", "", false},
	{"abc", "abc", true},
	{"abc", "ab", false},
	{"abc", "abcd", false},
	{"abc", "xabc", false},
	{"abc", "ABC", false},
	{"a/b", "a/b", true},
	/* a star is one or more characters */
	{"*", "", false},
	{"*", "a", true},
	{"*", "anything at all?", true},
	{"a*", "a", false},
	{"a*", "ab", true},
	{"*a", "a", false},
	{"*a", "ba", true},
	{"*a", "aa", true},
	{"a*b", "ab", false},
	{"a*b", "axb", true},
	{"a*b", "axbxb", true},
	{"a*b", "axbx", false},
	{"**", "a", false},
	{"**", "ab", true},
	/* none crosses '/' */
	{"*", "/", false},
	{"*", "a/b", false},
	{"*", "a/", false},
	{"*", "/a", false},
	{"a*b", "a/b", false},
	{"*/*", "a/b", true},
	{"*/*", "/b", false},
	{"*/*", "a/", false},
	{"*/*", "a/b/c", false},
	{"**", "a/b", false},
	/* what looks special elsewhere is itself here */
	{"a.c", "abc", false},
	{"a?c", "abc", false},
	{"[ab]", "a", false},
	{"a\\*", "a*", false},
	{"a*", "a*", true},
	/* coming back to the last star is enough */
	{"*ab*ab", "xabababxab", true},
	{"*ab*ab", "xabababxa", false},
	{"*aab", "aaaab", true},
	{"*a/*b", "xaa/yb", true},
	{"*a/*b", "xa/yb/yb", false},
	{"*x/a*", "yx/aa", true},
	{"*x/a*", "yx/a", false},
	{"*/b", "a/c/b", false},
	{"a*/c*d", "abb/cd", false},
	{"a*/c*d", "abb/cdd", true},
	/* what profiles hold */
	{"spiffe://demo.test/agent/*", "spiffe://demo.test/agent/first", true},
	{"spiffe://demo.test/agent/*", "spiffe://demo.test/agent/", false},
	{"spiffe://demo.test/agent/*", "spiffe://demo.test/agent", false},
	{"spiffe://demo.test/agent/*", "spiffe://demo.test/agent/first/tool", false},
	{"spiffe://demo.test/agent/*", "spiffe://demo.test/agents/first", false},
	{"spiffe://demo.test/agent/*", "spiffe://demo.test.evil/agent/first", false},
	{"https://*.demo.test/mcp", "https://a.demo.test/mcp", true},
	{"https://*.demo.test/mcp", "https://.demo.test/mcp", false},
	{"https://*.demo.test/mcp", "https://evil.test/a.demo.test/mcp", false},
	{"https://*.demo.test/mcp", "https://a.demo.test/mcp/", false},
	{"https://*.demo.test/mcp", "https://a.demo.testing/mcp", false},
};

Test(pattern, a_star_is_one_or_more_characters_within_one_segment)
{
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		cr_expect_eq(pattern_matches(cases[i].pattern, cases[i].text, strlen(cases[i].text)), cases[i].matches,
			"'%s' and '%s'", cases[i].pattern, cases[i].text);
}

Test(pattern, a_nul_within_the_text_ends_nothing)
{
	cr_expect_not(pattern_matches("a", "a\0b", 3));
	cr_expect_not(pattern_matches("ab", "a\0b", 3));
	cr_expect(pattern_matches("a*b", "a\0b", 3));
}

/* The definition itself, which tries everything. */
static bool by_definition(const char *pattern, const char *text)
{
	if (*pattern == '*') {
		for (size_t taken = 1; text[taken - 1] && text[taken - 1] != '/'; taken++)
			if (by_definition(pattern + 1, text + taken))
				return true;
		return false;
	}
	return *pattern == *text && (!*pattern || by_definition(pattern + 1, text + 1));
}

static void write_number(unsigned number, const char *alphabet, char text[8])
{
	size_t base = strlen(alphabet);
	size_t length = 0;
	for (; number; number /= (unsigned)base + 1)
		if (number % (base + 1))
			text[length++] = alphabet[number % (base + 1) - 1];
	text[length] = 0;
}

Test(pattern, every_short_pattern_and_text_agree_with_the_definition)
{
	for (unsigned p = 0; p < 5 * 5 * 5 * 5 * 5; p++)
		for (unsigned t = 0; t < 4 * 4 * 4 * 4 * 4; t++) {
			char pattern[8], text[8];
			write_number(p, "ab/*", pattern);
			write_number(t, "ab/", text);
			if (pattern_matches(pattern, text, strlen(text)) != by_definition(pattern, text))
				cr_assert_fail("'%s' and '%s'", pattern, text);
		}
}

/* With ordinary backtracking this would take longer than the universe has. */
Test(pattern, many_stars_do_not_take_many_times_as_long, .timeout = 10)
{
	enum { STARS = 500, LENGTH = 2000 };
	char pattern[2 * STARS + 2], text[LENGTH + 1];
	for (size_t i = 0; i < STARS; i++)
		memcpy(pattern + 2 * i, "*a", 2);
	memcpy(pattern + 2 * STARS, "b", 2);
	memset(text, 'a', LENGTH);
	text[LENGTH] = 0;
	cr_expect_not(pattern_matches(pattern, text, LENGTH));
}
