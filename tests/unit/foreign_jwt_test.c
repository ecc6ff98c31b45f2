/* SPDX-License-Identifier: Apache-2.0 */
#include "foreign_jwt.h"

#include "base64url.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

enum { NOW = 1700000000 };
#define HEADER  "{\"alg\":\"EdDSA\",\"kid\":\"o\",\"typ\":\"JWT\"}"
#define CLAIMS  "\"iss\":\"https://idp.test\",\"sub\":\"ada\",\"jti\":\"1\""
#define PAYLOAD "{" CLAIMS ",\"aud\":\"mint\",\"iat\":1700000000,\"exp\":1700000300}"

static EVP_PKEY *pair;
static struct key_set *keys;
static struct hm_problem why;
static char token[2048];
static const char *const audiences[] = {"mint"};
static struct jwt_rules rules;

static void begin(void)
{
	uint8_t raw[32];
	char x[44], text[256];
	size_t length = sizeof raw;
	pair = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	cr_assert_eq(EVP_PKEY_get_raw_public_key(pair, raw, &length), 1);
	x[base64url_encode(raw, length, x)] = 0;
	int used = snprintf(
		text, sizeof text, "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"o\",\"x\":\"%s\"}]}", x);
	cr_assert_eq(key_set_read(text, (size_t)used, KEY_SET_JWKS, &keys, &why), HM_OK);
	rules = (struct jwt_rules){.algorithms = 1U << KEY_ED25519 | 1U << KEY_ES256,
		.typs = {"JWT"},
		.issuer = "https://idp.test",
		.audiences = audiences,
		.audience_count = 1,
		.one_audience = true,
		.now = NOW,
		.max_lifetime = 300,
		.needs_iat = true,
		.needs_jti = true,
		.needs_sub = true};
}

static void end(void)
{
	key_set_free(keys);
	EVP_PKEY_free(pair);
}

TestSuite(foreign_jwt, .init = begin, .fini = end);

static void make(const char *header, const char *payload)
{
	uint8_t signature[64];
	size_t length = sizeof signature, used = base64url_encode(header, strlen(header), token);
	token[used++] = '.';
	used += base64url_encode(payload, strlen(payload), token + used);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	cr_assert_eq(EVP_DigestSignInit(context, NULL, NULL, NULL, pair), 1);
	cr_assert_eq(EVP_DigestSign(context, signature, &length, (const uint8_t *)token, used), 1);
	EVP_MD_CTX_free(context);
	token[used++] = '.';
	token[used + base64url_encode(signature, length, token + used)] = 0;
}

static hm_result verify(void)
{
	FOREIGN_JWT_AUTO jwt;
	return foreign_jwt_verify(token, strlen(token), &rules, keys, &jwt, &why);
}

Test(foreign_jwt, a_good_one_tells_who_it_is_of)
{
	FOREIGN_JWT_AUTO jwt;
	make(HEADER, PAYLOAD);
	cr_assert_eq(foreign_jwt_verify(token, strlen(token), &rules, keys, &jwt, &why), HM_OK, "%s", why.detail);
	cr_expect_str_eq(jwt.subject, "ada");
	cr_expect_str_eq(jwt.kid, "o");
	cr_expect_eq(jwt.expires, NOW + 300);
}

Test(foreign_jwt, every_changed_character_is_refused)
{
	make(HEADER, PAYLOAD);
	for (size_t i = 0; token[i]; i++) {
		char was = token[i];
		for (int c = 1; c < 256; c++) {
			token[i] = (char)c;
			cr_assert((char)c == was || verify() == HM_REFUSED, "%zu: %d", i, c);
		}
		token[i] = was;
	}
}

static const struct {
	const char *header, *payload;
} hostile[] = {
	{"{\"alg\":\"none\",\"kid\":\"o\",\"typ\":\"JWT\"}", PAYLOAD},
	{"{\"alg\":\"HS256\",\"kid\":\"o\",\"typ\":\"JWT\"}", PAYLOAD},
	{"{\"alg\":\"ES256\",\"kid\":\"o\",\"typ\":\"JWT\"}", PAYLOAD},
	{"{\"alg\":\"none\",\"alg\":\"EdDSA\",\"kid\":\"o\",\"typ\":\"JWT\"}", PAYLOAD},
	{"{\"alg\":\"EdDSA\",\"kid\":\"../o\",\"typ\":\"JWT\"}", PAYLOAD},
	{"{\"alg\":\"EdDSA\",\"typ\":\"JWT\"}", PAYLOAD},
	{"{\"alg\":\"EdDSA\",\"kid\":\"o\"}", PAYLOAD},
	{"{\"alg\":\"EdDSA\",\"kid\":\"o\",\"typ\":\"at+jwt\"}", PAYLOAD},
	{"{\"alg\":\"EdDSA\",\"kid\":\"o\",\"typ\":\"JWT\",\"jku\":\"https://a.test\"}", PAYLOAD},
	{"{\"alg\":\"EdDSA\",\"kid\":\"o\",\"typ\":\"JWT\",\"crit\":[]}", PAYLOAD},
	{"{\"alg\":\"EdDSA\",\"kid\":\"o\",\"typ\":\"JWT\",\"jwk\":{}}", PAYLOAD},
	{HEADER, "{" CLAIMS ",\"aud\":\"mint\",\"iat\":1699999700,\"exp\":1700000000}"},
	{HEADER, "{" CLAIMS ",\"aud\":\"mint\",\"iat\":1700000001,\"exp\":1700000300}"},
	{HEADER, "{" CLAIMS ",\"aud\":\"mint\",\"iat\":1700000000,\"nbf\":1700000001,\"exp\":1700000300}"},
	{HEADER, "{" CLAIMS ",\"aud\":\"mint\",\"iat\":1700000000,\"exp\":1700000301}"},
	{HEADER, "{" CLAIMS ",\"aud\":\"mint\",\"iat\":1700000000,\"exp\":1700000300.0}"},
	{HEADER, "{" CLAIMS ",\"aud\":\"mint\",\"iat\":1700000000}"},
	{HEADER, "{" CLAIMS ",\"aud\":[\"mint\",\"other\"],\"iat\":1700000000,\"exp\":1700000300}"},
	{HEADER, "{" CLAIMS ",\"aud\":\"other\",\"iat\":1700000000,\"exp\":1700000300}"},
	{HEADER, "{" CLAIMS ",\"iss\":\"x\",\"aud\":\"mint\",\"iat\":1700000000,\"exp\":1700000300}"},
	{HEADER, "{" CLAIMS ",\"aud\":\"mint\\u0000\",\"iat\":1700000000,\"exp\":1700000300}"},
	{HEADER, "{" CLAIMS ",\"x\":\"\xc0\xaf\",\"aud\":\"mint\",\"iat\":1700000000,\"exp\":1700000300}"},
	{HEADER, "[]"},
};

Test(foreign_jwt, hostile_ones_are_refused_though_they_are_signed)
{
	for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
		make(hostile[i].header, hostile[i].payload);
		cr_expect_eq(verify(), HM_REFUSED, "%s %s", hostile[i].header, hostile[i].payload);
		cr_expect_str_eq(why.code, FOREIGN_JWT_REFUSED);
	}
}

Test(foreign_jwt, rules_of_zeros_accept_nothing)
{
	make(HEADER, PAYLOAD);
	rules = (struct jwt_rules){.now = NOW};
	cr_expect_eq(verify(), HM_REFUSED);
}
