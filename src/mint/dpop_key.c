/* SPDX-License-Identifier: Apache-2.0 */
/* A public key out of a JWK (RFC 7517) that somebody sent. */
#include "dpop_inside.h"

#include "jwk_members.h"
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <string.h>

enum { COORDINATE_MAX = 48, EXPONENT_MAX = 8, EXPONENT_MIN = 65537, NUMBER_MAX = HM_RSA_BITS_MAX / 8 };

/* ---- members ---- */

static const char *text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));
	return text ? text : "";
}

/* 0: it is not there, empty, too long, or not base64url. */
static size_t read_bytes(const json_t *jwk, const char *name, uint8_t *bytes, size_t size)
{
	size_t length = jwk_bytes(jwk, name, bytes, size);
	return length == SIZE_MAX ? 0 : length;
}

/* RFC 7518, section 2: a number has no zero in front. */
static size_t read_number(const json_t *jwk, const char *name, uint8_t *bytes, size_t size)
{
	size_t length = read_bytes(jwk, name, bytes, size);
	return length && bytes[0] ? length : 0;
}

/* ---- by type; NULL: it is none ---- */

/* RFC 7518, section 6.2.1: coordinates are of the curve's length; OpenSSL looks whether the point is on it. */
static EVP_PKEY *read_ec(const json_t *jwk, enum key_algorithm algorithm)
{
	bool is_p256 = algorithm == KEY_ES256;
	char p256[] = "P-256", p384[] = "P-384", *curve = is_p256 ? p256 : p384;
	uint8_t point[1 + 2 * COORDINATE_MAX] = {4}; /* uncompressed: 4, x, y */
	size_t bytes = is_p256 ? 32 : 48;
	if (strcmp(text_of(jwk, "kty"), "EC") != 0 || strcmp(text_of(jwk, "crv"), curve) != 0 ||
		read_bytes(jwk, "x", point + 1, bytes) != bytes ||
		read_bytes(jwk, "y", point + 1 + bytes, bytes) != bytes)
		return NULL;
	OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, curve, 0),
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * bytes),
		OSSL_PARAM_construct_end()};
	return jwk_make_key("EC", parameters);
}

/* RFC 8037, section 2 */
static EVP_PKEY *read_ed25519(const json_t *jwk)
{
	uint8_t bytes[32];
	if (strcmp(text_of(jwk, "kty"), "OKP") != 0 || strcmp(text_of(jwk, "crv"), "Ed25519") != 0 ||
		read_bytes(jwk, "x", bytes, sizeof bytes) != sizeof bytes)
		return NULL;
	return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, bytes, sizeof bytes);
}

/* From the order of the wire to that of this machine, as OSSL_PARAM has numbers. */
static bool to_native(uint8_t *bytes, size_t length)
{
	BIGNUM *number = BN_bin2bn(bytes, (int)length, NULL);
	bool done = number && BN_bn2nativepad(number, bytes, (int)length) == (int)length;
	BN_free(number);
	return done;
}

/* FIPS 186-5, section 5.1: odd, and above 2^16. With 1 anybody could sign. */
static bool is_exponent(const uint8_t *bytes, size_t length)
{
	uint64_t exponent = 0;
	for (size_t i = 0; i < length; i++)
		exponent = exponent << 8 | bytes[i];
	return exponent >= EXPONENT_MIN && exponent & 1;
}

/* RFC 7518, section 6.3.1 */
static EVP_PKEY *read_rsa(const json_t *jwk)
{
	uint8_t n[NUMBER_MAX], e[EXPONENT_MAX];
	size_t n_length = read_number(jwk, "n", n, sizeof n), e_length = read_number(jwk, "e", e, sizeof e);
	if (strcmp(text_of(jwk, "kty"), "RSA") != 0 || !n_length || !is_exponent(e, e_length) ||
		!to_native(n, n_length) || !to_native(e, e_length))
		return NULL;
	OSSL_PARAM parameters[] = {OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_RSA_N, n, n_length),
		OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_RSA_E, e, e_length), OSSL_PARAM_construct_end()};
	return jwk_make_key("RSA", parameters);
}

static EVP_PKEY *read_key(const json_t *jwk, enum key_algorithm algorithm)
{
	switch (algorithm) {
	case KEY_ES256:
	case KEY_ES384:
		return read_ec(jwk, algorithm);
	case KEY_RS256:
	case KEY_PS256:
		return read_rsa(jwk);
	default:
		return read_ed25519(jwk);
	}
}

/* The length of its SubjectPublicKeyInfo; 0: there is none. */
static size_t write_spki(EVP_PKEY *key, uint8_t spki[HM_SPKI_MAX])
{
	uint8_t *at = spki;
	int length = key ? i2d_PUBKEY(key, NULL) : 0;
	return length > 0 && length <= HM_SPKI_MAX && i2d_PUBKEY(key, &at) == length ? (size_t)length : 0;
}

/* ---- all ---- */

/* RFC 7517, sections 4.2 and 4.4: not there, or what is wanted. */
static bool may_be(const json_t *jwk, const char *name, const char *wanted)
{
	return !json_object_get(jwk, name) || strcmp(text_of(jwk, name), wanted) == 0;
}

hm_result dpop_key_read(
	const json_t *jwk, enum key_algorithm algorithm, const char *name, struct dpop_key *key, struct hm_problem *why)
{
	struct hm_problem detail; /* for the operator of a token, were it one's key */
	if (!json_is_object(jwk) || jwk_has_private_part(jwk))
		return dpop_refuse(why, "jwk", "the public key as a JWK, without private parts");
	if (!may_be(jwk, "use", "sig") || !may_be(jwk, "alg", name))
		return dpop_refuse(why, "jwk", "a key for signatures by the header's alg");
	EVP_PKEY *made = read_key(jwk, algorithm);
	key->spki_length = write_spki(made, key->spki);
	EVP_PKEY_free(made);
	if (!key->spki_length)
		return dpop_refuse(why, "jwk", "a key of the header's alg: P-256, P-384, Ed25519 or RSA");
	hm_result result = jwk_from_spki(key->spki, key->spki_length, &key->jwk, &detail);
	if (result == HM_BROKEN)
		*why = detail;
	return result == HM_REFUSED ? dpop_refuse(why, "jwk", "an RSA key of 2048 to 4096 bits") : result;
}
