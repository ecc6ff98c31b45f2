/* SPDX-License-Identifier: Apache-2.0 */
/* A public key out of a JWK (RFC 7517) that somebody sent. */
#include "dpop_inside.h"

#include "foreign_jwk.h"
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <string.h>

/* The length of its SubjectPublicKeyInfo; 0: there is none. */
static size_t write_spki(EVP_PKEY *key, uint8_t spki[HM_SPKI_MAX])
{
	uint8_t *at = spki;
	int length = key ? i2d_PUBKEY(key, NULL) : 0;
	return length > 0 && length <= HM_SPKI_MAX && i2d_PUBKEY(key, &at) == length ? (size_t)length : 0;
}

/* RFC 7517, sections 4.2 and 4.4: not there, or what is wanted. */
static bool may_be(const json_t *jwk, const char *name, const char *wanted)
{
	const json_t *value = json_object_get(jwk, name);
	return !value || (json_is_string(value) && strcmp(json_string_value(value), wanted) == 0);
}

hm_result dpop_key_read(
	const json_t *jwk, enum key_algorithm algorithm, const char *name, struct dpop_key *key, struct hm_problem *why)
{
	struct hm_problem detail; /* for the operator of a token, were it one's key */
	EVP_PKEY *made = NULL;
	const char *rule;
	if (!json_is_object(jwk) || foreign_jwk_has_private_part(jwk))
		return dpop_refuse(why, "jwk", "the public key as a JWK, without private parts");
	if (!may_be(jwk, "use", "sig") || !may_be(jwk, "alg", name))
		return dpop_refuse(why, "jwk", "a key for signatures by the header's alg");
	(void)foreign_jwk_read(jwk, &made, &rule);
	key->spki_length = write_spki(made, key->spki);
	EVP_PKEY_free(made);
	hm_result result =
		key->spki_length ? jwk_from_spki(key->spki, key->spki_length, &key->jwk, &detail) : HM_REFUSED;
	if (result == HM_BROKEN)
		*why = detail;
	if (result == HM_REFUSED || (result == HM_OK && !jwk_is_for(key->jwk.type, algorithm)))
		return dpop_refuse(
			why, "jwk", "a key of the header's alg: P-256, P-384, Ed25519 or RSA of 2048 to 4096 bits");
	return result;
}
