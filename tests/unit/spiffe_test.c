/* SPDX-License-Identifier: Apache-2.0 */
#include "spiffe.h"

#include "limits.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static bool parses(const char *text, struct spiffe_id *id)
{
	const char *rule;
	return spiffe_parse(text, strlen(text), id, &rule);
}

/* The trust domain and path of each are written beside it. */
static const struct {
	const char *text, *trust_domain, *path;
} good[] = {
	{"spiffe://example.org/workload", "example.org", "workload"},
	{"spiffe://staging.example.com/payments/mysql", "staging.example.com", "payments/mysql"},
	{"spiffe://k8s-west.example.com/ns/staging/sa/default", "k8s-west.example.com", "ns/staging/sa/default"},
	{"spiffe://example.com/9eebccd2-12bf-40a6-b262-65fe0487d453", "example.com",
		"9eebccd2-12bf-40a6-b262-65fe0487d453"},
	{"spiffe://a/B", "a", "B"},
	{"spiffe://under_score.example/A.b-c_d/0", "under_score.example", "A.b-c_d/0"},
	{"spiffe://1.2.3.4/x", "1.2.3.4", "x"},
	{"spiffe://example.org/...", "example.org", "..."},
	{"spiffe://example.org/.hidden/a..b", "example.org", ".hidden/a..b"},
};

Test(spiffe, an_id_of_the_standard_is_split_into_trust_domain_and_path)
{
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		struct spiffe_id id = {0};
		cr_assert(parses(good[i].text, &id), "%s", good[i].text);
		cr_expect_eq(id.trust_domain_length, strlen(good[i].trust_domain), "%s", good[i].text);
		cr_expect_arr_eq(id.trust_domain, good[i].trust_domain, id.trust_domain_length, "%s", good[i].text);
		cr_expect_eq(id.path_length, strlen(good[i].path), "%s", good[i].text);
		cr_expect_arr_eq(id.path, good[i].path, id.path_length, "%s", good[i].text);
	}
}

static const char *const bad[] = {
	"",
	"spiffe",
	"spiffe:",
	"spiffe:/",
	"spiffe://",
	"spiffe:///workload",
	"spiffe://example.org",
	"spiffe://example.org/",
	"spiffe://example.org/a/",
	"spiffe://example.org//a",
	"spiffe://example.org/a//b",
	"spiffe://example.org/.",
	"spiffe://example.org/..",
	"spiffe://example.org/a/./b",
	"spiffe://example.org/a/../b",
	"spiffe://example.org/a/..",
	"spiffe://example.org/a b",
	"spiffe://example.org/a%20b",
	"spiffe://example.org/a%2fb",
	"spiffe://example.org/a?query",
	"spiffe://example.org/a#fragment",
	"spiffe://example.org/a:b",
	"spiffe://example.org/a@b",
	"spiffe://example.org/a*",
	"spiffe://example.org/a\n",
	"spiffe://example.org/caf\xc3\xa9",
	"spiffe://example.org:443/a",
	"spiffe://user@example.org/a",
	"spiffe://user:password@example.org/a",
	"spiffe://Example.org/a",
	"spiffe://ex%61mple.org/a",
	"spiffe://caf\xc3\xa9.org/a",
	"spiffe://[::1]/a",
	"spiffe://exam ple/a",
	"SPIFFE://example.org/a",
	"Spiffe://example.org/a",
	"https://example.org/a",
	" spiffe://example.org/a",
	"spiffe:/example.org/a",
	"//example.org/a",
};

Test(spiffe, what_the_standard_forbids_is_refused_with_a_rule)
{
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct spiffe_id id;
		const char *rule = NULL;
		cr_expect_not(spiffe_parse(bad[i], strlen(bad[i]), &id, &rule), "'%s'", bad[i]);
		cr_expect(rule && *rule, "'%s'", bad[i]);
	}
}

Test(spiffe, the_rule_names_the_part_at_fault)
{
	static const struct {
		const char *text, *word;
	} faults[] = {
		{"https://example.org/a", "spiffe://"},
		{"spiffe://Example.org/a", "trust domain"},
		{"spiffe://example.org/a/", "empty segment"},
		{"spiffe://example.org/..", "'..'"},
		{"spiffe://example.org/a b", "letters"},
	};
	for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
		struct spiffe_id id;
		const char *rule = "";
		cr_expect_not(spiffe_parse(faults[i].text, strlen(faults[i].text), &id, &rule));
		cr_expect(strstr(rule, faults[i].word), "%s: %s", faults[i].text, rule);
	}
}

