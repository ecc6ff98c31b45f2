/* SPDX-License-Identifier: Apache-2.0 */
#include "key_set.h"

#include "base64url.h"
#include "jws_verify.h"
#include "signer.h"
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* RFC 7515, appendices A.2 and A.3; RFC 8037, appendix A.4, each with a kid added. */
#define N                                                                                                        \
	"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-" \
	"SFd2lZS"                                                                                                \
	"-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-"       \
	"UTo7WTBEMa2R2"                                                                                          \
	"CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_"                         \
	"h9iaGNj8q2ethFkMLs91kzk2PAcDTW9"                                                                        \
	"gb54h4FRWyuXpoQ"
#define EC_X    "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\""
#define EC_Y    "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\""
#define RSA     "{\"kty\":\"RSA\",\"kid\":\"r\",\"e\":\"AQAB\",\"n\":\"" N "\"}"
#define EC      "{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"e\"," EC_X "," EC_Y "}"
#define OKP     "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"o\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}"
#define PAYLOAD ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"

static struct hm_problem why;

static hm_result read_keys(const char *keys, enum key_set_kind kind, struct key_set **out)
{
	char text[8192];
	int length = snprintf(text, sizeof text, "{\"keys\":[%s]}", keys);
	return key_set_read(text, (size_t)length, kind, out, &why);
}

static const struct {
	const char *kid, *data, *signature;
	enum key_algorithm algorithm;
} vectors[] = {
	{"r", "eyJhbGciOiJSUzI1NiJ9" PAYLOAD,
		"cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJ"
		"dbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN"
		"9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXL"
		"IhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
		KEY_RS256},
	{"e", "eyJhbGciOiJFUzI1NiJ9" PAYLOAD,
		"DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q", KEY_ES256},
	{"o", "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
		"hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg", KEY_ED25519},
};

Test(key_set, the_signatures_of_the_rfcs_are_those_of_their_keys)
{
	KEY_SET_AUTO *set = NULL;
	cr_assert_eq(read_keys(RSA "," EC "," OKP, KEY_SET_JWKS, &set), HM_OK, "%s", why.detail);
	cr_assert_eq(set->count, 3);
	for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
		uint8_t signature[HM_SIGNATURE_MAX];
		const struct key_set_key *key = key_set_find(set, vectors[i].kid);
		size_t length = base64url_decode(
			vectors[i].signature, strlen(vectors[i].signature), signature, sizeof signature);
		cr_assert(key && key->jwk.signature_length == length);
		cr_expect(jws_verify_with(
			key->key, vectors[i].algorithm, vectors[i].data, strlen(vectors[i].data), signature, length));
		signature[0] ^= 1;
		cr_expect_not(jws_verify_with(
			key->key, vectors[i].algorithm, vectors[i].data, strlen(vectors[i].data), signature, length));
	}
	cr_expect_null(key_set_find(set, "R"));
}

#define EC_WITH(members) "{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"e\"," EC_X "," EC_Y "," members "}"

