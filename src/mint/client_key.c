/* SPDX-License-Identifier: Apache-2.0 */
#include "client_certificate.h"

#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <string.h>

enum { DER_MAX = 160, PSS_SALT = 64 };

static const struct alg {
	const char *name;
	const char *type, *group; /* of the key; group: NULL: it has none */
	const EVP_MD *(*hash)(void);
	size_t half; /* of an ECDSA signature */
} algs[] = {
	{"ecdsa-p256-sha256", "EC", "prime256v1", EVP_sha256, 32},
	{"ecdsa-p384-sha384", "EC", "secp384r1", EVP_sha384, 48},
	{"ed25519", "ED25519", NULL, NULL, 0},
	{"rsa-pss-sha512", "RSA", NULL, EVP_sha512, 0},
};

static bool is_of(const struct alg *alg, const EVP_PKEY *key)
{
	char group[32];
	size_t length;
	if (!EVP_PKEY_is_a(key, alg->type))
		return false;
	if (strcmp(alg->type, "RSA") == 0)
		return EVP_PKEY_get_bits(key) >= HM_RSA_BITS_MIN;
	return !alg->group ||
	       (EVP_PKEY_get_group_name(key, group, sizeof group, &length) == 1 && strcmp(group, alg->group) == 0);
}

static hm_result find_alg(const EVP_PKEY *key, const char *name, const struct alg **out, struct hm_problem *why)
{
	const char *wanted = NULL;
	for (size_t i = 0; i < sizeof algs / sizeof *algs; i++) {
		if (!is_of(&algs[i], key))
			continue;
		wanted = algs[i].name;
		*out = &algs[i];
	}
	if (wanted && strcmp(wanted, name) == 0)
		return HM_OK;
	return hm_refuse(why, "signature_refused", "alg", "%s, which is the certificate's key's",
		wanted ? wanted : "a P-256, P-384, Ed25519 or RSA key of at least 2048 bits, and its algorithm");
}

/* RFC 9421 has r and s side by side; the library wants DER. 0: it cannot be a signature. */
static size_t to_der(const struct alg *alg, struct hm_bytes raw, uint8_t der[DER_MAX])
{
	if (raw.length != 2 * alg->half)
		return 0;
	ECDSA_SIG *pair = ECDSA_SIG_new();
	BIGNUM *r = BN_bin2bn(raw.data, (int)alg->half, NULL),
	       *s = BN_bin2bn(raw.data + alg->half, (int)alg->half, NULL);
	int length = 0;
	if (pair && r && s && ECDSA_SIG_set0(pair, r, s) == 1) {
		r = s = NULL; /* the pair's now */
		length = i2d_ECDSA_SIG(pair, &der);
	}
	BN_free(r);
	BN_free(s);
	ECDSA_SIG_free(pair);
	return length > 0 ? (size_t)length : 0;
}

static bool set_padding(const struct alg *alg, EVP_PKEY_CTX *context)
{
	return strcmp(alg->type, "RSA") != 0 || (EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1 &&
							EVP_PKEY_CTX_set_rsa_pss_saltlen(context, PSS_SALT) == 1);
}

static bool is_good(const struct alg *alg, EVP_PKEY *key, struct hm_bytes signature, struct hm_bytes text)
{
	EVP_PKEY_CTX *context = NULL;
	EVP_MD_CTX *digest = EVP_MD_CTX_new();
	bool good = digest && EVP_DigestVerifyInit(digest, &context, alg->hash ? alg->hash() : NULL, NULL, key) == 1 &&
		    set_padding(alg, context) &&
		    EVP_DigestVerify(digest, signature.data, signature.length, text.data, text.length) == 1;
	EVP_MD_CTX_free(digest);
	return good;
}

hm_result client_key_verify(
	EVP_PKEY *key, const char *name, struct hm_bytes signature, struct hm_bytes text, struct hm_problem *why)
{
	uint8_t der[DER_MAX];
	const struct alg *alg = NULL;
	HM_TRY(find_alg(key, name, &alg, why));
	if (alg->half)
		signature = (struct hm_bytes){der, to_der(alg, signature, der)};
	if (signature.length && is_good(alg, key, signature, text))
		return HM_OK;
	return hm_refuse(why, "signature_refused", "Signature",
		"one by the certificate's key over method, path, query and body as they came");
}
