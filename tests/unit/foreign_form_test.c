/* SPDX-License-Identifier: Apache-2.0 */
/* How it is written: three parts of base64url, JSON, and a signature that has one form. */
#include "foreign_case.h"

#include "base64url.h"
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/rsa.h>

TestSuite(foreign_form, .init = begin, .fini = end);

/* ---- JSON ---- */

static const struct hostile headers[] = {
	{"{\"alg\":\"none\",\"alg\":\"EdDSA\",\"kid\":\"ed\",\"typ\":\"JWT\"}", NO_HEADER},
	{"{\"alg\":\"EdDSA\",\"kid\":\"ed\",\"typ\":\"JWT\",\"kid\":\"ed\"}", NO_HEADER},
	{"{\"alg\":\"EdDSA\",\"kid\":\"ed\",\"typ\":\"JWT\",\"al\\u0067\":\"none\"}", NO_HEADER},
	{WITH("\"x\":{\"a\":1,\"a\":1}"), NO_HEADER},
	{WITH("\"x\":\"\xc0\xaf\""), NO_HEADER},
	{WITH("\"x\":\"\\ud800\""), NO_HEADER},
	{WITH("\"x\":[[[[[[[1]]]]]]]"), NULL}, /* eight levels with the header itself */
	{WITH("\"x\":[[[[[[[[1]]]]]]]]"), NO_HEADER},
	{HEADER " ", NULL},
	{HEADER "x", NO_HEADER},
	{HEADER HEADER, NO_HEADER},
	{"\xef\xbb\xbf" HEADER, NO_HEADER},
	{"[" HEADER "]", NO_HEADER},
	{"\"EdDSA\"", NO_HEADER},
	{"null", NO_HEADER},
	{"{alg:\"EdDSA\"}", NO_HEADER},
	{"{\"alg\":\"EdDSA\",}", NO_HEADER},
};

Test(foreign_form, a_header_is_one_json_object_without_duplicates)
{
	EXPECT_HEADERS(headers);
}

Test(foreign_form, a_header_has_a_length_at_most)
{
	static char header[HM_FOREIGN_HEADER_MAX + 1];
	memset(header, ' ', sizeof header);
	memcpy(header, HEADER, sizeof HEADER - 1);
	make_bytes(&ed, header, HM_FOREIGN_HEADER_MAX, PAYLOAD, strlen(PAYLOAD));
	expect(NULL, "as long as it may be");
	make_bytes(&ed, header, HM_FOREIGN_HEADER_MAX + 1, PAYLOAD, strlen(PAYLOAD));
	expect("the header " NOT_DECODED, "one byte more");
}

/* ---- form ---- */

static void set(const char *text)
{
	token_length = strlen(text);
	memcpy(token, text, token_length + 1);
}

Test(foreign_form, what_has_not_three_parts_is_refused)
{
	static const char *const texts[] = {"", "a", "a.b", "a.b.c.d", "a.b.c.d.e", "...", "....", " "};
	static const char *const empties[] = {"..", "a..", ".b.", "..c", "a.b.", "a..c", ".b.c"};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		set(texts[i]);
		expect(NOT_THREE, texts[i]);
	}
	for (size_t i = 0; i < sizeof empties / sizeof *empties; i++) {
		set(empties[i]);
		expect(EMPTY, empties[i]);
	}
	make(&ed, HEADER, PAYLOAD);
	strcat(token, ".");
	token_length++;
	expect(NOT_THREE, "a dot at the end");
}

Test(foreign_form, one_that_is_encrypted_or_in_another_is_refused)
{
	static char inner[2048];
	make(&ed, HEADER, PAYLOAD);
	memcpy(inner, token, token_length + 1);
	make(&ed, WITH("\"cty\":\"JWT\""), inner);
	expect(NO_PAYLOAD, "a JWT in a JWT");
	set("eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4R0NNIn0..AAAA.AAAA.AAAA");
	expect(NOT_THREE, "a JWE");
	set("{\"payload\":\"AAAA\",\"protected\":\"AAAA\",\"signature\":\"AAAA\"}");
	expect(NOT_THREE, "JSON serialization");
}

Test(foreign_form, a_jwt_has_a_length_at_most)
{
	make(&ed, HEADER, PAYLOAD);
	memset(token + token_length, 'A', HM_JWT_MAX);
	token_length = HM_JWT_MAX;
	expect(NO_LENGTH, "as long as it may be");
	token_length++;
	expect("too long", "one byte more");
}

/* Sign what is in `token`, whatever that is. */
static void sign_again(const char *signed_text)
{
	uint8_t signature[HM_SIGNATURE_MAX];
	set(signed_text);
	size_t length = signer_sign(&ed, token, token_length, signature);
	token[token_length++] = '.';
	token_length += base64url_encode(signature, length, token + token_length);
	token[token_length] = 0;
}

static void encode(const char *json, char *text)
{
	text[base64url_encode(json, strlen(json), text)] = 0;
}

