/* SPDX-License-Identifier: Apache-2.0 */
#include "jwt.h"

#include "base64url.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define KID     "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
#define SUBJECT "spiffe://demo.test/agent/first"

enum { ISSUED = 1700000000 };

static struct config_issuer issuer = {.name = "demo", .url = "https://mint.test/demo", .trust_domain = "demo.test"};
static struct config_claim claims[] = {
	{.name = "session", .type = CLAIM_STRING, .size = 1024},
	{.name = "region", .type = CLAIM_STRING, .constant = "eu"},
};
static struct config_profile profile;
static struct decision decision;
static struct mint_request request;
static struct hm_problem why;
static char tbs[HM_JWT_TBS_MAX];
static size_t length;

static void begin(void)
{
	profile = (struct config_profile){.name = "p", .kind = KIND_ACCESS_TOKEN};
	decision = (struct decision){.profile = &profile, .issuer = &issuer, .lifetime = 300, .backdate = 5};
	request = (struct mint_request){
		.profile = "p", .subject = SUBJECT, .audiences = {"https://api.demo.test"}, .audience_count = 1};
}

static void end(void)
{
	json_decref(request.claims);
}

TestSuite(jwt, .init = begin, .fini = end);

static json_t *decoded(const char *text, size_t text_length)
{
	static char json[HM_JWT_TBS_MAX];
	size_t json_length = base64url_decode(text, text_length, json, sizeof json);
	cr_assert_neq(json_length, SIZE_MAX);
	json_t *object = json_loadb(json, json_length, JSON_REJECT_DUPLICATES, NULL);
	cr_assert_not_null(object, "%.*s", (int)json_length, json);
	return object;
}

static hm_result build(void)
{
	struct jwt_times times = {.issued = ISSUED, .expires = ISSUED + decision.lifetime};
	return jwt_build(&decision, &request, "eyJ9", "AAAAAAAAAAAAAAAAAAAAAA", &times, NULL, tbs, &length, &why);
}

static void expect_payload(const char *wanted_text)
{
	json_t *wanted = json_loads(wanted_text, JSON_REJECT_DUPLICATES, NULL);
	cr_assert_not_null(wanted);
	cr_assert_eq(build(), HM_OK, "%s", why.detail);
	cr_assert_arr_eq(tbs, "eyJ9.", 5);
	json_t *payload = decoded(tbs + 5, length - 5);
	char *text = json_dumps(payload, JSON_SORT_KEYS);
	cr_expect(json_equal(payload, wanted), "%s", text);
	free(text);
	json_decref(payload);
	json_decref(wanted);
}

/* ---- header ---- */

/* RFC 9068, section 2.1: typ is at+jwt. RFC 7515, section 4.1. Written by hand, then by coreutils' basenc. */
Test(jwt, the_header_of_an_access_token_is_exactly_alg_kid_and_typ)
{
	char header[512];
	jwt_header(KEY_ES256, KEY_USE_ACCESS_TOKEN, KID, header, sizeof header);
	cr_expect_str_eq(header,
		"eyJhbGciOiJFUzI1NiIsImtpZCI6Ik56YkxzWGg4dURDY2QtNk1Od1hGNFdfN25vV1hGWkFmSGt4WnNSR0M5WHMi"
		"LCJ0eXAiOiJhdCtqd3QifQ");
}

/* JWT-SVID, section 2.3: typ, when it is there, is JWT or JOSE. */
Test(jwt, the_header_of_a_jwt_svid_has_typ_jwt_and_nothing_that_the_standard_forbids)
{
	char text[512];
	jwt_header(KEY_ES256, KEY_USE_JWT_SVID, KID, text, sizeof text);
	json_t *header = decoded(text, strlen(text));
	json_t *wanted = json_loads("{\"alg\":\"ES256\",\"kid\":\"" KID "\",\"typ\":\"JWT\"}", 0, NULL);
	cr_expect(json_equal(header, wanted));
	json_decref(header);
	json_decref(wanted);
}

