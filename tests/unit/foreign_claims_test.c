/* SPDX-License-Identifier: Apache-2.0 */
/* What a JWT claims that was signed by whom it should: foreign_jwt.h. Each has one thing that is wrong. */
#include "foreign_case.h"

TestSuite(foreign_claims, .init = begin, .fini = end);

#define LATE     "it has expired"
#define EARLY    "iat or nbf is in the future"
#define ORDER    "exp is not after iat and nbf"
#define LONG     "it lives too long"
#define NO_EXP   "exp is no whole number of seconds"
#define NO_IAT   "iat is no whole number of seconds"
#define NO_NBF   "nbf is no whole number of seconds"
#define NO_AUD   "aud has none that is expected"
#define ODD_AUD  "aud has something that is no string"
#define OTHERS   "aud has others besides"
#define NO_ISS   "iss is no string"
#define BAD_ISS  "iss is not who is expected"
#define NO_SUB   "sub is no string"
#define NO_JTI   "jti is no string"
#define NO_BYTES "the payload is no base64url"

/* ---- times ---- */

static const struct {
	const char *times, *refusal;
	unsigned leeway;
} times[] = {
	{"\"iat\":1699999701,\"exp\":1700000001", NULL, 0},
	{"\"iat\":1699999700,\"exp\":1700000000", LATE, 0},
	{"\"iat\":1699999671,\"exp\":1699999971", NULL, 30},
	{"\"iat\":1699999670,\"exp\":1699999970", LATE, 30},
	{"\"iat\":1699999999,\"exp\":1700000000", NULL, 1},
	{"\"iat\":1699999998,\"exp\":1699999999", LATE, 1},
	{"\"iat\":1700000000,\"exp\":1700000001", NULL, 0},
	{"\"iat\":1700000001,\"exp\":1700000301", EARLY, 0},
	{"\"iat\":1700000030,\"exp\":1700000330", NULL, 30},
	{"\"iat\":1700000031,\"exp\":1700000331", EARLY, 30},
	{"\"nbf\":1700000000,\"iat\":1700000000,\"exp\":1700000300", NULL, 0},
	{"\"nbf\":1700000001,\"iat\":1700000000,\"exp\":1700000300", EARLY, 0},
	{"\"nbf\":1700000030,\"iat\":1700000000,\"exp\":1700000300", NULL, 30},
	{"\"nbf\":1700000031,\"iat\":1700000000,\"exp\":1700000300", EARLY, 30},
	{"\"nbf\":0,\"iat\":1700000000,\"exp\":1700000300", NULL, 0},
	{"\"iat\":1700000010,\"exp\":1700000010", ORDER, 30},
	{"\"iat\":1700000010,\"exp\":1700000009", ORDER, 30},
	{"\"nbf\":1700000010,\"iat\":1700000000,\"exp\":1700000010", ORDER, 30},
	{"\"iat\":1700000000,\"exp\":1700000300", NULL, 0},
	{"\"iat\":1700000000,\"exp\":1700000301", LONG, 0},
	{"\"iat\":1699999999,\"exp\":1700000300", LONG, 30},
	{"\"iat\":0,\"exp\":1700000300", LONG, 0},
	{"\"iat\":1700000000,\"exp\":1700000300", NULL, HM_LEEWAY_MAX},
	{"\"iat\":1700000000,\"exp\":1700000300", "a larger leeway than is allowed", HM_LEEWAY_MAX + 1},
	{"\"iat\":1700000000,\"exp\":1700000300", "a larger leeway than is allowed", ~0U},
};

Test(foreign_claims, it_is_good_from_iat_and_nbf_until_exp)
{
	char payload[512];
	for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
		rules.leeway = times[i].leeway;
		snprintf(payload, sizeof payload, "{" WHO ",%s}", times[i].times);
		make(&ed, HEADER, payload);
		expect(times[i].refusal, times[i].times);
	}
}