#define SIGNS "\"x\":\"?????? >>>>>>\"" /* has both characters that base64 writes otherwise */

/* Header and payload whose last characters have two and four bits that say nothing. */
static void encode_both(char *header, char *payload)
{
	char header_json[256] = WITH(SIGNS), payload_json[512] = "{" WHO "," TIMES "," SIGNS "}";
	while (strlen(header_json) % 3 != 2)
		strcat(header_json, " ");
	while (strlen(payload_json) % 3 != 1)
		strcat(payload_json, " ");
	encode(header_json, header);
	encode(payload_json, payload);
}

static const struct {
	const char *before, *after_header, *before_payload, *after;
} around[] = {
	{"", "=", "", ""},
	{"", "", "", "="},
	{"", "", "", "=="},
	{"", "=", "", "=="},
	{" ", "", "", ""},
	{"", "\n", "", ""},
	{"", "\r\n", "", ""},
	{"", "", "\t", ""},
	{"", "", "", " "},
	{"", "%3D", "", ""},
	{"Bearer ", "", "", ""},
	{"\"", "", "", ""},
};

Test(foreign_form, what_is_signed_has_nothing_around_its_base64url)
{
	char header[512], payload[1024], text[2048];
	encode_both(header, payload);
	snprintf(text, sizeof text, "%s.%s", header, payload);
	sign_again(text);
	expect(NULL, "as it should be");
	for (size_t i = 0; i < sizeof around / sizeof *around; i++) {
		snprintf(text, sizeof text, "%s%s%s.%s%s%s", around[i].before, header, around[i].after_header,
			around[i].before_payload, payload, around[i].after);
		sign_again(text);
		expect(NOT_DECODED, text);
	}
}

static void expect_changed(const char *text, const char *where, char changed)
{
	char other[2048];
	memcpy(other, text, strlen(text) + 1);
	other[where - text] = changed;
	sign_again(other);
	expect(NOT_DECODED, other);
}

Test(foreign_form, what_is_signed_has_one_spelling)
{
	char header[512], payload[1024], text[2048];
	encode_both(header, payload);
	snprintf(text, sizeof text, "%s.%s", header, payload);
	const char *dot = strchr(text, '.'), *last = text + strlen(text) - 1;
	expect_changed(text, strchr(text, '_'), '/');
	expect_changed(text, strchr(text, '-'), '+');
	expect_changed(text, strchr(dot, '_'), '/');
	expect_changed(text, strchr(dot, '-'), '+');
	expect_changed(text, dot - 1, (char)(dot[-1] + 1)); /* a bit that says nothing */
	expect_changed(text, last, (char)(*last + 1));
	expect_changed(text, dot + 1, '\xc3');
}

Test(foreign_form, every_changed_character_is_refused)
{
	make(&ed, HEADER, PAYLOAD);
	for (size_t i = 0; i < token_length; i++) {
		char was = token[i];
		for (int c = 0; c < 256; c++) {
			FOREIGN_JWT_AUTO jwt;
			token[i] = (char)c;
			cr_assert((char)c == was || verify(&jwt) == HM_REFUSED, "%zu: %d", i, c);
		}
		token[i] = was;
	}
}

/* ---- signature ---- */

/* Header and payload as they were, and this signature. */
static void put_signature(const uint8_t *signature, size_t length)
{
	token_length = (size_t)(strrchr(token, '.') + 1 - token);
	token_length += base64url_encode(signature, length, token + token_length);
	token[token_length] = 0;
}

static size_t get_signature(uint8_t signature[HM_SIGNATURE_MAX])
{
	const char *text = strrchr(token, '.') + 1;
	return base64url_decode(text, strlen(text), signature, HM_SIGNATURE_MAX);
}

static void expect_signature(const uint8_t *signature, size_t length, const char *refusal, const char *what)
{
	put_signature(signature, length);
	expect(refusal, what);
}

static size_t to_der(const uint8_t *raw, int half, uint8_t *der)
{
	ECDSA_SIG *pair = ECDSA_SIG_new();
	cr_assert_eq(ECDSA_SIG_set0(pair, BN_bin2bn(raw, half, NULL), BN_bin2bn(raw + half, half, NULL)), 1);
	int length = i2d_ECDSA_SIG(pair, &der);
	ECDSA_SIG_free(pair);
	return (size_t)length;
}

