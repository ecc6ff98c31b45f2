/* SPDX-License-Identifier: Apache-2.0 */
#include "algorithm.h"

#define BYTES(array)                   \
	{                              \
		(array), sizeof(array) \
	}

/* Object identifiers in DER: RFC 5480, section 2.1.1.1; RFC 8410, section 3. */
static const uint8_t p256[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
static const uint8_t p384[] = {0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22};
static const uint8_t ed25519[] = {0x06, 0x03, 0x2b, 0x65, 0x70};

/* PKCS #11 3.0, section 2.3.7 allows the curve's name too, as a PrintableString, and some modules give it back. */
static const uint8_t ed25519_name[] = {0x13, 0x0c, 'e', 'd', 'w', 'a', 'r', 'd', 's', '2', '5', '5', '1', '9'};

/* RFC 8017, section 9.2, note 1: the DER of a DigestInfo up to the hash. */
static const uint8_t sha256_info[] = {0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04,
	0x02, 0x01, 0x05, 0x00, 0x04, 0x20};

static const struct algorithm algorithms[KEY_ALGORITHMS] = {
	[KEY_ES256] = {.type = CKK_EC,
		.type_name = "an EC key on P-256",
		.curve = BYTES(p256),
		.generate = CKM_EC_KEY_PAIR_GEN,
		.of_hash = CKM_ECDSA,
		.of_hash_name = "CKM_ECDSA",
		.of_bytes = CKM_ECDSA_SHA256,
		.of_bytes_name = "CKM_ECDSA_SHA256",
		.hash = "SHA256"},
	[KEY_ES384] = {.type = CKK_EC,
		.type_name = "an EC key on P-384",
		.curve = BYTES(p384),
		.generate = CKM_EC_KEY_PAIR_GEN,
		.of_hash = CKM_ECDSA,
		.of_hash_name = "CKM_ECDSA",
		.of_bytes = CKM_ECDSA_SHA384,
		.of_bytes_name = "CKM_ECDSA_SHA384",
		.hash = "SHA384"},
	[KEY_RS256] = {.type = CKK_RSA,
		.type_name = "an RSA key",
		.generate = CKM_RSA_PKCS_KEY_PAIR_GEN,
		.of_hash = CKM_RSA_PKCS,
		.of_hash_name = "CKM_RSA_PKCS",
		.of_bytes = CKM_SHA256_RSA_PKCS,
		.of_bytes_name = "CKM_SHA256_RSA_PKCS",
		.hash = "SHA256",
		.prefix = BYTES(sha256_info),
		.is_rsa = true},
	[KEY_PS256] = {.type = CKK_RSA,
		.type_name = "an RSA key",
		.generate = CKM_RSA_PKCS_KEY_PAIR_GEN,
		.of_hash = CKM_RSA_PKCS_PSS,
		.of_hash_name = "CKM_RSA_PKCS_PSS",
		.of_bytes = CKM_SHA256_RSA_PKCS_PSS,
		.of_bytes_name = "CKM_SHA256_RSA_PKCS_PSS",
		.hash = "SHA256",
		.is_pss = true,
		.is_rsa = true},
	[KEY_ED25519] = {.type = CKK_EC_EDWARDS,
		.type_name = "an Ed25519 key",
		.curve = BYTES(ed25519),
		.other = BYTES(ed25519_name),
		.generate = CKM_EC_EDWARDS_KEY_PAIR_GEN,
		.of_hash = CK_UNAVAILABLE_INFORMATION,
		.of_bytes = CKM_EDDSA,
		.of_bytes_name = "CKM_EDDSA"},
};

const struct algorithm *algorithm_of(enum key_algorithm algorithm)
{
	return &algorithms[algorithm];
}

CK_RSA_PKCS_PSS_PARAMS algorithm_pss(void)
{
	return (CK_RSA_PKCS_PSS_PARAMS){CKM_SHA256, CKG_MGF1_SHA256, 32};
}

bool algorithm_is_there(const struct module *module, CK_MECHANISM_TYPE mechanism)
{
	CK_MECHANISM_INFO info;
	return mechanism != CK_UNAVAILABLE_INFORMATION &&
	       module->calls->C_GetMechanismInfo(module->slot, mechanism, &info) == CKR_OK && (info.flags & CKF_SIGN);
}

hm_result algorithm_choose(const struct module *module, const struct token_key_config *config,
	CK_MECHANISM_TYPE *mechanism, bool *by_token, struct token_failure *why)
{
	const struct algorithm *algorithm = algorithm_of(config->algorithm);
	*by_token = false;
	*mechanism = algorithm->of_hash;
	if (config->hash != KEY_HASH_TOKEN && algorithm_is_there(module, algorithm->of_hash))
		return HM_OK;
	*by_token = true;
	*mechanism = algorithm->of_bytes;
	if (config->hash != KEY_HASH_HOST && algorithm_is_there(module, algorithm->of_bytes))
		return HM_OK;
	return fail(why, TOKEN_PERMANENT, "key %s: the token does not sign with %s", config->name,
		config->hash == KEY_HASH_TOKEN || !algorithm->of_hash_name ? algorithm->of_bytes_name
									   : algorithm->of_hash_name);
}