static const struct hostile numbers[] = {
	{"{" WHO ",\"iat\":1700000000}", NO_EXP},
	{"{" WHO ",\"iat\":1700000000,\"exp\":\"1700000300\"}", NO_EXP},
	{"{" WHO ",\"iat\":1700000000,\"exp\":1700000300.0}", NO_EXP},
	{"{" WHO ",\"iat\":1700000000,\"exp\":17000003e2}", NO_EXP},
	{"{" WHO ",\"iat\":1700000000,\"exp\":1e308}", NO_EXP},
	{"{" WHO ",\"iat\":1700000000,\"exp\":1e309}", NO_PAYLOAD},
	{"{" WHO ",\"iat\":1700000000,\"exp\":-1700000300}", NO_EXP},
	{"{" WHO ",\"iat\":1700000000,\"exp\":-1}", NO_EXP},
	{"{" WHO ",\"iat\":1700000000,\"exp\":0}", LATE},
	{"{" WHO ",\"iat\":1700000000,\"exp\":253402300799}", LONG},
	{"{" WHO ",\"iat\":1700000000,\"exp\":253402300800}", NO_EXP},
	{"{" WHO ",\"iat\":1700000000,\"exp\":9223372036854775807}", NO_EXP},
	{"{" WHO ",\"iat\":1700000000,\"exp\":9223372036854775808}", NO_PAYLOAD},
	{"{" WHO ",\"iat\":1700000000,\"exp\":18446744075409551916}", NO_PAYLOAD}, /* 2^64 more than is good */
	{"{" WHO ",\"iat\":1700000000,\"exp\":01700000300}", NO_PAYLOAD},
	{"{" WHO ",\"iat\":1700000000,\"exp\":0x6553f22c}", NO_PAYLOAD},
	{"{" WHO ",\"iat\":1700000000,\"exp\":NaN}", NO_PAYLOAD},
	{"{" WHO ",\"iat\":1700000000,\"exp\":true}", NO_EXP},
	{"{" WHO ",\"iat\":1700000000,\"exp\":null}", NO_EXP},
	{"{" WHO ",\"iat\":1700000000,\"exp\":[1700000300]}", NO_EXP},
	{"{" WHO ",\"exp\":1700000300}", NO_IAT},
	{"{" WHO ",\"iat\":\"1700000000\",\"exp\":1700000300}", NO_IAT},
	{"{" WHO ",\"iat\":1700000000.5,\"exp\":1700000300}", NO_IAT},
	{"{" WHO ",\"iat\":-1,\"exp\":1700000300}", NO_IAT},
	{"{" WHO ",\"iat\":null,\"exp\":1700000300}", NO_IAT},
	{"{" WHO ",\"nbf\":\"1700000000\",\"iat\":1700000000,\"exp\":1700000300}", NO_NBF},
	{"{" WHO ",\"nbf\":1.0,\"iat\":1700000000,\"exp\":1700000300}", NO_NBF},
	{"{" WHO ",\"nbf\":-1,\"iat\":1700000000,\"exp\":1700000300}", NO_NBF},
	{"{" WHO ",\"nbf\":null,\"iat\":1700000000,\"exp\":1700000300}", NO_NBF},
};

Test(foreign_claims, times_are_whole_seconds)
{
	EXPECT_PAYLOADS(numbers);
}

Test(foreign_claims, times_that_are_not_needed_may_be_missing_but_not_wrong)
{
	static const struct hostile claims[] = {
		{"{" WHO ",\"exp\":1700000300}", NULL},
		{"{" WHO ",\"exp\":1700000301}", LONG},
		{"{" WHO ",\"iat\":\"1700000000\",\"exp\":1700000300}", NO_IAT},
		{"{" WHO ",\"iat\":1700000001,\"exp\":1700000300}", EARLY},
	};
	rules.needs_iat = false;
	EXPECT_PAYLOADS(claims);
	rules.needs_nbf = true;
	make(&ed, HEADER, PAYLOAD);
	expect(NO_NBF, "nbf is needed");
}

/* ---- audience ---- */

#define FOR(audience) "{\"iss\":\"https://idp.test\",\"sub\":\"ada\",\"jti\":\"1\"" audience "," TIMES "}"

