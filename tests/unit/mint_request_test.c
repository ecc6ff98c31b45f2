/* SPDX-License-Identifier: Apache-2.0 */
#include "mint_request.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct mint_request request;
static struct hm_problem why;

static void forget(void)
{
	mint_request_free(&request);
}

TestSuite(mint_request, .fini = forget);

static hm_result parse_bytes(const void *body, size_t length)
{
	mint_request_free(&request);
	why = (struct hm_problem){0};
	return mint_request_parse((struct hm_bytes){body, length}, false, &request, &why);
}

static hm_result parse(const char *body)
{
	return parse_bytes(body, strlen(body));
}

#define WHO "\"profile\":\"p\",\"subject\":\"spiffe://demo.test/a\""

Test(mint_request, a_request_with_every_member_is_read)
{
	cr_assert_eq(
		parse("{" WHO ",\"audience\":[\"https://a\",\"https://b\"],\"scope\":\"read write\",\"lifetime\":60,"
		      "\"claims\":{\"session\":\"s\"},\"context\":{\"traceparent\":\"00\"}}"),
		HM_OK, "%s", why.detail);
	cr_expect_str_eq(request.profile, "p");
	cr_expect_str_eq(request.subject, "spiffe://demo.test/a");
	cr_expect_eq(request.audience_count, 2);
	cr_expect_str_eq(request.audiences[0], "https://a");
	cr_expect_str_eq(request.audiences[1], "https://b");
	cr_expect_str_eq(request.scope, "read write");
	cr_expect_eq(request.lifetime, 60);
	cr_expect_str_eq(json_string_value(json_object_get(request.claims, "session")), "s");
	cr_expect_str_eq(json_string_value(json_object_get(request.context, "traceparent")), "00");
}

Test(mint_request, what_was_not_asked_for_stays_empty)
{
	cr_assert_eq(parse("{\"audience\":\"https://a\"," WHO "}"), HM_OK, "%s", why.detail);
	cr_expect_eq(request.audience_count, 1);
	cr_expect_str_eq(request.audiences[0], "https://a");
	cr_expect_null(request.scope);
	cr_expect_eq(request.lifetime, 0);
	cr_expect_null(request.claims);
	cr_expect_null(request.context);
}