static const struct {
	const char *keys;
	enum key_set_kind kind;
	int count; /* -1: refused */
} cases[] = {
	{"", KEY_SET_SPIFFE, 0},
	{EC, KEY_SET_SPIFFE, 0}, /* no use */
	{"{\"kty\":\"EC\",\"use\":\"jwt-svid\",\"crv\":\"P-256\",\"kid\":\"e\"," EC_X "," EC_Y "}", KEY_SET_SPIFFE, 1},
	{"{\"kty\":\"EC\",\"use\":\"x509-svid\",\"crv\":\"P-256\",\"kid\":\"e\"," EC_X "," EC_Y "}", KEY_SET_SPIFFE, 0},
	{"{\"kty\":\"OKP\",\"use\":\"jwt-svid\",\"crv\":\"Ed25519\",\"kid\":\"o\","
	 "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}",
		KEY_SET_SPIFFE, 0},
	{"{\"kty\":\"EC\",\"use\":\"enc\",\"crv\":\"P-256\",\"kid\":\"e\"," EC_X "," EC_Y "}", KEY_SET_JWKS, 0},
	{"{\"kty\":\"EC\",\"alg\":\"ES384\",\"crv\":\"P-256\",\"kid\":\"e\"," EC_X "," EC_Y "}", KEY_SET_JWKS, 0},
	{"{\"kty\":\"EC\",\"key_ops\":[\"sign\"],\"crv\":\"P-256\",\"kid\":\"e\"," EC_X "," EC_Y "}", KEY_SET_JWKS, 0},
	{"{\"kty\":\"EC\",\"crv\":\"P-521\",\"kid\":\"e\"}", KEY_SET_JWKS, 0},
	{"{\"kty\":\"AKP\",\"kid\":\"a\"}", KEY_SET_JWKS, 0},
	{"{\"kty\":\"EC\",\"crv\":\"P-256\"," EC_X "," EC_Y "}", KEY_SET_JWKS, 0}, /* no kid */
	{EC_WITH("\"use\":\"sig\""), KEY_SET_JWKS, 1},
	{EC_WITH("\"use\":\"jwt-svid\""), KEY_SET_JWKS, 0},
	{EC_WITH("\"use\":\"sig\""), KEY_SET_SPIFFE, 0},
	{EC_WITH("\"alg\":\"ES256\""), KEY_SET_JWKS, 1},
	{EC_WITH("\"alg\":\"RS256\""), KEY_SET_JWKS, 0},
	{EC_WITH("\"alg\":\"none\""), KEY_SET_JWKS, 0},
	{EC_WITH("\"key_ops\":[\"sign\",\"verify\"]"), KEY_SET_JWKS, 1},
	{EC_WITH("\"key_ops\":[]"), KEY_SET_JWKS, 0},
	{EC_WITH("\"key_ops\":\"verify\""), KEY_SET_JWKS, 0},
	{EC_WITH("\"use\":7"), KEY_SET_JWKS, -1},
	{EC_WITH("\"use\":null"), KEY_SET_JWKS, -1},
	{EC_WITH("\"alg\":[\"ES256\"]"), KEY_SET_JWKS, -1},
	{"{\"kty\":7,\"kid\":\"e\"}", KEY_SET_JWKS, -1},
	{"{\"kid\":\"e\"}", KEY_SET_JWKS, 0},
	{"{\"kty\":\"OKP\",\"crv\":\"X25519\",\"kid\":\"o\"}", KEY_SET_JWKS, 0},
	{"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"o\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHUQ\"}",
		KEY_SET_JWKS, -1},                                              /* a byte less */
	{"{\"kty\":\"EC\",\"kid\":\"e\"," EC_X "," EC_Y "}", KEY_SET_JWKS, -1}, /* no crv */
	{"{\"kty\":\"EC\",\"crv\":7,\"kid\":\"e\"," EC_X "," EC_Y "}", KEY_SET_JWKS, -1},
	{"{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"e\n\"," EC_X "," EC_Y "}", KEY_SET_JWKS, -1},
	{"{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"e\\n\"," EC_X "," EC_Y "}", KEY_SET_JWKS, -1},
	{"{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"e\\u007f\"," EC_X "," EC_Y "}", KEY_SET_JWKS, -1},
	{EC "," EC_WITH("\"use\":\"enc\""), KEY_SET_JWKS, 1}, /* one kid, but one key is ignored */
	{EC "," EC, KEY_SET_JWKS, -1},
	{EC ",{\"kty\":\"oct\",\"k\":\"AAAA\"}", KEY_SET_JWKS, -1},
	{"{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"e\",\"d\":\"AAAA\"," EC_X "," EC_Y "}", KEY_SET_JWKS, -1},
	{"{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"\"," EC_X "," EC_Y "}", KEY_SET_JWKS, -1},
	{"{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":7," EC_X "," EC_Y "}", KEY_SET_JWKS, -1},
	{"{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"e\"," EC_X "}", KEY_SET_JWKS, -1},
	{"{\"kty\":\"EC\",\"crv\":\"P-384\",\"kid\":\"e\"," EC_X "," EC_Y "}", KEY_SET_JWKS, -1},
	{"{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"e\"," EC_X
	 ",\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a4\"}",
		KEY_SET_JWKS, -1}, /* not on the curve */
	{"{\"kty\":\"RSA\",\"kid\":\"r\",\"e\":\"Aw\",\"n\":\"" N "\"}", KEY_SET_JWKS, -1},
	{"{\"kty\":\"RSA\",\"kid\":\"r\",\"e\":\"AQAAAAE\",\"n\":\"" N "\"}", KEY_SET_JWKS, -1},
	{"{\"kty\":\"RSA\",\"kid\":\"r\",\"e\":\"AQAA\",\"n\":\"" N "\"}", KEY_SET_JWKS, -1},
	{"{\"kty\":\"RSA\",\"kid\":\"r\",\"e\":\"AAEAAQ\",\"n\":\"" N "\"}", KEY_SET_JWKS, -1},
	{"{\"kty\":\"RSA\",\"kid\":\"r\",\"e\":\"AQAC\",\"n\":\"" N "\"}", KEY_SET_JWKS, -1},
	{"{\"kty\":\"RSA\",\"kid\":\"r\",\"e\":\"AQAB\",\"n\":\"AAAA" N "\"}", KEY_SET_JWKS, -1},
	{"{\"kty\":\"RSA\",\"kid\":\"r\",\"e\":\"AQAB\",\"n\":\"qg\"}", KEY_SET_JWKS, -1}, /* even */
	{"{\"kty\":\"RSA\",\"kid\":\"r\",\"e\":\"AQAB\"}", KEY_SET_JWKS, -1},
	{"{\"kty\":\"RSA\",\"kid\":\"r\",\"e\":\"AQAB\",\"n\":\"qw\"}", KEY_SET_JWKS, 0}, /* small */
	{"7", KEY_SET_JWKS, -1},
	{"{\"kid\":\"a\",\"kid\":\"b\"}", KEY_SET_JWKS, -1},
	{"[[[[[[[[[]]]]]]]]]", KEY_SET_JWKS, -1},
};