static const struct {
	const char *payload, *refusal, *refusal_of_one;
} targets[] = {
	{FOR(",\"aud\":\"mint\""), NULL, NULL},
	{FOR(",\"aud\":[\"mint\"]"), NULL, NULL},
	{FOR(",\"aud\":[\"https://mint.test\"]"), NULL, NULL},
	{FOR(",\"aud\":[\"other\",\"mint\"]"), NULL, OTHERS},
	{FOR(",\"aud\":[\"mint\",\"other\"]"), NULL, OTHERS},
	{FOR(",\"aud\":[\"mint\",\"https://mint.test\"]"), NULL, OTHERS},
	{FOR(",\"aud\":[\"mint\",\"mint\"]"), NULL, OTHERS},
	{FOR(""), NO_AUD, NO_AUD},
	{FOR(",\"aud\":null"), NO_AUD, NO_AUD},
	{FOR(",\"aud\":7"), NO_AUD, NO_AUD},
	{FOR(",\"aud\":{\"mint\":\"mint\"}"), NO_AUD, NO_AUD},
	{FOR(",\"aud\":[]"), NO_AUD, NO_AUD},
	{FOR(",\"aud\":\"\""), NO_AUD, NO_AUD},
	{FOR(",\"aud\":[\"\"]"), NO_AUD, NO_AUD},
	{FOR(",\"aud\":\"other\""), NO_AUD, NO_AUD},
	{FOR(",\"aud\":[\"other\",\"others\"]"), NO_AUD, NO_AUD},
	{FOR(",\"aud\":\"MINT\""), NO_AUD, NO_AUD},
	{FOR(",\"aud\":\"mint \""), NO_AUD, NO_AUD},
	{FOR(",\"aud\":\"min\""), NO_AUD, NO_AUD},
	{FOR(",\"aud\":\"https://mint.test/\""), NO_AUD, NO_AUD},
	{FOR(",\"aud\":\"mint other\""), NO_AUD, NO_AUD},
	{FOR(",\"aud\":\"mint\\u0000\""), NO_PAYLOAD, NO_PAYLOAD},
	{FOR(",\"aud\":[\"mint\",7]"), ODD_AUD, ODD_AUD},
	{FOR(",\"aud\":[7,\"mint\"]"), ODD_AUD, ODD_AUD},
	{FOR(",\"aud\":[\"mint\",null]"), ODD_AUD, ODD_AUD},
	{FOR(",\"aud\":[[\"mint\"]]"), ODD_AUD, ODD_AUD},
	{FOR(",\"aud\":[{\"mint\":\"mint\"}]"), ODD_AUD, ODD_AUD},
};

Test(foreign_claims, one_of_ours_has_to_be_in_aud_and_no_other_where_that_is_demanded)
{
	for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
		make(&ed, HEADER, targets[i].payload);
		rules.one_audience = false;
		expect(targets[i].refusal, targets[i].payload);
		rules.one_audience = true;
		expect(targets[i].refusal_of_one, targets[i].payload);
	}
}

/* ---- who ---- */

#define BY(issuer) "{\"sub\":\"ada\",\"jti\":\"1\",\"aud\":\"mint\"" issuer "," TIMES "}"

static const struct {
	const char *payload, *refusal, *refusal_of_any;
} issuers[] = {
	{BY(",\"iss\":\"https://idp.test\""), NULL, NULL},
	{BY(",\"iss\":\"https:\\/\\/idp.test\""), NULL, NULL},
	{BY(",\"iss\":\"https://other.test\""), BAD_ISS, NULL},
	{BY(",\"iss\":\"https://idp.test/\""), BAD_ISS, NULL},
	{BY(",\"iss\":\"https://idp.test.evil.test\""), BAD_ISS, NULL},
	{BY(",\"iss\":\"https://idp.tes\""), BAD_ISS, NULL},
	{BY(",\"iss\":\"https://IDP.test\""), BAD_ISS, NULL},
	{BY(",\"iss\":\" https://idp.test\""), BAD_ISS, NULL},
	{BY(""), NO_ISS, NULL},
	{BY(",\"iss\":\"\""), NO_ISS, NO_ISS},
	{BY(",\"iss\":null"), NO_ISS, NO_ISS},
	{BY(",\"iss\":7"), NO_ISS, NO_ISS},
	{BY(",\"iss\":[\"https://idp.test\"]"), NO_ISS, NO_ISS},
	{BY(",\"iss\":\"https://idp.test\\n\""), NO_ISS, NO_ISS},
	{BY(",\"iss\":\"https://idp.test\\u0000\""), NO_PAYLOAD, NO_PAYLOAD},
};

Test(foreign_claims, iss_is_exactly_who_is_expected_or_not_looked_at)
{
	for (size_t i = 0; i < sizeof issuers / sizeof *issuers; i++) {
		make(&ed, HEADER, issuers[i].payload);
		rules.any_issuer = false;
		expect(issuers[i].refusal, issuers[i].payload);
		rules.any_issuer = true;
		expect(issuers[i].refusal_of_any, issuers[i].payload);
	}
}