Test(jwt, a_header_that_does_not_fit_is_none_rather_than_half_of_one)
{
	char whole[512], cut[512];
	jwt_header(KEY_ES256, KEY_USE_JWT_SVID, KID, whole, sizeof whole);
	for (size_t size = 1; size <= strlen(whole); size++) {
		memset(cut, '#', sizeof cut);
		jwt_header(KEY_ES256, KEY_USE_JWT_SVID, KID, cut, size);
		cr_expect_str_eq(cut, "", "size %zu", size);
	}
	jwt_header(KEY_ES256, KEY_USE_JWT_SVID, KID, cut, strlen(whole) + 1);
	cr_expect_str_eq(cut, whole);
}

/* ---- payload ---- */

/* RFC 9068, section 2.2: iss, exp, aud, sub, client_id, iat and jti are required. */
Test(jwt, an_access_token_has_every_claim_that_rfc_9068_requires)
{
	expect_payload("{\"iss\":\"https://mint.test/demo\",\"sub\":\"" SUBJECT "\",\"aud\":\"https://api.demo.test\","
		       "\"exp\":1700000300,\"nbf\":1699999995,\"iat\":1699999995,\"jti\":\"AAAAAAAAAAAAAAAAAAAAAA\","
		       "\"client_id\":\"" SUBJECT "\"}");
}

/* RFC 9449, section 6.1; RFC 8705, section 3.1. */
Test(jwt, what_is_bound_to_a_key_says_to_which)
{
	decision.cnf = "jkt";
	decision.thumbprint = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
	expect_payload("{\"iss\":\"https://mint.test/demo\",\"sub\":\"" SUBJECT "\",\"aud\":\"https://api.demo.test\","
		       "\"exp\":1700000300,\"nbf\":1699999995,\"iat\":1699999995,\"jti\":\"AAAAAAAAAAAAAAAAAAAAAA\","
		       "\"client_id\":\"" SUBJECT "\","
		       "\"cnf\":{\"jkt\":\"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I\"}}");
	decision.cnf = "x5t#S256";
	decision.thumbprint = "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2";
	expect_payload("{\"iss\":\"https://mint.test/demo\",\"sub\":\"" SUBJECT "\",\"aud\":\"https://api.demo.test\","
		       "\"exp\":1700000300,\"nbf\":1699999995,\"iat\":1699999995,\"jti\":\"AAAAAAAAAAAAAAAAAAAAAA\","
		       "\"client_id\":\"" SUBJECT "\","
		       "\"cnf\":{\"x5t#S256\":\"bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2\"}}");
}

/* JWT-SVID, section 3: sub is the SPIFFE ID; aud and exp are required. There is no client. */
Test(jwt, a_jwt_svid_has_sub_aud_and_exp_and_no_client)
{
	profile.kind = KIND_JWT_SVID;
	expect_payload("{\"iss\":\"https://mint.test/demo\",\"sub\":\"" SUBJECT "\",\"aud\":\"https://api.demo.test\","
		       "\"exp\":1700000300,\"nbf\":1699999995,\"iat\":1699999995,\"jti\":\"AAAAAAAAAAAAAAAAAAAAAA\"}");
}

/* The token process looks for it there, byte for byte. */
Test(jwt, the_issuer_stands_first)
{
	static const char wanted[] = "{\"iss\":\"https://mint.test/demo\",";
	char start[sizeof wanted - 1 + 3];
	cr_assert_eq(build(), HM_OK);
	cr_assert_neq(base64url_decode(tbs + 5, 4 * ((sizeof wanted - 1 + 2) / 3), start, sizeof start), SIZE_MAX);
	cr_expect_arr_eq(start, wanted, sizeof wanted - 1);
}

