/* SPDX-License-Identifier: Apache-2.0 */
#include "jwk.h"

#include "base64url.h"
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

enum { P256_BYTES = 32 };

static void free_key(EVP_PKEY **key)
{
	EVP_PKEY_free(*key);
}

/* An uncompressed point: 4, x, y. */
static hm_result p256_point(EVP_PKEY *key, uint8_t point[1 + 2 * P256_BYTES], struct hm_problem *why)
{
	char group[32];
	size_t length = 0;
	if (EVP_PKEY_get_group_name(key, group, sizeof group, NULL) != 1 || strcmp(group, "prime256v1") != 0)
		return hm_refuse(why, "token", NULL, "the key is not an EC key on P-256");
	if (EVP_PKEY_get_octet_string_param(
		    key, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, point, 1 + 2 * P256_BYTES, &length) != 1 ||
		length != 1 + 2 * P256_BYTES || point[0] != 4)
		return hm_refuse(why, "token", NULL, "the public key is not an uncompressed point");
	return HM_OK;
}

hm_result jwk_from_spki(const uint8_t *spki, size_t length, char *members, size_t size, char kid[HM_KID_MAX + 1],
	struct hm_problem *why)
{
	uint8_t point[1 + 2 * P256_BYTES];
	char x[base64url_length(P256_BYTES) + 1];
	char y[sizeof x];
	uint8_t digest[32];
	char canonical[256];

	const uint8_t *der = spki;
	__attribute__((cleanup(free_key))) EVP_PKEY *key = d2i_PUBKEY(NULL, &der, (long)length);
	if (!key || der != spki + length)
		return hm_refuse(why, "token", NULL, "the public key is not a DER SubjectPublicKeyInfo");
	HM_TRY(p256_point(key, point, why));

	x[base64url_encode(point + 1, P256_BYTES, x)] = 0;
	y[base64url_encode(point + 1 + P256_BYTES, P256_BYTES, y)] = 0;
	int wanted = snprintf(members, size, "\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"%s\",\"y\":\"%s\"", x, y);
	if (wanted < 0 || (size_t)wanted >= size)
		return hm_broken(why, "no room for a JWK");
	int canonical_length = snprintf(canonical, sizeof canonical, "{%s}", members); /* RFC 7638, section 3.2 */
	if (EVP_Digest(canonical, (size_t)canonical_length, digest, NULL, EVP_sha256(), NULL) != 1)
		return hm_broken(why, "SHA-256 failed");
	kid[base64url_encode(digest, sizeof digest, kid)] = 0;
	return HM_OK;
}
