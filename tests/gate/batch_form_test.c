/* SPDX-License-Identifier: Apache-2.0 */
#include "batch_form.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct hm_bytes items[HM_BATCH_MAX];
static unsigned count;
static struct hm_problem why;

static hm_result read_bytes(const char *text, size_t length)
{
	why = (struct hm_problem){0};
	return batch_form_read(text, length, items, &count, &why);
}

static hm_result read(const char *text)
{
	return read_bytes(text, strlen(text));
}

static void expect_item(unsigned index, const char *wanted)
{
	cr_assert_eq(items[index].length, strlen(wanted), "item %u", index);
	cr_expect_arr_eq(items[index].data, wanted, items[index].length, "item %u", index);
}

static void expect_refused(const char *text, const char *code, const char *field)
{
	cr_assert_eq(read(text), HM_REFUSED, "%s", text);
	cr_expect_str_eq(why.code, code, "%s", text);
	cr_expect_str_eq(why.field, field, "%s", text);
}

Test(batch_form, each_request_is_found_byte_for_byte)
{
	cr_assert_eq(read("{\"requests\":[{\"a\":1}]}"), HM_OK, "%s", why.detail);
	cr_assert_eq(count, 1);
	expect_item(0, "{\"a\":1}");
	cr_assert_eq(
		read(" {\t\"requests\"\r\n: [ {} , {\"a\" : [1,{}] }\n,{\"b\":\"x\"} ] } \n"), HM_OK, "%s", why.detail);
	cr_assert_eq(count, 3);
	expect_item(0, "{}");
	expect_item(1, "{\"a\" : [1,{}] }");
	expect_item(2, "{\"b\":\"x\"}");
}

Test(batch_form, what_stands_in_a_string_ends_nothing)
{
	cr_assert_eq(read("{\"requests\":[{\"a\":\"]},{[\\\"}\",\"b\":\"\\\\\"},{\"]}\":\"\\\\\\\"\"}]}"), HM_OK, "%s",
		why.detail);
	cr_assert_eq(count, 2);
	expect_item(0, "{\"a\":\"]},{[\\\"}\",\"b\":\"\\\\\"}");
	expect_item(1, "{\"]}\":\"\\\\\\\"\"}");
}

static const struct {
	const char *text, *code, *field;
} refused[] = {
	/* what is not a batch */
	{"", "malformed_json", ""},
	{"   ", "malformed_json", ""},
	{"[]", "malformed_json", ""},
	{"{", "malformed_json", ""},
	{"{}", "missing_member", "requests"},
	{"{ } ", "missing_member", "requests"},
	{"{\"requests\"}", "malformed_json", ""},
	{"{\"requests\":", "wrong_type", "requests"},
	{"{\"requests\":{}}", "wrong_type", "requests"},
	{"{\"requests\":null}", "wrong_type", "requests"},
	{"{\"requests\":[]}", "invalid_batch", "requests"},
	{"{\"requests\":[ ]}", "invalid_batch", "requests"},
	{"{\"other\":[{}]}", "unknown_member", "other"},
	{"{\"a b\":[{}]}", "unknown_member", ""},
	{"{\"\\u0072equests\":[{}]}", "unknown_member", ""},
	{"{\"requests\":[{}],\"other\":1}", "unknown_member", "other"},
	{"{\"requests\":[{}],\"requests\":[{}]}", "duplicate_member", "requests"},
	{"{\"requests\":[{}],}", "malformed_json", ""},
	{"{\"requests\":[{}]", "malformed_json", ""},
	{"{\"requests\":[{}}", "malformed_json", ""},
	{"{\"requests\":[{}]]", "malformed_json", ""},
	{"{\"requests\":[{}]}}", "malformed_json", ""},
	{"{\"requests\":[{}]} x", "malformed_json", ""},
	{"{'requests':[{}]}", "malformed_json", ""},
	/* what is no request */
	{"{\"requests\":[{}", "malformed_json", ""},
	{"{\"requests\":[", "malformed_json", "requests[0]"},
	{"{\"requests\":[,{}]}", "malformed_json", "requests[0]"},
	{"{\"requests\":[{},]}", "malformed_json", "requests[1]"},
	{"{\"requests\":[{},,{}]}", "malformed_json", "requests[1]"},
	{"{\"requests\":[{} {}]}", "malformed_json", "requests[0]"},
	{"{\"requests\":[{}{}]}", "malformed_json", "requests[0]"},
	{"{\"requests\":[{},1]}", "malformed_json", "requests[1]"},
	{"{\"requests\":[{},\"{}\"]}", "malformed_json", "requests[1]"},
	{"{\"requests\":[{},[{}]]}", "wrong_type", "requests[1]"},
	{"{\"requests\":[{\"a\":1,\"a\":2}]}", "duplicate_member", "requests[0]"},
	{"{\"requests\":[{},{\"a\":\"\xff\"}]}", "invalid_utf8", "requests[1]"},
	{"{\"requests\":[{},{},{\"a\":[[[[[[[[]]]]]]]]}]}", "too_deep", "requests[2]"},
	{"{\"requests\":[{\"a\":\"]}", "malformed_json", "requests[0]"},
	{"{\"requests\":[{\"a\":\"\\", "malformed_json", "requests[0]"},
	{"{\"requests\":[{\"a\":[}]]}", "malformed_json", "requests[0]"},
	{"{\"requests\":[//\n{}]}", "malformed_json", "requests[0]"},
	{"{\"requests\":[\f{}]}", "malformed_json", "requests[0]"},
};