static const struct {
	const char *body, *code, *field;
} refusals[] = {
	/* not an object of JSON */
	{"", "malformed_json", ""},
	{"{", "malformed_json", ""},
	{"[]", "malformed_json", ""},
	{"null", "malformed_json", ""},
	{"\"text\"", "malformed_json", ""},
	{"{" WHO ",\"audience\":\"a\"} {}", "malformed_json", ""},
	{"{" WHO ",\"audience\":\"a\",}", "malformed_json", ""},
	{"{" WHO ",\"audience\":\"a\" /* why */}", "malformed_json", ""},
	{"{" WHO ",\"audience\":\"a\",'lifetime':1}", "malformed_json", ""},
	{"{" WHO ",\"audience\":\"a\",\"lifetime\":01}", "malformed_json", ""},
	{"{" WHO ",\"audience\":\"a\",\"lifetime\":NaN}", "malformed_json", ""},
	{"{" WHO ",\"audience\":\"a\",\"lifetime\":9223372036854775808}", "malformed_json", ""},
	/* text that is none: NUL, lone surrogates, bytes that are not UTF-8 (RFC 3629, section 3) */
	{"{" WHO ",\"audience\":\"a\\u0000b\"}", "malformed_json", ""},
	{"{" WHO ",\"audience\":\"a\",\"claims\":{\"a\\u0000b\":1}}", "malformed_json", ""},
	{"{" WHO ",\"audience\":\"\\ud800\"}", "malformed_json", ""},
	{"{" WHO ",\"audience\":\"\\udc00\"}", "malformed_json", ""},
	{"{" WHO ",\"audience\":\"\\ud83d\\u0041\"}", "malformed_json", ""},
	{"{" WHO ",\"audience\":\"\xff\"}", "malformed_json", ""},
	{"{" WHO ",\"audience\":\"\xc0\xaf\"}", "malformed_json", ""},
	{"{" WHO ",\"audience\":\"\xed\xa0\x80\"}", "malformed_json", ""},
	{"{" WHO ",\"audience\":\"\xf4\x90\x80\x80\"}", "malformed_json", ""},
	{"{" WHO ",\"audience\":\"a\nb\"}", "malformed_json", ""},
	/* the same member twice, also when spelled otherwise and further in */
	{"{" WHO ",\"audience\":\"a\",\"audience\":\"b\"}", "malformed_json", ""},
	{"{" WHO ",\"audience\":\"a\",\"\\u0061udience\":\"b\"}", "malformed_json", ""},
	{"{" WHO ",\"audience\":\"a\",\"claims\":{\"x\":1,\"x\":2}}", "malformed_json", ""},
	/* members that are not known */
	{"{" WHO ",\"audience\":\"a\",\"issuer\":\"i\"}", "unknown_member", "issuer"},
	{"{" WHO ",\"audience\":\"a\",\"Scope\":\"s\"}", "unknown_member", "Scope"},
	{"{" WHO ",\"audience\":\"a\",\"\":1}", "unknown_member", ""},
	{"{" WHO ",\"audience\":\"a\",\"sub\":\"root\"}", "unknown_member", "sub"},
	/* members that are not there */
	{"{}", "missing_member", "profile"},
	{"{\"subject\":\"s\",\"audience\":\"a\"}", "missing_member", "profile"},
	{"{\"profile\":\"p\",\"audience\":\"a\"}", "missing_member", "subject"},
	{"{" WHO "}", "missing_member", "audience"},
	/* wrong types */
	{"{\"profile\":1}", "wrong_type", "profile"},
	{"{\"profile\":null}", "wrong_type", "profile"},
	{"{\"subject\":[\"s\"]}", "wrong_type", "subject"},
	{"{\"audience\":null}", "wrong_type", "audience"},
	{"{\"audience\":{}}", "wrong_type", "audience"},
	{"{\"audience\":[1]}", "wrong_type", "audience"},
	{"{\"audience\":[\"a\",null]}", "wrong_type", "audience"},
	{"{\"audience\":[[\"a\"]]}", "wrong_type", "audience"},
	{"{\"scope\":[\"read\"]}", "wrong_type", "scope"},
	{"{\"scope\":null}", "wrong_type", "scope"},
	{"{\"lifetime\":\"60\"}", "wrong_type", "lifetime"},
	{"{\"lifetime\":60.0}", "wrong_type", "lifetime"},
	{"{\"lifetime\":6e1}", "wrong_type", "lifetime"},
	{"{\"lifetime\":true}", "wrong_type", "lifetime"},
	{"{\"claims\":[]}", "wrong_type", "claims"},
	{"{\"claims\":\"x\"}", "wrong_type", "claims"},
	{"{\"claims\":null}", "wrong_type", "claims"},
	{"{\"context\":[]}", "wrong_type", "context"},
	{"{\"context\":{\"a\":1}}", "wrong_type", "context"},
	{"{\"context\":{\"a\":{}}}", "wrong_type", "context"},
	/* values that no profile could allow */
	{"{\"audience\":\"\"}", "invalid_audience", "audience"},
	{"{\"audience\":[]}", "invalid_audience", "audience"},
	{"{\"audience\":[\"a\",\"\"]}", "invalid_audience", "audience"},
	{"{\"audience\":\"a b\"}", "invalid_audience", "audience"},
	{"{\"audience\":\"a\\n\"}", "invalid_audience", "audience"},
	{"{\"audience\":\"\\u007f\"}", "invalid_audience", "audience"},
	{"{\"audience\":\"a\\u0085\"}", "invalid_audience", "audience"},
	{"{\"audience\":\"a\\u00a0b\"}", "invalid_audience", "audience"},
	{"{\"audience\":\"https://\\u0430pi.test\"}", "invalid_audience", "audience"},
	{"{\"audience\":[\"a\",\"b\",\"a\"]}", "invalid_audience", "audience"},
	{"{\"audience\":[\"a\",\"\\u0061\"]}", "invalid_audience", "audience"},
	{"{\"lifetime\":0}", "lifetime_not_allowed", "lifetime"},
	{"{\"lifetime\":-0}", "lifetime_not_allowed", "lifetime"},
	{"{\"lifetime\":-1}", "lifetime_not_allowed", "lifetime"},
	{"{\"lifetime\":-9223372036854775808}", "lifetime_not_allowed", "lifetime"},
};