Test(foreign_form, an_ecdsa_signature_is_r_and_s_of_full_length)
{
	uint8_t good_one[HM_SIGNATURE_MAX + 1], bad[HM_SIGNATURE_MAX + 1], der[160];
	for (unsigned i = 0; i < 2; i++) {
		const struct signer *signer = i ? &es384 : &es256;
		size_t half = i ? 48 : 32;
		make(signer, i ? HEADER_OF("ES384", "es384") : HEADER_OF("ES256", "es256"), PAYLOAD);
		cr_assert_eq(get_signature(good_one), 2 * half);
		expect_signature(der, to_der(good_one, (int)half, der), NO_LENGTH, "DER");
		good_one[2 * half] = 0;
		expect_signature(good_one, 2 * half + 1, NO_LENGTH, "a byte more");
		expect_signature(good_one, 2 * half - 1, NO_LENGTH, "a byte less");
		expect_signature(good_one, half, NO_LENGTH, "r alone");
		memset(bad, 0, sizeof bad);
		expect_signature(bad, 2 * half, NO_SIGNER, "r and s zero");
		memcpy(bad, good_one, half);
		expect_signature(bad, 2 * half, NO_SIGNER, "s zero");
		memset(bad, 0, half);
		memcpy(bad + half, good_one + half, half);
		expect_signature(bad, 2 * half, NO_SIGNER, "r zero");
		memset(bad, 0xff, 2 * half);
		expect_signature(bad, 2 * half, NO_SIGNER, "r and s above the order");
		expect_signature(good_one, 2 * half, NULL, "the good one");
	}
}

/* Nothing may go by a JWT's bytes, then: docs/threat-model.md. */
Test(foreign_form, an_ecdsa_signature_is_as_good_with_the_other_s)
{
	uint8_t signature[HM_SIGNATURE_MAX];
	EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
	make(&es256, HEADER_OF("ES256", "es256"), PAYLOAD);
	cr_assert_eq(get_signature(signature), 64);
	BIGNUM *s = BN_bin2bn(signature + 32, 32, NULL);
	cr_assert_eq(BN_sub(s, EC_GROUP_get0_order(group), s), 1);
	cr_assert_eq(BN_bn2binpad(s, signature + 32, 32), 32);
	expect_signature(signature, 64, NULL, "the order less s");
	EC_GROUP_free(group);
	BN_free(s);
}

/* RFC 8032, section 5.1: the order of the group, least byte first. */
static const uint8_t ed25519_order[32] = {
	0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, [31] = 0x10};

Test(foreign_form, an_eddsa_signature_has_one_form)
{
	uint8_t signature[HM_SIGNATURE_MAX + 1];
	unsigned carry = 0;
	make(&ed, HEADER, PAYLOAD);
	cr_assert_eq(get_signature(signature), 64);
	signature[64] = 0;
	expect_signature(signature, 65, NO_LENGTH, "a byte more");
	for (unsigned i = 0; i < 32; i++) {
		carry += signature[32 + i] + ed25519_order[i];
		signature[32 + i] = (uint8_t)carry;
		carry >>= 8;
	}
	expect_signature(signature, 64, NO_SIGNER, "S and the order"); /* section 5.1.7 */
	memset(signature, 0, sizeof signature);
	expect_signature(signature, 64, NO_SIGNER, "zeros");
}

static void sign_pss(int salt_length)
{
	uint8_t signature[HM_SIGNATURE_MAX];
	size_t length = sizeof signature;
	EVP_PKEY_CTX *parameters;
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	make(&ps256, HEADER_OF("PS256", "rsa"), PAYLOAD);
	cr_assert_eq(EVP_DigestSignInit(context, &parameters, EVP_sha256(), NULL, rs256.pair), 1);
	cr_assert_eq(EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING), 1);
	cr_assert_eq(EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, salt_length), 1);
	cr_assert_eq(EVP_DigestSign(context, signature, &length, (const uint8_t *)token,
			     (size_t)(strrchr(token, '.') - token)),
		1);
	EVP_MD_CTX_free(context);
	put_signature(signature, length);
}

Test(foreign_form, the_salt_of_pss_is_as_long_as_the_hash)
{
	sign_pss(32);
	expect(NULL, "32");
	sign_pss(0);
	expect(NO_SIGNER, "0");
	sign_pss(31);
	expect(NO_SIGNER, "31");
	sign_pss(RSA_PSS_SALTLEN_MAX);
	expect(NO_SIGNER, "as long as possible");
}

Test(foreign_form, an_rsa_signature_is_as_long_as_its_modulus)
{
	uint8_t signature[HM_SIGNATURE_MAX + 1] = {0};
	make(&rs256, HEADER_OF("RS256", "rs256"), PAYLOAD);
	cr_assert_eq(get_signature(signature + 1), 256);
	expect_signature(signature, 257, NO_LENGTH, "a zero before it");
	expect_signature(signature + 1, 255, NO_LENGTH, "a byte less");
	memset(signature, 0, sizeof signature);
	expect_signature(signature, 256, NO_SIGNER, "zeros");
	signature[255] = 1;
	expect_signature(signature, 256, NO_SIGNER, "one");
}

Test(foreign_form, a_payload_is_not_parsed_before_its_signature_is_verified)
{
	make(&es256, HEADER, "not JSON");
	expect(NO_SIGNER, "signed by somebody else");
	make(&ed, HEADER, "not JSON");
	expect(NO_PAYLOAD, "signed");
}