Test(jwt, iat_and_nbf_are_earlier_by_the_backdate_and_exp_is_not)
{
	static const unsigned backdates[] = {0, 1, 300};
	for (size_t i = 0; i < sizeof backdates / sizeof *backdates; i++) {
		decision.backdate = backdates[i];
		cr_assert_eq(build(), HM_OK);
		json_t *payload = decoded(tbs + 5, length - 5);
		json_int_t earlier = ISSUED - (json_int_t)backdates[i];
		cr_expect_eq(json_integer_value(json_object_get(payload, "iat")), earlier);
		cr_expect_eq(json_integer_value(json_object_get(payload, "nbf")), earlier);
		cr_expect_eq(json_integer_value(json_object_get(payload, "exp")), ISSUED + 300);
		json_decref(payload);
	}
}

/* RFC 7519, section 4.1.3: a string when there is one, an array of strings otherwise. */
Test(jwt, several_audiences_are_an_array_in_the_order_asked_for)
{
	request.audiences[1] = "https://\"b\"";
	request.audience_count = 2;
	profile.kind = KIND_JWT_SVID;
	expect_payload("{\"iss\":\"https://mint.test/demo\",\"sub\":\"" SUBJECT "\","
		       "\"aud\":[\"https://api.demo.test\",\"https://\\\"b\\\"\"],"
		       "\"exp\":1700000300,\"nbf\":1699999995,\"iat\":1699999995,\"jti\":\"AAAAAAAAAAAAAAAAAAAAAA\"}");
}

/* RFC 9068, section 2.2.3: scope as RFC 8693, section 4.2 has it: one string. */
Test(jwt, scope_and_claims_stand_in_it_and_the_context_does_not)
{
	profile.claims = claims;
	profile.claims_count = 2;
	request.scope = "read write";
	request.claims = json_loads("{\"session\":\"\\u0001\\\"\"}", 0, NULL);
	request.context = json_loads("{\"secret\":\"x\"}", 0, NULL);
	expect_payload("{\"iss\":\"https://mint.test/demo\",\"sub\":\"" SUBJECT "\",\"aud\":\"https://api.demo.test\","
		       "\"exp\":1700000300,\"nbf\":1699999995,\"iat\":1699999995,\"jti\":\"AAAAAAAAAAAAAAAAAAAAAA\","
		       "\"client_id\":\"" SUBJECT "\",\"scope\":\"read write\",\"session\":\"\\u0001\\\"\","
		       "\"region\":\"eu\"}");
	json_decref(request.context);
}

Test(jwt, the_largest_request_without_claims_fits)
{
	static char subject[HM_SPIFFE_ID_MAX + 1], scope[HM_SCOPES_MAX * (HM_SCOPE_MAX + 1)];
	static char audiences[HM_AUDIENCES_MAX][HM_AUDIENCE_MAX + 1], url[HM_URL_MAX + 1];
	memset(subject, 's', HM_SPIFFE_ID_MAX);
	memset(scope, 'c', sizeof scope - 1);
	memset(url, 'u', HM_URL_MAX);
	for (int i = 0; i < HM_AUDIENCES_MAX; i++) {
		memset(audiences[i], 'a', HM_AUDIENCE_MAX);
		request.audiences[i] = audiences[i];
	}
	request.audience_count = HM_AUDIENCES_MAX;
	request.subject = subject;
	request.scope = scope;
	struct config_issuer longest = {.url = url};
	decision.issuer = &longest;
	cr_assert_eq(build(), HM_OK, "%s", why.detail);
	cr_expect_leq(length, HM_JWT_TBS_MAX);
	json_decref(decoded(tbs + 5, length - 5));
}

/* A control character takes six in JSON. */
Test(jwt, what_becomes_too_large_is_refused_and_not_cut)
{
	char text[4000], *claim;
	memset(text, 1, sizeof text);
	text[sizeof text - 1] = 0;
	profile.claims = claims;
	profile.claims_count = 1;
	request.claims = json_pack("{s:s}", "session", text);
	cr_assert_not_null(request.claims);
	cr_expect_eq(build(), HM_REFUSED);
	cr_expect_str_eq(why.code, "claims_too_large");
	claim = text + sizeof text - 1 - 2000;
	json_object_set_new(request.claims, "session", json_string(claim));
	cr_expect_eq(build(), HM_OK, "%s", why.detail);
	json_decref(decoded(tbs + 5, length - 5));
}