#define OF_SUB(sub) "{\"iss\":\"https://idp.test\",\"jti\":\"1\",\"aud\":\"mint\"" sub "," TIMES "}"
#define OF_JTI(jti) "{\"iss\":\"https://idp.test\",\"sub\":\"ada\",\"aud\":\"mint\"" jti "," TIMES "}"

static const struct hostile texts[] = {
	{OF_SUB(",\"sub\":\"\\u00e9 \\ud83d\\udd11 \xc3\xa9 a/b\""), NULL},
	{OF_SUB(""), NO_SUB},
	{OF_SUB(",\"sub\":\"\""), NO_SUB},
	{OF_SUB(",\"sub\":null"), NO_SUB},
	{OF_SUB(",\"sub\":7"), NO_SUB},
	{OF_SUB(",\"sub\":[\"ada\"]"), NO_SUB},
	{OF_SUB(",\"sub\":\"ada\\u0001\""), NO_SUB},
	{OF_SUB(",\"sub\":\"ada\\nroot\""), NO_SUB},
	{OF_SUB(",\"sub\":\"\\u001b[2Jada\""), NO_SUB},
	{OF_SUB(",\"sub\":\"ada\\u007f\""), NO_SUB},
	{OF_SUB(",\"sub\":\"ada\x7f\""), NO_SUB},
	{OF_SUB(",\"sub\":\"ada\\u0000root\""), NO_PAYLOAD},
	{OF_SUB(",\"sub\":\"ada\x01\""), NO_PAYLOAD},
	{OF_SUB(",\"sub\":\"ada\\ud800\""), NO_PAYLOAD},
	{OF_SUB(",\"sub\":\"ada\\udc00\\ud800\""), NO_PAYLOAD},
	{OF_SUB(",\"sub\":\"\xc0\xaf\""), NO_PAYLOAD},     /* a slash in too many bytes */
	{OF_SUB(",\"sub\":\"\xed\xa0\x80\""), NO_PAYLOAD}, /* half of a pair */
	{OF_SUB(",\"sub\":\"\xf4\x90\x80\x80\""), NO_PAYLOAD},
	{OF_SUB(",\"sub\":\"\xc3\""), NO_PAYLOAD},
	{OF_SUB(",\"sub\":\"\xff\""), NO_PAYLOAD},
	{OF_SUB(",\"sub\":\"ada\",\"sub\":\"root\""), NO_PAYLOAD},
	{OF_SUB(",\"sub\":\"ada\",\"s\\u0075b\":\"root\""), NO_PAYLOAD},
	{OF_JTI(""), NO_JTI},
	{OF_JTI(",\"jti\":\"\""), NO_JTI},
	{OF_JTI(",\"jti\":7"), NO_JTI},
	{OF_JTI(",\"jti\":\"1\\r\""), NO_JTI},
};

Test(foreign_claims, texts_are_utf_8_without_control_characters)
{
	EXPECT_PAYLOADS(texts);
}

Test(foreign_claims, texts_that_are_not_needed_may_be_missing_but_not_wrong)
{
	static const struct hostile claims[] = {
		{OF_SUB(""), NULL},
		{OF_JTI(""), NULL},
		{OF_SUB(",\"sub\":\"\""), NO_SUB},
		{OF_JTI(",\"jti\":7"), NO_JTI},
	};
	rules.needs_sub = rules.needs_jti = false;
	EXPECT_PAYLOADS(claims);
}

static void expect_length(const char *name, size_t length, const char *refusal)
{
	static char text[HM_SPIFFE_ID_MAX + 2], payload[4 * HM_SPIFFE_ID_MAX];
	memset(text, 'a', length);
	text[length] = 0;
	snprintf(payload, sizeof payload, "{\"sub\":\"%s\",\"iss\":\"%s\",\"jti\":\"%s\",\"aud\":\"mint\"," TIMES "}",
		strcmp(name, "sub") == 0 ? text : "s", strcmp(name, "iss") == 0 ? text : "i",
		strcmp(name, "jti") == 0 ? text : "j");
	make(&ed, HEADER, payload);
	expect(refusal, name);
}

Test(foreign_claims, texts_have_a_length_at_most)
{
	rules.any_issuer = true;
	expect_length("sub", HM_SPIFFE_ID_MAX, NULL);
	expect_length("sub", HM_SPIFFE_ID_MAX + 1, NO_SUB);
	expect_length("iss", HM_URL_MAX, NULL);
	expect_length("iss", HM_URL_MAX + 1, NO_ISS);
	expect_length("jti", HM_FOREIGN_JTI_MAX, NULL);
	expect_length("jti", HM_FOREIGN_JTI_MAX + 1, NO_JTI);
}

