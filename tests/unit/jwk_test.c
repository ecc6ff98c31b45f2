/* SPDX-License-Identifier: Apache-2.0 */
#include "jwk.h"

#include <criterion/criterion.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <string.h>

/*
 * The EC key of RFC 7517, appendix A.1. Its SubjectPublicKeyInfo was made with node's crypto from the RFC's x and y;
 * its thumbprint was computed with latchset's `jose jwk thp -a S256`.
 */
static const char rfc_spki[] =
	"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00\x04"
	"\x30\xa0\x42\x4c\xd2\x1c\x29\x44\x83\x8a\x2d\x75\xc9\x2b\x37\xe7\x6e\xa2\x0d\x9f\x00\x89\x3a\x3b\x4e\xee\x8a"
	"\x3c\x0a\xaf\xec\x3e\xe0\x4b\x65\xe9\x24\x56\xd9\x88\x8b\x52\xb3\x79\xbd\xfb\xd5\x1e\xe8\x69\xef\x1f\x0f\xc6"
	"\x5b\x66\x59\x69\x5b\x6c\xce\x08\x17\x23";
static const char rfc_members[] =
	"\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4\","
	"\"y\":\"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM\"";
static const char rfc_kid[] = "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s";
enum { RFC_SPKI = sizeof rfc_spki - 1 };

Test(jwk, the_rfc_key_has_its_members_and_its_thumbprint)
{
	struct hm_problem why = {0};
	struct jwk jwk;
	cr_assert_eq(jwk_from_spki((const uint8_t *)rfc_spki, RFC_SPKI, &jwk, &why), HM_OK);
	cr_expect_str_eq(jwk.members, rfc_members);
	cr_expect_str_eq(jwk.kid, rfc_kid);
	cr_expect_eq(jwk.type, JWK_P256);
	cr_expect_eq(jwk.signature_length, 64); /* RFC 7518, section 3.4 */
}

/*
 * RSA: the key and thumbprint of RFC 7638, section 3.1. Ed25519: those of RFC 8037, appendices A.2 and A.3. P-384: a
 * key made with openssl; its thumbprint is npm jose's. Each SubjectPublicKeyInfo was made with node's crypto from the
 * JWK.
 */
static const struct {
	const char *what, *spki, *members, *kid;
	enum jwk_type type;
	unsigned signature_length;
} known[] = {
	{"RSA",
		"MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAA"
		"tVT8"
		"6zwu1RK7aPFFxuhDR1L6tSoc/BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ/2W+5JsGY4Hc5n9yBXArwl93lqt7/"
		"RN5w6Cf0h4QyQ5v+65"
		"YGjQR0/"
		"FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt+bFTWhAI4vMQFh6WeZu"
		"0fM4lFd2NcRwr3XPksINHaQ+G/xBniIqbw0Ls1jF44+csFCur+kEgU8awapJzKnqDKgwIDAQAB",
		"\"e\":\"AQAB\",\"kty\":\"RSA\",\"n\":"
		"\"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86z"
		"wu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-"
		"65YGjQ"
		"R0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-"
		"bFTWhAI4vMQFh6WeZu0fM4lF"
		"d2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw\"",
		"NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs", JWK_RSA, 256},
	{"Ed25519", "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
		"\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"",
		"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k", JWK_ED25519, 64},
	{"P-384",
		"MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAELpRQqy9FPEwkGs7WqMQ3EXBecB+2VKU+"
		"IsEeS2BLvqAL6opI74iM6lFU8WF567qLOp3gGVRvPT4bsFb"
		"NZB/Kjc8s60lFwMD57e7SVgetD36UxCBe5vrRhczfLAK3ittu",
		"\"crv\":\"P-384\",\"kty\":\"EC\",\"x\":\"LpRQqy9FPEwkGs7WqMQ3EXBecB-2VKU-"
		"IsEeS2BLvqAL6opI74iM6lFU8WF567qL\","
		"\"y\":\"Op3gGVRvPT4bsFbNZB_Kjc8s60lFwMD57e7SVgetD36UxCBe5vrRhczfLAK3ittu\"",
		"GvAT7SmtLGTvPPPNgWxJL2OtxjhADx0mNVhXBQNH3VM", JWK_P384, 96},
};

