/* SPDX-License-Identifier: Apache-2.0 */
#include "sign.h"

#include <openssl/ecdsa.h>
#include <openssl/rand.h>
#include <string.h>

enum { ES256_DIGEST = 32, ES256_HALF = 32, ES256_SIGNATURE = 2 * ES256_HALF, DER_MAX = 80, PROBE_RANDOM = 16 };

static void free_context(EVP_PKEY_CTX **context)
{
	EVP_PKEY_CTX_free(*context);
}

static void free_der(ECDSA_SIG **der)
{
	ECDSA_SIG_free(*der);
}

static int to_der(const uint8_t raw[ES256_SIGNATURE], uint8_t der[DER_MAX])
{
	__attribute__((cleanup(free_der))) ECDSA_SIG *pair = ECDSA_SIG_new();
	BIGNUM *r = BN_bin2bn(raw, ES256_HALF, NULL);
	BIGNUM *s = BN_bin2bn(raw + ES256_HALF, ES256_HALF, NULL);
	if (!pair || !r || !s || ECDSA_SIG_set0(pair, r, s) != 1) {
		BN_free(r);
		BN_free(s);
		return -1;
	}
	return i2d_ECDSA_SIG(pair, &der);
}

static bool verifies(const struct key *key, const uint8_t digest[ES256_DIGEST], const uint8_t *raw)
{
	uint8_t der[DER_MAX];
	int length = to_der(raw, der);
	__attribute__((cleanup(free_context))) EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(key->public, NULL);
	return length > 0 && context && EVP_PKEY_verify_init(context) == 1 &&
	       EVP_PKEY_verify(context, der, (size_t)length, digest, ES256_DIGEST) == 1;
}

static hm_result sign_and_check(const struct module *module, CK_SESSION_HANDLE session, const struct key *key,
	struct hm_bytes data, bool check, struct signature *signature, struct token_failure *why)
{
	CK_MECHANISM mechanism = {CKM_ECDSA, NULL, 0};
	uint8_t digest[ES256_DIGEST];
	if (EVP_Digest(data.data, data.length, digest, NULL, key->hash, NULL) != 1)
		return fail(why, TOKEN_DEVICE, "key %s: SHA-256 failed", key->config->name);
	TRY_CALL(why, module->calls, C_SignInit, session, &mechanism, key->handle);
	signature->length = sizeof signature->bytes;
	TRY_CALL(why, module->calls, C_Sign, session, digest, sizeof digest, signature->bytes, &signature->length);
	if (signature->length != ES256_SIGNATURE)
		return fail(why, TOKEN_DEVICE, "key %s: C_Sign gave %lu bytes", key->config->name, signature->length);
	if (check && !verifies(key, digest, signature->bytes))
		return fail(why, TOKEN_DEVICE, "key %s: C_Sign gave a signature that its public key does not verify",
			key->config->name);
	return HM_OK;
}

hm_result sign(const struct module *module, CK_SESSION_HANDLE session, const struct key *key, struct hm_bytes data,
	bool check, struct signature *signature, struct token_failure *why)
{
	hm_result result = sign_and_check(module, session, key, data, check, signature, why);
	if (result != HM_OK)
		memset(signature, 0, sizeof *signature);
	return result;
}

hm_result sign_probe(
	const struct module *module, CK_SESSION_HANDLE session, const struct key *key, struct token_failure *why)
{
	uint8_t data[sizeof HM_PROBE_PREFIX - 1 + PROBE_RANDOM];
	struct signature signature;
	memcpy(data, HM_PROBE_PREFIX, sizeof HM_PROBE_PREFIX - 1);
	if (RAND_bytes(data + sizeof data - PROBE_RANDOM, PROBE_RANDOM) != 1)
		return fail(why, TOKEN_DEVICE, "no random bytes");
	return sign(module, session, key, (struct hm_bytes){data, sizeof data}, true, &signature, why);
}
