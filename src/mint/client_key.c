/* SPDX-License-Identifier: Apache-2.0 */
#include "client_certificate.h"

#include "http_alg.h"
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <string.h>

enum { DER_MAX = 160 };

static hm_result find_alg(const EVP_PKEY *key, const char *name, const struct http_alg **out, struct hm_problem *why)
{
	*out = http_alg_of(key);
	if (*out && strcmp((*out)->name, name) == 0)
		return HM_OK;
	return hm_refuse(why, "signature_refused", "alg", "%s, which is the certificate's key's",
		*out ? (*out)->name : "a P-256, P-384, Ed25519 or RSA key of at least 2048 bits, and its algorithm");
}

/* RFC 9421 has r and s side by side; the library wants DER. 0: it cannot be a signature. */
static size_t to_der(const struct http_alg *alg, struct hm_bytes raw, uint8_t der[DER_MAX])
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

static bool is_good(const struct http_alg *alg, EVP_PKEY *key, struct hm_bytes signature, struct hm_bytes text)
{
	EVP_PKEY_CTX *context = NULL;
	EVP_MD_CTX *digest = EVP_MD_CTX_new();
	bool good = digest && EVP_DigestVerifyInit(digest, &context, http_alg_hash(alg), NULL, key) == 1 &&
		    http_alg_set_padding(alg, context) &&
		    EVP_DigestVerify(digest, signature.data, signature.length, text.data, text.length) == 1;
	EVP_MD_CTX_free(digest);
	return good;
}

hm_result client_key_verify(
	EVP_PKEY *key, const char *name, struct hm_bytes signature, struct hm_bytes text, struct hm_problem *why)
{
	uint8_t der[DER_MAX];
	const struct http_alg *alg = NULL;
	HM_TRY(find_alg(key, name, &alg, why));
	if (alg->half)
		signature = (struct hm_bytes){der, to_der(alg, signature, der)};
	if (signature.length && is_good(alg, key, signature, text))
		return HM_OK;
	return hm_refuse(why, "signature_refused", "Signature",
		"one by the certificate's key over method, path, query and body as they came");
}
