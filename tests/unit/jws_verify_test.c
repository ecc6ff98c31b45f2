/* SPDX-License-Identifier: Apache-2.0 */
#include "jws_verify.h"

#include "signer.h"
#include <criterion/criterion.h>

static const char data[] = "signed";

static bool verify(const struct signer *signer, enum key_algorithm algorithm, const uint8_t *signature, size_t length)
{
	return jws_verify_with(signer->pair, algorithm, data, sizeof data, signature, length);
}

Test(jws_verify, a_signature_is_good_by_its_own_algorithm_alone)
{
	for (enum key_algorithm by = 0; by < KEY_ALGORITHMS; by++) {
		struct signer signer;
		uint8_t signature[HM_SIGNATURE_MAX];
		signer_open(&signer, by);
		size_t length = signer_sign(&signer, data, sizeof data, signature);
		for (enum key_algorithm as = 0; as < KEY_ALGORITHMS; as++)
			cr_expect_eq(verify(&signer, as, signature, length), as == by, "%u as %u", by, as);
		signature[length / 2] ^= 1;
		cr_expect_not(verify(&signer, by, signature, length), "%u", by);
		signer_close(&signer);
	}
}

Test(jws_verify, a_signature_has_the_length_of_its_algorithm)
{
	for (enum key_algorithm by = 0; by < KEY_ALGORITHMS; by++) {
		struct signer signer;
		uint8_t signature[HM_SIGNATURE_MAX + 1] = {0};
		signer_open(&signer, by);
		size_t length = signer_sign(&signer, data, sizeof data, signature);
		cr_expect_not(verify(&signer, by, signature, length + 1), "%u", by);
		cr_expect_not(verify(&signer, by, signature, length - 1), "%u", by);
		cr_expect_not(verify(&signer, by, signature, 0), "%u", by);
		signer_close(&signer);
	}
}

/* OpenSSL has DER for it, whatever the algorithm was called. */
Test(jws_verify, an_ec_key_verifies_nothing_under_the_name_of_another_type)
{
	struct signer signer;
	uint8_t der[160];
	size_t length = sizeof der;
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	signer_open(&signer, KEY_ES256);
	cr_assert_eq(EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, signer.pair), 1);
	cr_assert_eq(EVP_DigestSign(context, der, &length, (const uint8_t *)data, sizeof data), 1);
	EVP_MD_CTX_free(context);
	cr_expect_not(verify(&signer, KEY_RS256, der, length));
	cr_expect_not(verify(&signer, KEY_ES256, der, length));
	signer_close(&signer);
}
