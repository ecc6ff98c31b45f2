/* SPDX-License-Identifier: Apache-2.0 */
#include "foreign_jwk.h"

#include "base64url.h"
#include "limits.h"
#include <openssl/core_names.h>
#include <openssl/param_build.h>
#include <string.h>

enum { COORDINATE_MAX = 48, NUMBER_MAX = HM_RSA_BITS_MAX / 8, EXPONENT_MAX = 4, ED25519_KEY = 32 };
enum { EXPONENT_LEAST = 65537 };

bool foreign_jwk_has_private_part(const json_t *jwk)
{
	static const char *const names[] = {"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (json_object_get(jwk, names[i]))
			return true;
	return false;
}

/* ---- members ---- */

/* SIZE_MAX: it is not there, is no base64url, or has more than `size` bytes. */
static size_t read_bytes(const json_t *jwk, const char *name, uint8_t *bytes, size_t size)
{
	const char *text = json_string_value(json_object_get(jwk, name));
	return text ? base64url_decode(text, strlen(text), bytes, size) : SIZE_MAX;
}

static enum foreign_jwk malformed(const char **rule, const char *broken)
{
	*rule = broken;
	return FOREIGN_JWK_MALFORMED;
}

static EVP_PKEY *make_key(const char *type, OSSL_PARAM *parameters)
{
	EVP_PKEY *key = NULL;
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	if (!context || EVP_PKEY_fromdata_init(context) != 1 ||
		EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, parameters) != 1)
		key = NULL;
	EVP_PKEY_CTX_free(context);
	return key;
}

/* ---- by type ---- */

/* RFC 7518, section 6.2.1: x and y have each the full length of the curve's coordinates. */
static enum foreign_jwk read_ec(const json_t *jwk, const char *curve, EVP_PKEY **key, const char **rule)
{
	uint8_t point[1 + 2 * COORDINATE_MAX] = {4}; /* uncompressed */
	char *group = strcmp(curve, "P-256") == 0 ? "prime256v1" : strcmp(curve, "P-384") == 0 ? "secp384r1" : NULL;
	if (!group)
		return FOREIGN_JWK_UNKNOWN;
	size_t bytes = strcmp(curve, "P-256") == 0 ? 32 : 48;
	if (read_bytes(jwk, "x", point + 1, bytes) != bytes || read_bytes(jwk, "y", point + 1 + bytes, bytes) != bytes)
		return malformed(rule, "x and y are base64url of as many bytes as its curve has");
	OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * bytes), OSSL_PARAM_END};
	*key = make_key("EC", parameters);
	return *key ? FOREIGN_JWK_READ : malformed(rule, "x and y are a point of its curve");
}

static EVP_PKEY *make_rsa(const uint8_t *n, size_t n_length, unsigned long e)
{
	EVP_PKEY *key = NULL;
	BIGNUM *modulus = BN_bin2bn(n, (int)n_length, NULL);
	OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
	OSSL_PARAM *parameters = NULL;
	if (modulus && builder && OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, modulus) == 1 &&
		OSSL_PARAM_BLD_push_ulong(builder, OSSL_PKEY_PARAM_RSA_E, e) == 1)
		parameters = OSSL_PARAM_BLD_to_param(builder);
	if (parameters)
		key = make_key("RSA", parameters);
	OSSL_PARAM_free(parameters);
	OSSL_PARAM_BLD_free(builder);
	BN_free(modulus);
	return key;
}

static unsigned long exponent_of(const uint8_t *bytes, size_t length)
{
	unsigned long e = 0;
	for (size_t i = 0; i < length; i++)
		e = e << 8 | bytes[i];
	return e;
}

static enum foreign_jwk size_up(EVP_PKEY **key)
{
	int bits = EVP_PKEY_get_bits(*key);
	if (bits >= HM_RSA_BITS_MIN && bits <= HM_RSA_BITS_MAX)
		return FOREIGN_JWK_READ;
	EVP_PKEY_free(*key);
	*key = NULL;
	return FOREIGN_JWK_UNKNOWN;
}

/* RFC 7518, section 6.3.1: numbers without zeros before them. FIPS 186-5, section 5.1: e is odd and above 2^16; with 1
 * anybody could sign. A large one would make each signature dear. */
static enum foreign_jwk read_rsa(const json_t *jwk, EVP_PKEY **key, const char **rule)
{
	uint8_t n[2 * NUMBER_MAX], e[EXPONENT_MAX];
	size_t n_length = read_bytes(jwk, "n", n, sizeof n), e_length = read_bytes(jwk, "e", e, sizeof e);
	if (n_length == SIZE_MAX || n_length == 0 || n[0] == 0)
		return malformed(rule, "n is base64url of a number without zeros before it");
	if (e_length == SIZE_MAX || e_length == 0 || e[0] == 0)
		return malformed(rule, "e is base64url of a number below 2^32 without zeros before it");
	unsigned long exponent = exponent_of(e, e_length);
	if (exponent < EXPONENT_LEAST || !(exponent & 1) || !(n[n_length - 1] & 1))
		return malformed(rule, "n and e are odd, and e is 65537 or more");
	*key = make_rsa(n, n_length, exponent);
	return *key ? size_up(key) : malformed(rule, "n and e are an RSA key");
}

/* RFC 8037, section 2 */
static enum foreign_jwk read_okp(const json_t *jwk, const char *curve, EVP_PKEY **key, const char **rule)
{
	uint8_t x[ED25519_KEY];
	if (strcmp(curve, "Ed25519") != 0)
		return FOREIGN_JWK_UNKNOWN;
	if (read_bytes(jwk, "x", x, sizeof x) != sizeof x)
		return malformed(rule, "x is base64url of 32 bytes");
	*key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, x, sizeof x);
	return *key ? FOREIGN_JWK_READ : malformed(rule, "x is an Ed25519 key");
}

/* ---- all ---- */

enum foreign_jwk foreign_jwk_read(const json_t *jwk, EVP_PKEY **key, const char **rule)
{
	const char *type = json_string_value(json_object_get(jwk, "kty"));
	const char *curve = json_string_value(json_object_get(jwk, "crv"));
	*key = NULL;
	if (!type)
		return FOREIGN_JWK_UNKNOWN;
	if (strcmp(type, "RSA") == 0)
		return read_rsa(jwk, key, rule);
	if (strcmp(type, "EC") != 0 && strcmp(type, "OKP") != 0)
		return FOREIGN_JWK_UNKNOWN;
	if (!curve)
		return malformed(rule, "crv is a string");
	return strcmp(type, "EC") == 0 ? read_ec(jwk, curve, key, rule) : read_okp(jwk, curve, key, rule);
}
