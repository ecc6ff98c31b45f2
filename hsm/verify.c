/* SPDX-License-Identifier: Apache-2.0 */
#include "verify.h"

#include <openssl/ecdsa.h>
#include <openssl/rsa.h>

enum { DER_MAX = 112, SALT = 32 };

static void free_context(EVP_MD_CTX **context)
{
	EVP_MD_CTX_free(*context);
}

static void free_der(ECDSA_SIG **der)
{
	ECDSA_SIG_free(*der);
}

/* OpenSSL wants r and s in DER. */
static int to_der(const uint8_t *raw, unsigned length, uint8_t der[DER_MAX])
{
	__attribute__((cleanup(free_der))) ECDSA_SIG *pair = ECDSA_SIG_new();
	BIGNUM *r = BN_bin2bn(raw, (int)length / 2, NULL);
	BIGNUM *s = BN_bin2bn(raw + length / 2, (int)length / 2, NULL);
	if (!pair || !r || !s || ECDSA_SIG_set0(pair, r, s) != 1) {
		BN_free(r);
		BN_free(s);
		return -1;
	}
	return i2d_ECDSA_SIG(pair, &der);
}

static bool set_padding(const struct key *key, EVP_PKEY_CTX *context)
{
	if (!key->algorithm->is_rsa)
		return true;
	if (!key->algorithm->is_pss)
		return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) == 1;
	return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1 &&
	       EVP_PKEY_CTX_set_rsa_pss_saltlen(context, SALT) == 1;
}

bool verify(const struct key *key, struct hm_bytes data, const uint8_t *signature)
{
	uint8_t der[DER_MAX];
	int length = (int)key->signature_length;
	EVP_PKEY_CTX *parameters; /* the context's */
	__attribute__((cleanup(free_context))) EVP_MD_CTX *context = EVP_MD_CTX_new();
	if (key->algorithm->type == CKK_EC) {
		length = to_der(signature, key->signature_length, der);
		signature = der;
	}
	return length > 0 && context &&
	       EVP_DigestVerifyInit_ex(context, &parameters, key->algorithm->hash, NULL, NULL, key->public, NULL) ==
		       1 &&
	       set_padding(key, parameters) &&
	       EVP_DigestVerify(context, signature, (size_t)length, data.data, data.length) == 1;
}
