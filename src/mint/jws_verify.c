/* SPDX-License-Identifier: Apache-2.0 */
#include "jws_verify.h"

#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <string.h>

enum { DER_MAX = 160 }; /* of an ECDSA signature on P-384 */

static const struct {
	const EVP_MD *(*hash)(void);
	size_t half; /* of an ECDSA signature: r and s, each */
	int type;
	bool is_pss;
} algorithms[KEY_ALGORITHMS] = {[KEY_ES256] = {EVP_sha256, 32, EVP_PKEY_EC, false},
	[KEY_ES384] = {EVP_sha384, 48, EVP_PKEY_EC, false},
	[KEY_RS256] = {EVP_sha256, 0, EVP_PKEY_RSA, false},
	[KEY_PS256] = {EVP_sha256, 0, EVP_PKEY_RSA, true},
	[KEY_ED25519] = {NULL, 0, EVP_PKEY_ED25519, false}};

/* r ‖ s as OpenSSL wants them; 0: they are not. */
static size_t ecdsa_der(const uint8_t *signature, size_t half, uint8_t der[DER_MAX])
{
	size_t written = 0;
	uint8_t *at = der;
	ECDSA_SIG *pair = ECDSA_SIG_new();
	BIGNUM *r = BN_bin2bn(signature, (int)half, NULL), *s = BN_bin2bn(signature + half, (int)half, NULL);
	if (pair && r && s && ECDSA_SIG_set0(pair, r, s) == 1) {
		r = s = NULL; /* the pair's */
		int length = i2d_ECDSA_SIG(pair, NULL);
		if (length > 0 && length <= DER_MAX)
			written = (size_t)i2d_ECDSA_SIG(pair, &at);
	}
	BN_free(r);
	BN_free(s);
	ECDSA_SIG_free(pair);
	return written;
}

static bool set_up(EVP_MD_CTX *context, EVP_PKEY *key, enum key_algorithm algorithm)
{
	EVP_PKEY_CTX *parameters;
	const EVP_MD *hash = algorithms[algorithm].hash ? algorithms[algorithm].hash() : NULL;
	if (EVP_DigestVerifyInit(context, &parameters, hash, NULL, key) != 1)
		return false;
	return !algorithms[algorithm].is_pss ||
	       (EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING) == 1 &&
		       EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, RSA_PSS_SALTLEN_DIGEST) == 1);
}

bool jws_verify_with(EVP_PKEY *key, enum key_algorithm algorithm, const void *data, size_t length,
	const uint8_t *signature, size_t signature_length)
{
	uint8_t der[DER_MAX];
	size_t half = algorithms[algorithm].half;
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool is_good = context && EVP_PKEY_get_base_id(key) == algorithms[algorithm].type &&
		       (!half || signature_length == 2 * half) && set_up(context, key, algorithm);
	if (is_good && half) {
		signature_length = ecdsa_der(signature, half, der);
		signature = der;
	}
	is_good = is_good && EVP_DigestVerify(context, signature, signature_length, data, length) == 1;
	EVP_MD_CTX_free(context);
	return is_good;
}

bool jws_verify(const uint8_t *spki, size_t spki_length, enum key_algorithm algorithm, const void *data, size_t length,
	const uint8_t *signature, size_t signature_length)
{
	const uint8_t *at = spki;
	EVP_PKEY *key = d2i_PUBKEY(NULL, &at, (long)spki_length);
	bool is_good = key && jws_verify_with(key, algorithm, data, length, signature, signature_length);
	EVP_PKEY_free(key);
	return is_good;
}