Test(key_set, keys_are_taken_ignored_or_make_the_set_refused)
{
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		KEY_SET_AUTO *set = NULL;
		hm_result result = read_keys(cases[i].keys, cases[i].kind, &set);
		cr_expect_eq(result, cases[i].count < 0 ? HM_REFUSED : HM_OK, "%s: %s", cases[i].keys, why.detail);
		cr_expect_eq(set ? (int)set->count : -1, cases[i].count, "%s", cases[i].keys);
	}
}

static int count_of_jwk(const json_t *jwk)
{
	KEY_SET_AUTO *set = NULL;
	char *text = json_dumps(jwk, JSON_COMPACT);
	hm_result result = read_keys(text, KEY_SET_JWKS, &set);
	free(text);
	return result == HM_OK ? (int)set->count : -1;
}

/* A key one of whose coordinates ends with a zero byte. */
static json_t *make_jwk(const char *coordinate, uint8_t bytes[32])
{
	for (;;) {
		char text[JWK_MEMBERS_MAX + 32];
		struct signer signer;
		signer_open(&signer, KEY_ES256);
		snprintf(text, sizeof text, "{\"kid\":\"e\",%s}", signer.jwk.members);
		signer_close(&signer);
		json_t *jwk = json_loads(text, 0, NULL);
		const char *value = json_string_value(json_object_get(jwk, coordinate));
		cr_assert_eq(base64url_decode(value, strlen(value), bytes, 32), 32);
		if (!bytes[31])
			return jwk;
		json_decref(jwk);
	}
}

Test(key_set, a_coordinate_that_ends_with_zero_has_all_its_bytes)
{
	static const char *const names[] = {"x", "y"};
	for (unsigned i = 0; i < 2; i++) {
		uint8_t bytes[32];
		char text[64];
		json_t *jwk = make_jwk(names[i], bytes);
		cr_expect_eq(count_of_jwk(jwk), 1);
		text[base64url_encode(bytes, 31, text)] = 0;
		cr_assert_eq(json_object_set_new(jwk, names[i], json_string(text)), 0);
		cr_expect_eq(count_of_jwk(jwk), -1, "%s", names[i]);
		json_decref(jwk);
	}
}

/* An odd number of so many times three bytes. */
static int count_of_rsa(size_t threes)
{
	char n[2048], text[2560];
	KEY_SET_AUTO *set = NULL;
	memset(n, 'q', 4 * threes);
	n[4 * threes - 1] = 'r';
	snprintf(text, sizeof text, "{\"kty\":\"RSA\",\"kid\":\"r\",\"e\":\"AQAB\",\"n\":\"%.*s\"}", (int)(4 * threes),
		n);
	return read_keys(text, KEY_SET_JWKS, &set) == HM_OK ? (int)set->count : -1;
}