Test(spiffe, an_id_may_have_2048_bytes_and_not_one_more)
{
	char text[HM_SPIFFE_ID_MAX + 1];
	struct spiffe_id id;
	const char *rule = "";
	memset(text, 'a', sizeof text);
	memcpy(text, "spiffe://example.org/", 21);
	cr_expect(spiffe_parse(text, 2048, &id, &rule));
	cr_expect_not(spiffe_parse(text, 2049, &id, &rule));
	cr_expect(strstr(rule, "2048"));
}

Test(spiffe, a_trust_domain_may_have_255_bytes_and_not_one_more)
{
	char text[9 + 256 + 2];
	struct spiffe_id id;
	const char *rule;
	memset(text, 'a', sizeof text);
	memcpy(text, "spiffe://", 9);
	memcpy(text + 9 + 255, "/x", 2);
	cr_expect(spiffe_parse(text, 9 + 255 + 2, &id, &rule));
	text[9 + 255] = 'a';
	memcpy(text + 9 + 256, "/x", 2);
	cr_expect_not(spiffe_parse(text, 9 + 256 + 2, &id, &rule));
	cr_expect(spiffe_is_trust_domain(text + 9, 255));
	cr_expect_not(spiffe_is_trust_domain(text + 9, 256));
	cr_expect_not(spiffe_is_trust_domain("", 0));
}

Test(spiffe, a_nul_within_is_a_character_like_any_other_that_is_refused)
{
	struct spiffe_id id;
	const char *rule;
	cr_expect_not(spiffe_parse("spiffe://example.org/a\0b", 24, &id, &rule));
	cr_expect_not(spiffe_parse("spiffe://example\0org/a", 22, &id, &rule));
	cr_expect_not(spiffe_is_trust_domain("a\0b", 3));
}

/* Each prefix in memory of just its size, so that a sanitizer sees a read beyond it. */
Test(spiffe, no_prefix_makes_it_read_beyond_its_end)
{
	static const char whole[] = "spiffe://example.org/a/b";
	for (size_t length = 0; length < sizeof whole; length++) {
		char *exact = malloc(length ? length : 1);
		struct spiffe_id id;
		const char *rule;
		cr_assert_not_null(exact);
		memcpy(exact, whole, length);
		bool workload = length == sizeof whole - 1 || length == sizeof "spiffe://example.org/a" - 1;
		cr_expect_eq(spiffe_parse(exact, length, &id, &rule), workload, "%.*s", (int)length, whole);
		free(exact);
	}
}

static const struct {
	const char *pattern;
	bool can_match;
} patterns[] = {
	{"spiffe://a.test/one", true},
	{"spiffe://a.test/*", true},
	{"spiffe://a.test/*/b-*/*.*", true},
	{"spiffe://a.test/.*", true},
	{"spiffe://a.test/**", true},
	{"spiffe://a.test/", false},
	{"spiffe://a.test", false},
	{"spiffe://a.test*", false},
	{"spiffe://a.test*/x", false},
	{"spiffe://*/x", false},
	{"spiffe://b.test/*", false},
	{"spiffe://a.test.b/*", false},
	{"spiffe://a.tes/*", false},
	{"spiffe:*/a.test/x", false},
	{"*", false},
	{"", false},
	{"spiffe://a.test/*/", false},
	{"spiffe://a.test//*", false},
	{"spiffe://a.test/../*", false},
	{"spiffe://a.test/a b*", false},
	{"spiffe://a.test/%2f*", false},
	{"spiffe://a.test/?", false},
};

Test(spiffe, a_pattern_is_one_that_an_id_of_the_trust_domain_can_match)
{
	for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
		cr_expect_eq(spiffe_is_pattern(patterns[i].pattern, "a.test"), patterns[i].can_match, "%s",
			patterns[i].pattern);
}

Test(spiffe, a_pattern_is_no_longer_than_an_id)
{
	char pattern[HM_SPIFFE_ID_MAX + 2] = "spiffe://a.test/";
	memset(pattern + strlen(pattern), '*', HM_SPIFFE_ID_MAX + 1 - strlen(pattern));
	cr_expect_not(spiffe_is_pattern(pattern, "a.test"));
	pattern[HM_SPIFFE_ID_MAX] = 0;
	cr_expect(spiffe_is_pattern(pattern, "a.test"));
}