Test(batch_form, everything_else_is_refused_with_its_reason_and_place)
{
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
		expect_refused(refused[i].text, refused[i].code, refused[i].field);
}

Test(batch_form, every_cut_batch_is_refused)
{
	static const char text[] = "{\"requests\":[{\"a\":\"x\\\"y\"},{\"b\":[1,{\"c\":null}]}]}";
	for (size_t length = 0; length < sizeof text - 1; length++) {
		char *cut = malloc(length ? length : 1); /* a sanitizer sees what is read behind it */
		cr_assert_not_null(cut);
		memcpy(cut, text, length);
		cr_expect_eq(read_bytes(cut, length), HM_REFUSED, "%zu bytes", length);
		free(cut);
	}
	cr_expect_eq(read(text), HM_OK);
}

Test(batch_form, a_raw_nul_is_refused_wherever_it_is)
{
	static const char text[] = "{\"requests\":[{\"a\":1},{}]}";
	for (size_t at = 0; at < sizeof text - 1; at++) {
		char with[sizeof text];
		memcpy(with, text, sizeof text);
		with[at] = 0;
		cr_expect_eq(read_bytes(with, sizeof text - 1), HM_REFUSED, "at %zu", at);
	}
}

/* A batch of so many times this request. */
static char *batch_of(unsigned requests, const char *request)
{
	char *text = malloc(32 + requests * (strlen(request) + 1));
	cr_assert_not_null(text);
	size_t used = (size_t)sprintf(text, "{\"requests\":[");
	for (unsigned i = 0; i < requests; i++)
		used += (size_t)sprintf(text + used, "%s%s", i ? "," : "", request);
	strcpy(text + used, "]}");
	return text;
}

Test(batch_form, a_batch_has_at_most_256_requests)
{
	char *most = batch_of(HM_BATCH_MAX, "{}"), *more = batch_of(HM_BATCH_MAX + 1, "{}");
	cr_expect_eq(read(most), HM_OK);
	cr_expect_eq(count, HM_BATCH_MAX);
	expect_item(HM_BATCH_MAX - 1, "{}");
	expect_refused(more, "invalid_batch", "requests");
	free(most);
	free(more);
}

/* An object of this many bytes. */
static char *request_of(size_t length)
{
	static char request[HM_HTTP_MAX_BODY + 2];
	cr_assert_lt(length, sizeof request);
	memset(request, 'x', length);
	memcpy(request, "{\"a\":\"", 6);
	memcpy(request + length - 2, "\"}", 3);
	return request;
}

Test(batch_form, a_request_is_as_long_as_one_alone_may_be)
{
	char *most = batch_of(2, request_of(HM_HTTP_MAX_BODY)), *more = batch_of(2, request_of(HM_HTTP_MAX_BODY + 1));
	cr_expect_eq(read(most), HM_OK, "%s", why.detail);
	cr_expect_eq(items[1].length, HM_HTTP_MAX_BODY);
	expect_refused(more, "body_too_large", "requests[0]");
	free(most);
	free(more);
}

/* The bounds are those of each request, not of all. */
Test(batch_form, many_requests_may_have_more_values_than_one)
{
	char request[8 + 2 * HM_JSON_MAX_TOKENS];
	size_t used = (size_t)sprintf(request, "{\"a\":[1");
	for (unsigned i = 0; i < HM_JSON_MAX_TOKENS / 2; i++)
		used += (size_t)sprintf(request + used, ",1");
	strcpy(request + used, "]}");
	char *text = batch_of(100, request);
	cr_expect_eq(read(text), HM_OK, "%s", why.detail);
	cr_expect_eq(count, 100);
	free(text);
}

Test(batch_form, deep_nesting_is_refused)
{
	static char text[HM_HTTP_MAX_BATCH_BODY];
	memset(text, '[', sizeof text);
	memcpy(text, "{\"requests\":[", 13);
	cr_expect_eq(read_bytes(text, sizeof text), HM_REFUSED);
	cr_expect_str_eq(why.field, "requests[0]");
}