Test(mint_request, what_is_malformed_unknown_missing_or_mistyped_is_refused_and_named)
{
	for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
		cr_expect_eq(parse(refusals[i].body), HM_REFUSED, "%s", refusals[i].body);
		cr_expect_str_eq(why.code ? why.code : "", refusals[i].code, "%s", refusals[i].body);
		cr_expect_str_eq(why.field, refusals[i].field, "%s", refusals[i].body);
		cr_expect_str_neq(why.detail, "", "%s", refusals[i].body);
	}
}

/* Each prefix in memory of just its size, so that a sanitizer sees a read beyond it. */
Test(mint_request, every_cut_request_is_refused)
{
	static const char whole[] = "{" WHO ",\"audience\":[\"https://a\"],\"claims\":{\"x\":true}}";
	for (size_t length = 0; length < sizeof whole - 1; length++) {
		char *exact = malloc(length ? length : 1);
		cr_assert_not_null(exact);
		memcpy(exact, whole, length);
		cr_expect_eq(parse_bytes(exact, length), HM_REFUSED, "%zu bytes", length);
		cr_expect_str_eq(why.code, "malformed_json");
		free(exact);
	}
	cr_expect_eq(parse_bytes(whole, sizeof whole - 1), HM_OK);
	cr_expect_eq(parse_bytes(whole, sizeof whole), HM_REFUSED, "a NUL behind it");
}

static hm_result parse_audiences(size_t count, size_t length)
{
	char body[16 * 1024] = "{" WHO ",\"audience\":[";
	for (size_t i = 0; i < count; i++) {
		char audience[1024];
		memset(audience, 'a', sizeof audience);
		audience[0] = (char)('A' + i);
		audience[length] = 0;
		strcat(strcat(strcat(body, i ? ",\"" : "\""), audience), "\"");
	}
	return parse(strcat(body, "]}"));
}

Test(mint_request, audiences_are_at_most_8_of_at_most_512_bytes)
{
	cr_expect_eq(parse_audiences(8, 512), HM_OK, "%s", why.detail);
	cr_expect_eq(request.audience_count, 8);
	cr_expect_eq(parse_audiences(9, 1), HM_REFUSED);
	cr_expect_str_eq(why.code, "invalid_audience");
	cr_expect_eq(parse_audiences(1, 513), HM_REFUSED);
	cr_expect_str_eq(why.code, "invalid_audience");
}

static hm_result parse_context(size_t count, size_t value_length)
{
	char body[16 * 1024] = "{" WHO ",\"audience\":\"a\",\"context\":{";
	for (size_t i = 0; i < count; i++) {
		char member[2048], value[1024];
		memset(value, 'v', sizeof value);
		value[value_length] = 0;
		snprintf(member, sizeof member, "%s\"%02zu\":\"%s\"", i ? "," : "", i, value);
		strcat(body, member);
	}
	return parse(strcat(body, "}}"));
}

