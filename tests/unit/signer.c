/* SPDX-License-Identifier: Apache-2.0 */
#include "signer.h"

#include "base64url.h"
#include <openssl/ecdsa.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static void check(bool holds)
{
	if (!holds)
		abort();
}

static EVP_PKEY *make_pair(enum key_algorithm algorithm)
{
	switch (algorithm) {
	case KEY_ES256:
		return EVP_EC_gen("P-256");
	case KEY_ES384:
		return EVP_EC_gen("P-384");
	case KEY_RS256:
	case KEY_PS256:
		return EVP_RSA_gen(HM_RSA_BITS_MIN);
	default:
		return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	}
}

void signer_open(struct signer *signer, enum key_algorithm algorithm)
{
	uint8_t spki[HM_SPKI_MAX], *at = spki;
	struct hm_problem why;
	*signer = (struct signer){.algorithm = algorithm, .pair = make_pair(algorithm)};
	int length = signer->pair ? i2d_PUBKEY(signer->pair, &at) : -1;
	check(length > 0 && jwk_from_spki(spki, (size_t)length, &signer->jwk, &why) == HM_OK);
}

void signer_close(struct signer *signer)
{
	EVP_PKEY_free(signer->pair);
}

/* r and s side by side (RFC 7518, section 3.4) */
static size_t put_pair(const uint8_t *der, size_t length, uint8_t *signature, int half)
{
	ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &der, (long)length);
	check(pair && BN_bn2binpad(ECDSA_SIG_get0_r(pair), signature, half) == half &&
		BN_bn2binpad(ECDSA_SIG_get0_s(pair), signature + half, half) == half);
	ECDSA_SIG_free(pair);
	return 2 * (size_t)half;
}

static void set_up(const struct signer *signer, EVP_MD_CTX *context)
{
	EVP_PKEY_CTX *parameters;
	const EVP_MD *hash = signer->algorithm == KEY_ED25519 ? NULL
			     : signer->algorithm == KEY_ES384 ? EVP_sha384()
							      : EVP_sha256();
	check(EVP_DigestSignInit(context, &parameters, hash, NULL, signer->pair) == 1);
	if (signer->algorithm == KEY_PS256)
		check(EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING) == 1 &&
			EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, RSA_PSS_SALTLEN_DIGEST) == 1);
}

size_t signer_sign(const struct signer *signer, const void *data, size_t length, uint8_t signature[HM_SIGNATURE_MAX])
{
	uint8_t made[HM_SIGNATURE_MAX];
	size_t made_length = sizeof made;
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	set_up(signer, context);
	check(EVP_DigestSign(context, made, &made_length, data, length) == 1);
	EVP_MD_CTX_free(context);
	if (signer->algorithm == KEY_ES256 || signer->algorithm == KEY_ES384)
		return put_pair(made, made_length, signature, signer->algorithm == KEY_ES256 ? 32 : 48);
	memcpy(signature, made, made_length);
	return made_length;
}

size_t signer_make_jwt(const struct signer *signer, const void *header, size_t header_length, const void *payload,
	size_t payload_length, char *jwt)
{
	uint8_t signature[HM_SIGNATURE_MAX];
	size_t used = base64url_encode(header, header_length, jwt);
	jwt[used++] = '.';
	used += base64url_encode(payload, payload_length, jwt + used);
	size_t length = signer_sign(signer, jwt, used, signature);
	jwt[used++] = '.';
	used += base64url_encode(signature, length, jwt + used);
	jwt[used] = 0;
	return used;
}
