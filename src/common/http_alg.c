/* SPDX-License-Identifier: Apache-2.0 */
#include "http_alg.h"

#include "limits.h"
#include <openssl/rsa.h>
#include <string.h>

enum { PSS_SALT = 64 };

static const struct http_alg algs[] = {
	{"ecdsa-p256-sha256", "EC", "prime256v1", EVP_sha256, 32},
	{"ecdsa-p384-sha384", "EC", "secp384r1", EVP_sha384, 48},
	{"ed25519", "ED25519", NULL, NULL, 0},
	{"rsa-pss-sha512", "RSA", NULL, EVP_sha512, 0},
};

static bool is_rsa(const struct http_alg *alg)
{
	return strcmp(alg->type, "RSA") == 0;
}

static bool is_of(const struct http_alg *alg, const EVP_PKEY *key)
{
	char group[32];
	size_t length;
	if (!EVP_PKEY_is_a(key, alg->type))
		return false;
	if (is_rsa(alg))
		return EVP_PKEY_get_bits(key) >= HM_RSA_BITS_MIN;
	return !alg->group ||
	       (EVP_PKEY_get_group_name(key, group, sizeof group, &length) == 1 && strcmp(group, alg->group) == 0);
}

const struct http_alg *http_alg_of(const EVP_PKEY *key)
{
	for (size_t i = 0; i < sizeof algs / sizeof *algs; i++)
		if (is_of(&algs[i], key))
			return &algs[i];
	return NULL;
}

bool http_alg_set_padding(const struct http_alg *alg, EVP_PKEY_CTX *context)
{
	return !is_rsa(alg) || (EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1 &&
				       EVP_PKEY_CTX_set_rsa_pss_saltlen(context, PSS_SALT) == 1);
}