Test(key_set, rsa_keys_of_other_sizes_are_ignored)
{
	cr_expect_eq(count_of_rsa(2040 / 24), 0);
	cr_expect_eq(count_of_rsa(2064 / 24), 1);
	cr_expect_eq(count_of_rsa(4080 / 24), 1);
	cr_expect_eq(count_of_rsa(4104 / 24), 0);
	cr_expect_eq(count_of_rsa(8184 / 24), 0);
	cr_expect_eq(count_of_rsa(8208 / 24), -1);
}

static int count_of_kid(size_t length)
{
	char kid[HM_FOREIGN_KID_MAX + 2], text[1024];
	KEY_SET_AUTO *set = NULL;
	memset(kid, 'k', length);
	snprintf(text, sizeof text, "{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"%.*s\"," EC_X "," EC_Y "}",
		(int)length, kid);
	return read_keys(text, KEY_SET_JWKS, &set) == HM_OK ? (int)set->count : -1;
}

Test(key_set, a_kid_has_a_length_at_most)
{
	cr_expect_eq(count_of_kid(HM_FOREIGN_KID_MAX), 1);
	cr_expect_eq(count_of_kid(HM_FOREIGN_KID_MAX + 1), -1);
}

Test(key_set, a_set_with_any_private_part_is_refused)
{
	static const char *const names[] = {"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		char text[1024];
		KEY_SET_AUTO *set = NULL;
		snprintf(text, sizeof text, EC ",{\"kty\":\"other\",\"use\":\"enc\",\"%s\":null}", names[i]);
		cr_expect_eq(read_keys(text, KEY_SET_JWKS, &set), HM_REFUSED, "%s", names[i]);
		cr_expect_eq(read_keys(text, KEY_SET_SPIFFE, &set), HM_REFUSED, "%s", names[i]);
	}
}

static hm_result read_many(const char *before, const char *one, unsigned count, const char *after)
{
	static char text[64 * 1024];
	KEY_SET_AUTO *set = NULL;
	size_t used = (size_t)snprintf(text, sizeof text, "%s%s", before, one);
	for (unsigned i = 1; i < count; i++)
		used += (size_t)snprintf(text + used, sizeof text - used, ",%s", one);
	used += (size_t)snprintf(text + used, sizeof text - used, "%s", after);
	return key_set_read(text, used, KEY_SET_JWKS, &set, &why);
}

Test(key_set, keys_values_and_levels_are_bounded)
{
	enum { BEFORE = 5 }; /* the object, two names and their values */
	cr_expect_eq(read_many("{\"keys\":[", "{}", HM_KEY_SET_KEYS_MAX, "]}"), HM_OK);
	cr_expect_eq(read_many("{\"keys\":[", "{}", HM_KEY_SET_KEYS_MAX + 1, "]}"), HM_REFUSED);
	cr_expect_eq(read_many("{\"keys\":[],\"x\":[", "1", HM_KEY_SET_VALUES_MAX - BEFORE, "]}"), HM_OK);
	cr_expect_eq(read_many("{\"keys\":[],\"x\":[", "1", HM_KEY_SET_VALUES_MAX - BEFORE + 1, "]}"), HM_REFUSED);
	cr_expect_eq(read_many("{\"keys\":[],\"x\":", "[[[[[[[]]]]]]]", 1, "}"), HM_OK);
	cr_expect_eq(read_many("{\"keys\":[],\"x\":", "[[[[[[[[]]]]]]]]", 1, "}"), HM_REFUSED);
}

Test(key_set, documents_that_are_none_or_too_large_are_refused)
{
	static char large[HM_KEY_SET_MAX + 1];
	static const char *const texts[] = {
		"", "[]", "{}", "{\"keys\":{}}", "{\"keys\":[]} x", "{\"keys\":[],\"keys\":[]}"};
	struct key_set *set;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		cr_expect_eq(
			key_set_read(texts[i], strlen(texts[i]), KEY_SET_JWKS, &set, &why), HM_REFUSED, "%s", texts[i]);
	memset(large, ' ', sizeof large);
	memcpy(large, "{\"keys\":[]}", 11);
	cr_expect_eq(key_set_read(large, sizeof large, KEY_SET_JWKS, &set, &why), HM_REFUSED);
	cr_assert_eq(key_set_read(large, sizeof large - 1, KEY_SET_JWKS, &set, &why), HM_OK);
	key_set_free(set);
}
