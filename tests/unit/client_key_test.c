/* SPDX-License-Identifier: Apache-2.0 */
/* With examples of RFC 9421, appendix B.2, whose keys are in appendix B.1. */
#include "client_certificate.h"

#include "base64.h"
#include <criterion/criterion.h>
#include <string.h>

struct example {
	const char *alg, *key, *signature, *base;
};

static const struct example ed25519 = {"ed25519", "MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=",
	"wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==",
	"\"date\": Tue, 20 Apr 2021 02:07:55 GMT\n\"@method\": POST\n\"@path\": /foo\n\"@authority\": example.com\n"
	"\"content-type\": application/json\n\"content-length\": 18\n"
	"\"@signature-params\": (\"date\" \"@method\" \"@path\" \"@authority\" \"content-type\" \"content-length\")"
	";created=1618884473;keyid=\"test-key-ed25519\""};

static const struct example p256 = {"ecdsa-p256-sha256",
	"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqIVYZVLCrPZHGHjP17CTW0/+D9Lfw0EkjqF7xB4FivAxzic30tMM4GF+hR6Dxh71Z50VGGdldk"
	"kDXZCnTNnoXQ==",
	"wNmSUAhwb5LxtOtOpNa6W5xj067m5hFrj0XQ4fvpaCLx0NKocgPquLgyahnzDnDAUy5eCdlYUEkLIj+32oiasw==",
	"\"@status\": 200\n\"content-type\": application/json\n\"content-digest\": "
	"sha-512=:mEWXIS7MaLRuGgxOBdODa3xqM1XdEvxo"
	"YhvlCFJ41QJgJc4GTsPp29l5oGX69wWdXymyU0rjJuahq4l5aGgfLQ==:\n\"content-length\": 23\n"
	"\"@signature-params\": (\"@status\" \"content-type\" \"content-digest\" \"content-length\");created=1618884473"
	";keyid=\"test-key-ecc-p256\""};

static hm_result verify(const struct example *example, const char *alg, size_t without, size_t flipped)
{
	uint8_t spki[256], signature[128];
	const unsigned char *at = spki;
	struct hm_problem why;
	size_t spki_length = base64_decode(example->key, strlen(example->key), spki, sizeof spki);
	size_t length = base64_decode(example->signature, strlen(example->signature), signature, sizeof signature);
	cr_assert_neq(spki_length, SIZE_MAX);
	cr_assert_neq(length, SIZE_MAX);
	EVP_PKEY *key = d2i_PUBKEY(NULL, &at, (long)spki_length);
	cr_assert_not_null(key);
	if (flipped < length)
		signature[flipped] ^= 1;
	hm_result result = client_key_verify(key, alg, (struct hm_bytes){signature, length - without},
		(struct hm_bytes){(const uint8_t *)example->base, strlen(example->base)}, &why);
	EVP_PKEY_free(key);
	return result;
}

static void expect_example(const struct example *example)
{
	cr_expect_eq(verify(example, example->alg, 0, SIZE_MAX), HM_OK, "%s", example->alg);
	for (size_t i = 0; i < 64; i++)
		cr_expect_eq(verify(example, example->alg, 0, i), HM_REFUSED, "%s: byte %zu", example->alg, i);
	for (size_t without = 1; without <= 64; without++)
		cr_expect_eq(verify(example, example->alg, without, SIZE_MAX), HM_REFUSED, "%zu less", without);
}

Test(client_key, examples_of_the_rfc_are_good_and_none_that_differ)
{
	expect_example(&ed25519);
	expect_example(&p256);
}

Test(client_key, the_algorithm_is_the_keys)
{
	static const char *const others[] = {
		"ecdsa-p384-sha384", "rsa-pss-sha512", "rsa-v1_5-sha256", "hmac-sha256", ""};
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		cr_expect_eq(verify(&p256, others[i], 0, SIZE_MAX), HM_REFUSED, "%s", others[i]);
		cr_expect_eq(verify(&ed25519, others[i], 0, SIZE_MAX), HM_REFUSED, "%s", others[i]);
	}
	cr_expect_eq(verify(&p256, "ed25519", 0, SIZE_MAX), HM_REFUSED);
	cr_expect_eq(verify(&ed25519, "ecdsa-p256-sha256", 0, SIZE_MAX), HM_REFUSED);
}