/* ---- the whole payload ---- */

static const struct hostile payloads[] = {
	{"{" WHO "," TIMES ",\"x\":[[[[[[[1]]]]]]]}", NULL},
	{"{" WHO "," TIMES ",\"x\":[[[[[[[[1]]]]]]]]}", NO_PAYLOAD},
	{"{" WHO "," TIMES ",\"x\":{\"a\":1,\"a\":1}}", NO_PAYLOAD},
	{"{" WHO "," TIMES ",\"exp\":1700000300}", NO_PAYLOAD},
	{"{" WHO "," TIMES ",\"aud\":\"mint\"}", NO_PAYLOAD},
	{"{" WHO "," TIMES "}{}", NO_PAYLOAD},
	{"{" WHO "," TIMES, NO_PAYLOAD},
	{"[{" WHO "," TIMES "}]", NO_PAYLOAD},
	{"\xef\xbb\xbf{" WHO "," TIMES "}", NO_PAYLOAD},
	{"{" WHO "," TIMES ",\"\":\"\"}", NULL},
	{"[]", NO_PAYLOAD},
	{"null", NO_PAYLOAD},
	{" ", NO_PAYLOAD},
};

Test(foreign_claims, a_payload_is_one_json_object_without_duplicates)
{
	EXPECT_PAYLOADS(payloads);
}

Test(foreign_claims, a_payload_has_a_length_at_most)
{
	static char payload[HM_JWT_PAYLOAD_MAX + 1];
	memset(payload, ' ', sizeof payload);
	memcpy(payload, PAYLOAD, strlen(PAYLOAD));
	make_bytes(&ed, HEADER, strlen(HEADER), payload, HM_JWT_PAYLOAD_MAX);
	expect(NULL, "as long as it may be");
	make_bytes(&ed, HEADER, strlen(HEADER), payload, HM_JWT_PAYLOAD_MAX + 1);
	expect(NO_BYTES, "one byte more");
	memset(payload, '[', HM_JWT_PAYLOAD_MAX);
	make_bytes(&ed, HEADER, strlen(HEADER), payload, HM_JWT_PAYLOAD_MAX);
	expect(NO_PAYLOAD, "as deep as it may be long");
	memset(payload, 0, HM_JWT_PAYLOAD_MAX);
	make_bytes(&ed, HEADER, strlen(HEADER), payload, HM_JWT_PAYLOAD_MAX);
	expect(NO_PAYLOAD, "zeros");
}

Test(foreign_claims, a_payload_has_a_number_of_values_at_most)
{
	static char payload[HM_JWT_PAYLOAD_MAX];
	enum { BEFORE = 1 + 2 * 6 + 2 }; /* the object, six members with their names, x and its array */
	size_t used = (size_t)snprintf(payload, sizeof payload, "{" WHO "," TIMES ",\"x\":[1");
	for (unsigned values = BEFORE + 1; values < HM_JSON_MAX_TOKENS; values++)
		used += (size_t)snprintf(payload + used, sizeof payload - used, ",1");
	memcpy(payload + used, "]}", 3);
	make(&ed, HEADER, payload);
	expect(NULL, "as many as there may be");
	memcpy(payload + used, ",1]}", 5);
	make(&ed, HEADER, payload);
	expect(NO_PAYLOAD, "one more");
}

/* ---- rules ---- */

Test(foreign_claims, rules_of_zeros_accept_nothing)
{
	make(&ed, HEADER, PAYLOAD);
	rules = (struct jwt_rules){.now = NOW};
	expect("", "zeros");
}

Test(foreign_claims, what_the_rules_leave_out_is_not_accepted)
{
	const struct jwt_rules whole = rules;
	make(&ed, HEADER, PAYLOAD);
	rules.issuer = NULL;
	expect(BAD_ISS, "no issuer");
	rules = whole;
	rules.audience_count = 0;
	expect(NO_AUD, "no audience");
	rules = whole;
	rules.max_lifetime = 0;
	expect(LONG, "no lifetime");
	rules = whole;
	rules.typs[0] = NULL;
	expect(NO_TYP, "no typ");
	rules = whole;
	rules.algorithms = 0;
	expect(NO_ALG, "no algorithm");
	rules = whole;
	expect(NULL, "all of them");
}
