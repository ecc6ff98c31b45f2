/* SPDX-License-Identifier: Apache-2.0 */
#include "claims.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static char *words[] = {"test", "staging"};
static struct config_claim listed[] = {
	{.name = "session", .type = CLAIM_STRING, .size = 8},
	{.name = "team", .type = CLAIM_STRING, .size = 1024, .pattern = "team-*"},
	{.name = "stage", .type = CLAIM_STRING, .size = 1024, .enumeration = words, .enumeration_count = 2},
	{.name = "count", .type = CLAIM_INTEGER, .size = 1024},
	{.name = "admin", .type = CLAIM_BOOLEAN, .size = 1024},
	{.name = "region", .type = CLAIM_STRING, .size = 1024, .constant = "eu \"1\""},
	{.name = "level", .type = CLAIM_INTEGER, .size = 1024, .constant = "-7"},
	{.name = "strict", .type = CLAIM_BOOLEAN, .size = 1024, .constant = "true"},
	{.name = "lax", .type = CLAIM_BOOLEAN, .size = 1024, .constant = "false"},
};
static struct config_profile profile = {.claims = listed, .claims_count = sizeof listed / sizeof *listed};
static struct hm_problem why;

static hm_result check(const char *text)
{
	json_t *claims = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	cr_assert_not_null(claims, "%s", text);
	why = (struct hm_problem){0};
	hm_result result = claims_check(&profile, claims, &why);
	json_decref(claims);
	return result;
}

static const char *const allowed[] = {
	"{}",
	"{\"session\":\"12345678\"}",
	"{\"session\":\"\"}",
	"{\"team\":\"team-a\",\"stage\":\"staging\",\"count\":0,\"admin\":false}",
	"{\"count\":9007199254740991}",
	"{\"count\":-9007199254740991}",
};

Test(claims, what_the_profile_lists_is_allowed)
{
	for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++)
		cr_expect_eq(check(allowed[i]), HM_OK, "%s: %s", allowed[i], why.detail);
	cr_expect_eq(claims_check(&profile, NULL, &why), HM_OK);
}

static const struct {
	const char *claims, *code, *field, *accepts;
} refusals[] = {
	/* not the caller's to set */
	{"{\"other\":1}", "claim_not_allowed", "claims.other", "profile lists"},
	{"{\"iss\":\"https://evil\"}", "claim_not_allowed", "claims.iss", "profile lists"},
	{"{\"sub\":\"root\"}", "claim_not_allowed", "claims.sub", "profile lists"},
	{"{\"Session\":\"x\"}", "claim_not_allowed", "claims.Session", "profile lists"},
	{"{\"\":\"x\"}", "claim_not_allowed", "claims.", "profile lists"},
	{"{\"region\":\"eu \\\"1\\\"\"}", "claim_not_allowed", "claims.region", "profile sets"},
	{"{\"strict\":false}", "claim_not_allowed", "claims.strict", "profile sets"},
	/* wrong types */
	{"{\"session\":1}", "invalid_claim", "claims.session", "a string"},
	{"{\"session\":null}", "invalid_claim", "claims.session", "a string"},
	{"{\"session\":[\"a\"]}", "invalid_claim", "claims.session", "a string"},
	{"{\"session\":{\"a\":1}}", "invalid_claim", "claims.session", "a string"},
	{"{\"count\":\"1\"}", "invalid_claim", "claims.count", "an integer"},
	{"{\"count\":1.0}", "invalid_claim", "claims.count", "an integer"},
	{"{\"count\":true}", "invalid_claim", "claims.count", "an integer"},
	{"{\"admin\":1}", "invalid_claim", "claims.admin", "true or false"},
	{"{\"admin\":\"true\"}", "invalid_claim", "claims.admin", "true or false"},
	{"{\"admin\":null}", "invalid_claim", "claims.admin", "true or false"},
	/* an integer that a reader with doubles would take for another (RFC 7493, section 2.2) */
	{"{\"count\":9007199254740992}", "invalid_claim", "claims.count", "2^53"},
	{"{\"count\":-9007199254740992}", "invalid_claim", "claims.count", "2^53"},
	{"{\"count\":9223372036854775807}", "invalid_claim", "claims.count", "2^53"},
	{"{\"count\":-9223372036854775808}", "invalid_claim", "claims.count", "2^53"},
	/* values outside of what the profile says */
	{"{\"session\":\"123456789\"}", "invalid_claim", "claims.session", "8 bytes"},
	{"{\"session\":\"\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\"}", "invalid_claim", "claims.session", "8 bytes"},
	{"{\"team\":\"team-\"}", "invalid_claim", "claims.team", "team-*"},
	{"{\"team\":\"team-a/b\"}", "invalid_claim", "claims.team", "team-*"},
	{"{\"stage\":\"production\"}", "invalid_claim", "claims.stage", "2 values"},
	{"{\"stage\":\"tes\"}", "invalid_claim", "claims.stage", "2 values"},
	{"{\"stage\":\"\"}", "invalid_claim", "claims.stage", "2 values"},
	/* one good claim makes no other good */
	{"{\"session\":\"x\",\"count\":1,\"other\":1}", "claim_not_allowed", "claims.other", "profile lists"},
};

