/* SPDX-License-Identifier: Apache-2.0 */
#include "public_key.h"

#include <openssl/core_names.h>
#include <openssl/param_build.h>
#include <string.h>

enum { POINT_P256 = 65, POINT_P384 = 97, POINT_ED25519 = 32, POINT_MAX = POINT_P384, WRAPPING = 2, EXPONENT_MAX = 8 };

static void free_context(EVP_PKEY_CTX **context)
{
	EVP_PKEY_CTX_free(*context);
}

static void free_build(OSSL_PARAM_BLD **build)
{
	OSSL_PARAM_BLD_free(*build);
}

static void free_number(BIGNUM **number)
{
	BN_free(*number);
}

/* Takes the parameters. NULL: they are no key. */
static EVP_PKEY *make(const char *type, OSSL_PARAM *parameters)
{
	EVP_PKEY *key = NULL;
	__attribute__((cleanup(free_context))) EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	if (parameters && context && EVP_PKEY_fromdata_init(context) == 1)
		(void)EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, parameters);
	OSSL_PARAM_free(parameters);
	return key;
}

/* ---- EC and Ed25519: CKA_EC_POINT ---- */

/* It is the point in an OCTET STRING; some modules leave that out. */
static const uint8_t *unwrap(const uint8_t *value, CK_ULONG length, CK_ULONG point)
{
	if (length == point + WRAPPING && value[0] == 0x04 && value[1] == point)
		return value + WRAPPING;
	return length == point ? value : NULL;
}

static hm_result read_point(const struct module *module, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
	const char *name, CK_ULONG length, uint8_t *point, struct token_failure *why)
{
	uint8_t value[POINT_MAX + WRAPPING + 8] = {0};
	CK_ULONG got = sizeof value;
	HM_TRY(module_attribute(module, session, object, CKA_EC_POINT, value, &got, why));
	const uint8_t *found = unwrap(value, got, length);
	if (!found)
		return fail(why, TOKEN_CUSTODY, "key %s: CKA_EC_POINT of %lu bytes", name, got);
	memcpy(point, found, length);
	return HM_OK;
}

static EVP_PKEY *make_ec(const char *group, const uint8_t *point, size_t length)
{
	__attribute__((cleanup(free_build))) OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	if (!build || !OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, group, 0) ||
		!OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, length))
		return NULL;
	return make("EC", OSSL_PARAM_BLD_to_param(build));
}

static hm_result read_ec(const struct module *module, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
	const struct token_key_config *config, EVP_PKEY **out, struct token_failure *why)
{
	uint8_t point[POINT_MAX];
	bool is_p256 = config->algorithm == KEY_ES256;
	CK_ULONG length = is_p256 ? POINT_P256 : POINT_P384;
	HM_TRY(read_point(module, session, object, config->name, length, point, why));
	*out = make_ec(is_p256 ? "P-256" : "P-384", point, length);
	return *out ? HM_OK : fail(why, TOKEN_CUSTODY, "key %s: CKA_EC_POINT is not on the curve", config->name);
}

static hm_result read_ed25519(const struct module *module, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
	const struct token_key_config *config, EVP_PKEY **out, struct token_failure *why)
{
	uint8_t point[POINT_ED25519];
	HM_TRY(read_point(module, session, object, config->name, sizeof point, point, why));
	*out = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, point, sizeof point);
	return *out ? HM_OK : fail(why, TOKEN_CUSTODY, "key %s: CKA_EC_POINT is no Ed25519 key", config->name);
}

/* ---- RSA ---- */

static hm_result read_number(const struct module *module, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
	CK_ATTRIBUTE_TYPE type, BIGNUM **out, struct token_failure *why)
{
	uint8_t value[HM_RSA_BITS_MAX / 8 + EXPONENT_MAX];
	CK_ULONG length = sizeof value;
	HM_TRY(module_attribute(module, session, object, type, value, &length, why));
	*out = BN_bin2bn(value, (int)length, NULL);
	return *out ? HM_OK : fail(why, TOKEN_DEVICE, "no memory for a number");
}

static EVP_PKEY *make_rsa(const BIGNUM *modulus, const BIGNUM *exponent)
{
	__attribute__((cleanup(free_build))) OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	if (!build || !OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, modulus) ||
		!OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, exponent))
		return NULL;
	return make("RSA", OSSL_PARAM_BLD_to_param(build));
}

static hm_result read_rsa(const struct module *module, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
	const struct token_key_config *config, EVP_PKEY **out, struct token_failure *why)
{
	__attribute__((cleanup(free_number))) BIGNUM *modulus = NULL;
	__attribute__((cleanup(free_number))) BIGNUM *exponent = NULL;
	HM_TRY(read_number(module, session, object, CKA_MODULUS, &modulus, why));
	HM_TRY(read_number(module, session, object, CKA_PUBLIC_EXPONENT, &exponent, why));
	*out = make_rsa(modulus, exponent);
	return *out ? HM_OK : fail(why, TOKEN_CUSTODY, "key %s: CKA_MODULUS is no RSA key", config->name);
}

/* ---- all ---- */

hm_result public_key_read(const struct module *module, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
	const struct token_key_config *config, EVP_PKEY **out, struct token_failure *why)
{
	*out = NULL;
	switch ((enum key_algorithm)config->algorithm) {
	case KEY_ES256:
	case KEY_ES384:
		return read_ec(module, session, object, config, out, why);
	case KEY_ED25519:
		return read_ed25519(module, session, object, config, out, why);
	case KEY_RS256:
	case KEY_PS256:
		return read_rsa(module, session, object, config, out, why);
	case KEY_ALGORITHMS:
		break;
	}
	return fail(why, TOKEN_PERMANENT, "key %s: no such algorithm", config->name);
}
