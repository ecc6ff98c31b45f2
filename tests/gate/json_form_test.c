/* SPDX-License-Identifier: Apache-2.0 */
#include "json_form.h"

#include "limits.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static const char *const accepted[] = {
	"{}",
	"[]",
	" {\"a\": [1, 2.5, -3, true, null, \"x\"], \"b\": {\"c\": \"\\u00e9\\n\\\"}{][,:\"}} ",
	"{\"\xc3\xa9\": \"\xf0\x9f\x94\x91\"}",
	"{\"a\":[[[[[[[]]]]]]]}",
};

Test(json_form, json_within_the_bounds_is_accepted)
{
	struct hm_problem why;
	for (size_t i = 0; i < sizeof accepted / sizeof *accepted; i++)
		cr_expect_eq(json_form_check(accepted[i], strlen(accepted[i]), &why), HM_OK, "%s", accepted[i]);
}

static const struct {
	const char *text, *code, *field;
} refused[] = {
	{"", "malformed_json", ""},
	{"{", "malformed_json", ""},
	{"\"a\"", "malformed_json", ""},
	{"{\"a\":1,}", "malformed_json", ""},
	{"{\"a\":1}{", "malformed_json", ""},
	{"{'a':1}", "malformed_json", ""},
	{"{\"a\":01}", "malformed_json", ""},
	{"{\"a\":1e999}", "malformed_json", ""},
	{"{\"a\":\"\\u0000\"}", "malformed_json", ""},
	{"{\"a\\u0000b\":1}", "malformed_json", ""},
	{"{\"a\":\"\x01\"}", "malformed_json", ""},
	{"{\"a\":\"\\ud800\"}", "malformed_json", ""},
	{"\"\\", "malformed_json", ""},
	{"{\"a\":\"\xff\"}", "invalid_utf8", ""},
	{"{\"a\":\"\xc0\xaf\"}", "invalid_utf8", ""},
	{"{\"a\":\"\xed\xa0\x80\"}", "invalid_utf8", ""},
	{"{\"aud\":1,\"aud\":2}", "duplicate_member", "aud"},
	{"{\"a\":{\"b\":1,\"b\":2}}", "duplicate_member", "b"},
	{"{\"a\":1,\"\\u0061\":2}", "duplicate_member", ""},
	{"{\"a b\":1,\"a b\":2}", "duplicate_member", ""},
	{"{\"a\":[[[[[[[[]]]]]]]]}", "too_deep", ""},
};

Test(json_form, everything_else_is_refused_with_its_reason)
{
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
		struct hm_problem why = {0};
		cr_expect_eq(json_form_check(refused[i].text, strlen(refused[i].text), &why), HM_REFUSED, "%s",
			refused[i].text);
		cr_expect_str_eq(why.code, refused[i].code, "%s", refused[i].text);
		cr_expect_str_eq(why.field, refused[i].field, "%s", refused[i].text);
	}
}

Test(json_form, a_raw_nul_is_refused)
{
	struct hm_problem why;
	static const char text[] = "{\"a\":\0 1}";
	static const char in_string[] = "{\"a\":\"\0\"}";
	cr_expect_eq(json_form_check(text, sizeof text - 1, &why), HM_REFUSED);
	cr_expect_eq(json_form_check(in_string, sizeof in_string - 1, &why), HM_REFUSED);
}

Test(json_form, the_number_of_values_is_bounded)
{
	static char text[4 * HM_JSON_MAX_TOKENS];
	struct hm_problem why;
	for (int extra = 0; extra <= 1; extra++) {
		size_t used = (size_t)snprintf(text, sizeof text, "[0");
		for (int values = 2; values < HM_JSON_MAX_TOKENS + extra; values++)
			used += (size_t)snprintf(text + used, sizeof text - used, ",1");
		text[used++] = ']';
		cr_expect_eq(json_form_check(text, used, &why), extra ? HM_REFUSED : HM_OK);
	}
	cr_expect_str_eq(why.code, "too_deep");
}

Test(json_form, deep_nesting_is_refused_before_it_is_parsed)
{
	static char text[HM_HTTP_MAX_BODY];
	struct hm_problem why;
	memset(text, '[', sizeof text);
	cr_expect_eq(json_form_check(text, sizeof text, &why), HM_REFUSED);
	cr_expect_str_eq(why.code, "too_deep");
}