/* Names of two bytes each. */
Test(mint_request, the_context_is_at_most_16_strings_of_1024_bytes_in_all)
{
	cr_expect_eq(parse_context(16, 62), HM_OK, "%s", why.detail);
	cr_expect_eq(parse_context(17, 1), HM_REFUSED);
	cr_expect_str_eq(why.code, "invalid_context");
	cr_expect_eq(parse_context(16, 63), HM_REFUSED);
	cr_expect_str_eq(why.code, "invalid_context");
	cr_expect_eq(parse_context(1, 1022), HM_OK, "%s", why.detail);
	cr_expect_eq(parse_context(1, 1023), HM_REFUSED);
	cr_expect_eq(parse_context(0, 0), HM_OK, "an empty one is no fault");
}

/* As deep as the largest body allows: the parser must say no before the stack does. */
/* ---- of a batch ---- */

static hm_result parse_of_batch(const char *body)
{
	mint_request_free(&request);
	why = (struct hm_problem){0};
	return mint_request_parse((struct hm_bytes){(const uint8_t *)body, strlen(body)}, true, &request, &why);
}

Test(mint_request, of_a_batch_a_request_says_its_kind_wherever_it_stands)
{
	cr_expect_eq(parse_of_batch("{\"kind\":\"jwt\",\"audience\":\"https://a\"," WHO "}"), HM_OK, "%s", why.detail);
	cr_expect_eq(parse_of_batch("{\"audience\":\"https://a\"," WHO ",\"kind\":\"jwt\"}"), HM_OK, "%s", why.detail);
	cr_expect_str_eq(request.profile, "p");
	cr_expect_eq(request.audience_count, 1);
}

Test(mint_request, a_kind_that_is_missing_mistyped_or_not_known_is_refused)
{
	static const struct {
		const char *kind, *code;
	} cases[] = {{"", "missing_member"}, {"\"kind\":7,", "wrong_type"}, {"\"kind\":null,", "wrong_type"},
		{"\"kind\":\"\",", "invalid_kind"}, {"\"kind\":\"JWT\",", "invalid_kind"},
		{"\"kind\":\"jwt-svid\",", "invalid_kind"}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char body[256];
		snprintf(body, sizeof body, "{%s\"audience\":\"https://a\"," WHO "}", cases[i].kind);
		cr_expect_eq(parse_of_batch(body), HM_REFUSED, "%s", body);
		cr_expect_str_eq(why.code, cases[i].code, "%s", body);
		cr_expect_str_eq(why.field, "kind", "%s", body);
	}
	cr_expect_eq(parse_of_batch("{\"kind\":\"jwt\",\"other\":1,\"audience\":\"https://a\"," WHO "}"), HM_REFUSED);
	cr_expect_str_eq(why.field, "other");
}

Test(mint_request, alone_a_request_has_no_kind_but_that_of_its_path)
{
	cr_expect_eq(parse("{\"kind\":\"jwt\",\"audience\":\"https://a\"," WHO "}"), HM_REFUSED);
	cr_expect_str_eq(why.code, "unknown_member");
	cr_expect_str_eq(why.field, "kind");
}

Test(mint_request, deep_nesting_is_refused)
{
	enum { DEEP = HM_HTTP_MAX_BODY - 64 };
	static char body[HM_HTTP_MAX_BODY] = "{\"claims\":";
	size_t used = strlen(body);
	memset(body + used, '[', DEEP);
	cr_expect_eq(parse_bytes(body, used + DEEP), HM_REFUSED);
	cr_expect_str_eq(why.code, "malformed_json");
}

Test(mint_request, a_characters_escape_is_the_character)
{
	cr_assert_eq(
		parse("{" WHO ",\"audience\":\"\\u0061\\/b\",\"scope\":\"\\ud83d\\udd11\"}"), HM_OK, "%s", why.detail);
	cr_expect_str_eq(request.audiences[0], "a/b");
	cr_expect_str_eq(request.scope, "\xf0\x9f\x94\x91");
}

Test(mint_request, freeing_twice_or_nothing_is_harmless)
{
	cr_expect_eq(parse("{}"), HM_REFUSED);
	mint_request_free(&request);
	mint_request_free(&request);
}
