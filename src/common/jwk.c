/* SPDX-License-Identifier: Apache-2.0 */
#include "jwk.h"

#include "base64url.h"
#include "json_write.h"
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <string.h>

enum { POINT_MAX = 1 + 2 * 48, EXPONENT_MAX = 8, NUMBER_MAX = HM_RSA_BITS_MAX / 8 };
enum { TEXT_MAX = (4 * NUMBER_MAX + 2) / 3 }; /* base64url of it */

static void free_key(EVP_PKEY **key)
{
	EVP_PKEY_free(*key);
}

static void put_bytes(struct hm_json *json, const char *name, const uint8_t *bytes, size_t length)
{
	char text[TEXT_MAX + 1];
	text[base64url_encode(bytes, length, text)] = 0;
	hm_json_member_string(json, name, text);
}

/* ---- by type: members in the order of their names (RFC 7638, section 3.2) ---- */

static const struct {
	enum jwk_type type;
	const char *group, *curve;
	size_t bytes; /* of a coordinate */
} curves[] = {{JWK_P256, "prime256v1", "P-256", 32}, {JWK_P384, "secp384r1", "P-384", 48}};

/* RFC 7518, section 6.2.1 */
static hm_result put_ec(EVP_PKEY *key, struct jwk *jwk, struct hm_json *json, struct hm_problem *why)
{
	char group[32];
	uint8_t point[POINT_MAX]; /* uncompressed: 4, x, y */
	size_t length = 0, i = 0;
	if (EVP_PKEY_get_group_name(key, group, sizeof group, NULL) != 1)
		group[0] = 0;
	while (i < sizeof curves / sizeof *curves && strcmp(curves[i].group, group) != 0)
		i++;
	if (i == sizeof curves / sizeof *curves)
		return hm_refuse(why, "token", NULL, "an EC key is on neither P-256 nor P-384");
	size_t bytes = curves[i].bytes;
	if (EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, point, sizeof point, &length) !=
			1 ||
		length != 1 + 2 * bytes || point[0] != 4)
		return hm_refuse(why, "token", NULL, "the public key is not an uncompressed point");
	jwk->type = curves[i].type;
	jwk->signature_length = (unsigned)(2 * bytes);
	hm_json_member_string(json, "crv", curves[i].curve);
	hm_json_member_string(json, "kty", "EC");
	put_bytes(json, "x", point + 1, bytes);
	put_bytes(json, "y", point + 1 + bytes, bytes);
	return HM_OK;
}

static hm_result put_number(
	EVP_PKEY *key, const char *name, const char *member, size_t most, struct hm_json *json, struct hm_problem *why)
{
	uint8_t bytes[NUMBER_MAX];
	BIGNUM *number = NULL;
	int length = -1;
	if (EVP_PKEY_get_bn_param(key, name, &number) == 1 && (size_t)BN_num_bytes(number) <= most)
		length = BN_bn2bin(number, bytes);
	BN_free(number);
	if (length < 1)
		return hm_refuse(why, "token", NULL, "an RSA key's %s has more than %zu bytes", member, most);
	put_bytes(json, member, bytes, (size_t)length);
	return HM_OK;
}

/* RFC 7518, section 6.3.1 */
static hm_result put_rsa(EVP_PKEY *key, struct jwk *jwk, struct hm_json *json, struct hm_problem *why)
{
	int bits = EVP_PKEY_get_bits(key);
	if (bits < HM_RSA_BITS_MIN || bits > HM_RSA_BITS_MAX)
		return hm_refuse(why, "token", NULL, "an RSA key has %d bits: %d to %d are accepted", bits,
			HM_RSA_BITS_MIN, HM_RSA_BITS_MAX);
	jwk->type = JWK_RSA;
	jwk->signature_length = (unsigned)(bits + 7) / 8;
	HM_TRY(put_number(key, OSSL_PKEY_PARAM_RSA_E, "e", EXPONENT_MAX, json, why));
	hm_json_member_string(json, "kty", "RSA");
	return put_number(key, OSSL_PKEY_PARAM_RSA_N, "n", NUMBER_MAX, json, why);
}

/* RFC 8037, section 2 */
static hm_result put_ed25519(EVP_PKEY *key, struct jwk *jwk, struct hm_json *json, struct hm_problem *why)
{
	uint8_t bytes[32];
	size_t length = sizeof bytes;
	if (EVP_PKEY_get_raw_public_key(key, bytes, &length) != 1 || length != sizeof bytes)
		return hm_refuse(why, "token", NULL, "an Ed25519 key cannot be read");
	jwk->type = JWK_ED25519;
	jwk->signature_length = 64;
	hm_json_member_string(json, "crv", "Ed25519");
	hm_json_member_string(json, "kty", "OKP");
	put_bytes(json, "x", bytes, length);
	return HM_OK;
}

static hm_result put_members(EVP_PKEY *key, struct jwk *jwk, struct hm_json *json, struct hm_problem *why)
{
	switch (EVP_PKEY_get_base_id(key)) {
	case EVP_PKEY_EC:
		return put_ec(key, jwk, json, why);
	case EVP_PKEY_RSA:
		return put_rsa(key, jwk, json, why);
	case EVP_PKEY_ED25519:
		return put_ed25519(key, jwk, json, why);
	default:
		return hm_refuse(why, "token", NULL, "the public key is none of EC, RSA and Ed25519");
	}
}

/* ---- all ---- */

hm_result jwk_from_spki(const uint8_t *spki, size_t length, struct jwk *jwk, struct hm_problem *why)
{
	char canonical[JWK_MEMBERS_MAX + 2]; /* RFC 7638, section 3.2 */
	uint8_t digest[32];
	struct hm_json json = hm_json(canonical, sizeof canonical);
	const uint8_t *der = spki;
	__attribute__((cleanup(free_key))) EVP_PKEY *key = d2i_PUBKEY(NULL, &der, (long)length);
	if (!key || der != spki + length)
		return hm_refuse(why, "token", NULL, "the public key is not a DER SubjectPublicKeyInfo");
	*jwk = (struct jwk){.type = JWK_P256};
	hm_json_begin(&json, '{');
	HM_TRY(put_members(key, jwk, &json, why));
	hm_json_end(&json, '}');
	if (json.out.failed)
		return hm_broken(why, "no room for a JWK");
	if (EVP_Digest(canonical, json.out.used, digest, NULL, EVP_sha256(), NULL) != 1)
		return hm_broken(why, "SHA-256 failed");
	memcpy(jwk->members, canonical + 1, json.out.used - 2);
	jwk->kid[base64url_encode(digest, sizeof digest, jwk->kid)] = 0;
	return HM_OK;
}

bool jwk_is_for(enum jwk_type type, enum key_algorithm algorithm)
{
	static const enum jwk_type wanted[KEY_ALGORITHMS] = {[KEY_ES256] = JWK_P256,
		[KEY_ES384] = JWK_P384,
		[KEY_RS256] = JWK_RSA,
		[KEY_PS256] = JWK_RSA,
		[KEY_ED25519] = JWK_ED25519};
	return wanted[algorithm] == type;
}
