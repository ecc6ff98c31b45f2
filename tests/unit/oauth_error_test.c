/* SPDX-License-Identifier: Apache-2.0 */
/* What a token endpoint answers for each problem: as docs/oauth.md has it. */
#include "oauth_error.h"

#include "problem.h"
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

static char table[8192];

static void read_table(void)
{
	FILE *document = fopen(HSMINT_SOURCE_DIR "/docs/oauth.md", "r");
	char line[1024];
	size_t used = 0;
	cr_assert_not_null(document);
	while (fgets(line, sizeof line, document))
		if (strncmp(line, "| `", 3) == 0 && used + strlen(line) < sizeof table)
			used += (size_t)snprintf(table + used, sizeof table - used, "%s", line);
	fclose(document);
}

TestSuite(oauth_error, .init = read_table);

/* The row that names the code behind its first column; then `error` gets that. */
static bool is_listed(const char *code, char error[64])
{
	char wanted[80];
	snprintf(wanted, sizeof wanted, "`%s`", code);
	for (const char *row = table; *row; row = strchr(row, '\n') + 1) {
		const char *second = strchr(row + 1, '|'), *end = strchr(row, '\n'), *found = strstr(second, wanted);
		if (found && found < end && sscanf(row, "| `%63[a-z_]`", error) == 1)
			return true;
	}
	return false;
}

static const char *expected_of(const struct problem_kind *kind)
{
	if (kind->status == 500)
		return "server_error";
	return kind->status > 500 || kind->status == 429 ? "temporarily_unavailable" : "invalid_request";
}

Test(oauth_error, each_code_has_the_word_that_the_document_gives_it)
{
	unsigned listed = 0;
	for (const struct problem_kind *kind = problem_kinds; kind->code; kind++) {
		char error[64];
		bool has_own_word = is_listed(kind->code, error);
		listed += has_own_word;
		cr_expect_str_eq(
			oauth_error_of(kind->code).error, has_own_word ? error : expected_of(kind), "%s", kind->code);
	}
	cr_expect_gt(listed, 15);
}

static json_t *written(const struct hm_problem *why)
{
	char body[HM_PROBLEM_MAX];
	size_t length = oauth_error_write(why, body, sizeof body);
	json_t *json = json_loadb(body, length, JSON_REJECT_DUPLICATES, NULL);
	cr_assert_not_null(json);
	return json;
}

static void expect_description(const struct hm_problem *why, const char *wanted)
{
	json_t *json = written(why);
	cr_expect_str_eq(json_string_value(json_object_get(json, "error_description")), wanted);
	json_decref(json);
}

/* RFC 6749, section 5.2: %x20-21 / %x23-5B / %x5D-7E. */
Test(oauth_error, a_description_is_of_the_characters_that_it_may_have)
{
	expect_description(
		&(struct hm_problem){.code = "scope_not_allowed", .field = "scope", .detail = "a\"b\\c\n\xc3\xa4"},
		"scope_not_allowed: scope: a?b?c???");
}

Test(oauth_error, who_is_nobody_and_what_is_ours_is_told_no_more_than_its_name)
{
	expect_description(&(struct hm_problem){.code = "client_refused", .field = "x", .detail = "the secret way"},
		"client_refused");
	expect_description(&(struct hm_problem){.code = "internal", .detail = "no memory"}, "internal");
	expect_description(&(struct hm_problem){.code = "not in the table", .detail = "?"}, "internal");
}

Test(oauth_error, what_does_not_fit_is_not_cut)
{
	char body[8];
	cr_expect_eq(oauth_error_write(&(struct hm_problem){.code = "internal"}, body, sizeof body), 0);
}