static size_t decode(const char *base64, uint8_t *out)
{
	size_t length = strlen(base64), padding = 0;
	while (base64[length - 1 - padding] == '=')
		padding++;
	int decoded = EVP_DecodeBlock(out, (const unsigned char *)base64, (int)length);
	cr_assert_gt(decoded, 0);
	return (size_t)decoded - padding;
}

Test(jwk, keys_of_other_types_have_theirs)
{
	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		struct hm_problem why = {0};
		struct jwk jwk;
		uint8_t spki[512];
		size_t length = decode(known[i].spki, spki);
		cr_assert_eq(jwk_from_spki(spki, length, &jwk, &why), HM_OK, "%s: %s", known[i].what, why.detail);
		cr_expect_str_eq(jwk.members, known[i].members);
		cr_expect_str_eq(jwk.kid, known[i].kid, "%s", known[i].what);
		cr_expect_eq(jwk.type, known[i].type);
		cr_expect_eq(jwk.signature_length, known[i].signature_length);
	}
}

Test(jwk, each_algorithm_has_one_type_of_key)
{
	static const enum jwk_type types[KEY_ALGORITHMS] = {JWK_P256, JWK_P384, JWK_RSA, JWK_RSA, JWK_ED25519};
	for (enum key_algorithm algorithm = 0; algorithm < KEY_ALGORITHMS; algorithm++)
		for (enum jwk_type type = JWK_P256; type <= JWK_ED25519; type++)
			cr_expect_eq(jwk_is_for(type, algorithm), type == types[algorithm], "%s, %d",
				key_algorithm_name(algorithm), (int)type);
}

static hm_result read_pair(EVP_PKEY *pair, struct jwk *jwk, struct hm_problem *why)
{
	uint8_t *spki = NULL;
	cr_assert_not_null(pair);
	int length = i2d_PUBKEY(pair, &spki);
	cr_assert_gt(length, 0);
	hm_result result = jwk_from_spki(spki, (size_t)length, jwk, why);
	OPENSSL_free(spki);
	EVP_PKEY_free(pair);
	return result;
}

Test(jwk, another_kind_of_key_is_refused)
{
	struct hm_problem why = {0};
	struct jwk jwk;
	cr_expect_eq(read_pair(EVP_EC_gen("P-521"), &jwk, &why), HM_REFUSED);
	cr_expect_str_eq(why.code, "token");
	cr_expect_eq(read_pair(EVP_EC_gen("secp256k1"), &jwk, &why), HM_REFUSED);
	cr_expect_eq(read_pair(EVP_PKEY_Q_keygen(NULL, NULL, "ED448"), &jwk, &why), HM_REFUSED);
	cr_expect_eq(read_pair(EVP_PKEY_Q_keygen(NULL, NULL, "X25519"), &jwk, &why), HM_REFUSED);
	cr_expect_eq(jwk_from_spki((const uint8_t *)"", 0, &jwk, &why), HM_REFUSED);
}

Test(jwk, an_rsa_key_has_2048_to_4096_bits)
{
	static const struct {
		unsigned bits;
		hm_result result;
	} cases[] = {{1024, HM_REFUSED}, {2047, HM_REFUSED}, {2048, HM_OK}, {4096, HM_OK}, {4104, HM_REFUSED}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct hm_problem why = {0};
		struct jwk jwk;
		EVP_PKEY *pair = EVP_RSA_gen(cases[i].bits);
		cr_expect_eq(read_pair(pair, &jwk, &why), cases[i].result, "%u bits: %s", cases[i].bits, why.detail);
		if (cases[i].result == HM_OK)
			cr_expect_eq(jwk.signature_length, cases[i].bits / 8);
	}
}

Test(jwk, a_point_off_the_curve_and_bytes_behind_the_key_are_refused)
{
	struct hm_problem why = {0};
	struct jwk jwk;
	uint8_t spki[RFC_SPKI + 1];
	memcpy(spki, rfc_spki, sizeof spki);
	cr_expect_eq(jwk_from_spki(spki, RFC_SPKI + 1, &jwk, &why), HM_REFUSED);
	for (size_t length = 0; length < RFC_SPKI; length++)
		cr_expect_eq(jwk_from_spki(spki, length, &jwk, &why), HM_REFUSED, "%zu bytes", length);
	spki[RFC_SPKI - 1] ^= 1;
	cr_expect_eq(jwk_from_spki(spki, RFC_SPKI, &jwk, &why), HM_REFUSED);
}