Test(claims, what_the_profile_does_not_list_so_is_refused_and_named)
{
	for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
		cr_expect_eq(check(refusals[i].claims), HM_REFUSED, "%s", refusals[i].claims);
		cr_expect_str_eq(why.code ? why.code : "", refusals[i].code, "%s", refusals[i].claims);
		cr_expect_str_eq(why.field, refusals[i].field, "%s", refusals[i].claims);
		cr_expect(strstr(why.detail, refusals[i].accepts), "%s: %s", refusals[i].claims, why.detail);
	}
}

Test(claims, a_required_claim_must_be_there)
{
	listed[0].required = true;
	cr_expect_eq(check("{\"count\":1}"), HM_REFUSED);
	cr_expect_str_eq(why.code, "missing_claim");
	cr_expect_str_eq(why.field, "claims.session");
	cr_expect_eq(claims_check(&profile, NULL, &why), HM_REFUSED);
	cr_expect_eq(check("{\"session\":\"\"}"), HM_OK, "empty, but there");
}

Test(claims, a_profile_without_claims_takes_none)
{
	profile.claims_count = 0;
	cr_expect_eq(check("{}"), HM_OK);
	cr_expect_eq(check("{\"session\":\"x\"}"), HM_REFUSED);
}

static hm_result check_size(size_t length)
{
	char text[8192];
	memset(text, 'x', sizeof text);
	memcpy(text, "{\"session\":\"", 12); /* 12 bytes before and 2 behind */
	memcpy(text + 12 + length, "\"}", 3);
	return check(text);
}

Test(claims, all_claims_are_at_most_4096_bytes_as_json)
{
	listed[0].size = 8192;
	cr_expect_eq(check_size(4096 - 14), HM_OK, "%s", why.detail);
	cr_expect_eq(check_size(4096 - 13), HM_REFUSED);
	cr_expect_str_eq(why.code, "claims_too_large");
	cr_expect_str_eq(why.field, "claims");
}

/* ---- writing ---- */

static json_t *written(const char *claims_text)
{
	char text[2048];
	json_t *claims = claims_text ? json_loads(claims_text, 0, NULL) : NULL;
	struct hm_json json = hm_json(text, sizeof text);
	hm_json_begin(&json, '{');
	claims_write(&profile, claims, &json);
	hm_json_end(&json, '}');
	json_decref(claims);
	cr_assert_not(json.out.failed);
	json_t *read = json_loadb(text, json.out.used, JSON_REJECT_DUPLICATES, NULL);
	cr_assert_not_null(read, "%.*s", (int)json.out.used, text);
	return read;
}

static void expect_written(const char *claims, const char *wanted_text)
{
	json_t *wanted = json_loads(wanted_text, 0, NULL);
	json_t *read = written(claims);
	cr_expect(json_equal(read, wanted), "%s", claims ? claims : "none");
	json_decref(wanted);
	json_decref(read);
}

#define CONSTANTS "\"region\":\"eu \\\"1\\\"\",\"level\":-7,\"strict\":true,\"lax\":false"

Test(claims, constants_are_always_written_and_others_when_asked_for)
{
	expect_written(NULL, "{" CONSTANTS "}");
	expect_written("{}", "{" CONSTANTS "}");
	expect_written("{\"session\":\"a\\\"b\\u0001\",\"count\":-12,\"admin\":true}",
		"{\"session\":\"a\\\"b\\u0001\",\"count\":-12,\"admin\":true," CONSTANTS "}");
	expect_written("{\"admin\":false,\"count\":9007199254740991}",
		"{\"admin\":false,\"count\":9007199254740991," CONSTANTS "}");
}

/* The check refuses these; that they are not written either does not rest on it. */
Test(claims, what_is_not_listed_or_constant_is_not_written_whatever_was_asked)
{
	expect_written("{\"iss\":\"https://evil\",\"region\":\"us\",\"strict\":false}", "{" CONSTANTS "}");
}
