/* SPDX-License-Identifier: Apache-2.0 */
#include "key_set.h"

#include "foreign_jwk.h"
#include "json_measure.h"
#include <jansson.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#define BIT(algorithm) (1U << (algorithm))
/* JWT-SVID, section 2.1, has no EdDSA. */
#define SPIFFE_ALGORITHMS (BIT(KEY_ES256) | BIT(KEY_ES384) | BIT(KEY_RS256) | BIT(KEY_PS256))

/* What becomes of one key in the document. */
enum verdict { TAKEN, IGNORED, MALFORMED };

static enum verdict malformed(struct hm_problem *why, const char *what)
{
	(void)!hm_refuse(why, "config", NULL, "a key's %s", what);
	return MALFORMED;
}

/* ---- what it is for ---- */

static bool has_strings(const json_t *jwk)
{
	static const char *const names[] = {"kty", "use", "alg", "kid"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		const json_t *value = json_object_get(jwk, names[i]);
		if (value && !json_is_string(value))
			return false;
	}
	return true;
}

/* RFC 7517, sections 4.2 and 4.3; SPIFFE Trust Domain and Bundle, section 4.2.2, where `use` says all. */
static bool is_to_verify(const json_t *jwk, enum key_set_kind kind)
{
	const json_t *operations = json_object_get(jwk, "key_ops"), *operation;
	const char *use = json_string_value(json_object_get(jwk, "use"));
	size_t i;
	if (kind == KEY_SET_SPIFFE ? !use || strcmp(use, "jwt-svid") != 0 : use && strcmp(use, "sig") != 0)
		return false;
	if (!operations)
		return true;
	json_array_foreach(
		operations, i, operation) if (json_is_string(operation) &&
					      strcmp(json_string_value(operation), "verify") == 0) return true;
	return false;
}

enum key_algorithm key_set_algorithm(const char *name)
{
	enum key_algorithm algorithm = 0;
	while (algorithm < KEY_ALGORITHMS && strcmp(key_algorithm_jose(algorithm), name) != 0 &&
		strcmp(key_algorithm_name(algorithm), name) != 0)
		algorithm++;
	return algorithm;
}

static unsigned algorithms_of(const json_t *jwk, enum jwk_type type, enum key_set_kind kind)
{
	const char *only = json_string_value(json_object_get(jwk, "alg"));
	unsigned algorithms = 0;
	for (enum key_algorithm algorithm = 0; algorithm < KEY_ALGORITHMS; algorithm++)
		if (jwk_is_for(type, algorithm) && (!only || key_set_algorithm(only) == algorithm))
			algorithms |= BIT(algorithm);
	return kind == KEY_SET_SPIFFE ? algorithms & SPIFFE_ALGORITHMS : algorithms;
}

static bool is_kid(const char *kid)
{
	size_t length = strlen(kid);
	for (size_t i = 0; i < length; i++)
		if ((unsigned char)kid[i] < 0x20 || kid[i] == 0x7f)
			return false;
	return length > 0 && length <= HM_FOREIGN_KID_MAX;
}

/* ---- one key ---- */

/* The way through DER gives type, bounds and thumbprint where those of our own keys come from. */
static hm_result describe(struct key_set_key *key, struct hm_problem *why)
{
	uint8_t *spki = NULL;
	int length = i2d_PUBKEY(key->key, &spki);
	hm_result result = length > 0 ? jwk_from_spki(spki, (size_t)length, &key->jwk, why)
				      : hm_refuse(why, "config", NULL, "a key cannot be written as DER");
	OPENSSL_free(spki);
	if (result == HM_REFUSED)
		why->code = "config";
	return result;
}

static enum verdict read_key(const json_t *jwk, enum key_set_kind kind, struct key_set_key *key, struct hm_problem *why)
{
	if (!json_is_object(jwk) || !has_strings(jwk))
		return malformed(why, "form is a JSON object, in which kty, use, alg and kid are strings");
	if (foreign_jwk_has_private_part(jwk)) /* who publishes one by mistake is not to be believed for the rest */
		return malformed(why, "private part is published; the set is not to be trusted");
	const char *kid = json_string_value(json_object_get(jwk, "kid")), *rule = "";
	if (!kid || !is_to_verify(jwk, kind))
		return IGNORED;
	if (!is_kid(kid))
		return malformed(why, "kid has 1 to 256 bytes and no control characters");
	enum foreign_jwk found = foreign_jwk_read(jwk, &key->key, &rule);
	if (found != FOREIGN_JWK_READ)
		return found == FOREIGN_JWK_UNKNOWN ? IGNORED : malformed(why, rule);
	if (describe(key, why) != HM_OK)
		return MALFORMED;
	key->algorithms = algorithms_of(jwk, key->jwk.type, kind);
	memcpy(key->kid, kid, strlen(kid) + 1);
	return key->algorithms ? TAKEN : IGNORED;
}

static hm_result add_key(struct key_set *set, const json_t *jwk, enum key_set_kind kind, struct hm_problem *why)
{
	struct key_set_key *key = &set->keys[set->count];
	enum verdict verdict = read_key(jwk, kind, key, why);
	if (verdict == TAKEN && key_set_find(set, key->kid))
		verdict = malformed(why, "kid is that of another, too");
	if (verdict == TAKEN) {
		set->count++;
		return HM_OK;
	}
	EVP_PKEY_free(key->key);
	*key = (struct key_set_key){.key = NULL};
	set->ignored += verdict == IGNORED;
	return verdict == IGNORED ? HM_OK : HM_REFUSED;
}

/* ---- all of them ---- */

static hm_result parse(const char *text, size_t length, json_t **out, struct hm_problem *why)
{
	json_error_t error;
	if (length > HM_KEY_SET_MAX)
		return hm_refuse(why, "config", NULL, "a key set has at most %d bytes", HM_KEY_SET_MAX);
	struct json_measure found = json_measure(text, length);
	if (found.depth > HM_JSON_MAX_DEPTH || found.values > HM_KEY_SET_VALUES_MAX)
		return hm_refuse(why, "config", NULL, "a key set has at most %d levels and %d values and names",
			HM_JSON_MAX_DEPTH, HM_KEY_SET_VALUES_MAX);
	*out = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
	if (!*out)
		return hm_refuse(why, "config", NULL,
			"a key set is JSON without duplicates; the fault is near line %d, column %d", error.line,
			error.column);
	return HM_OK;
}

static hm_result add_keys(struct key_set *set, const json_t *document, enum key_set_kind kind, struct hm_problem *why)
{
	const json_t *keys = json_object_get(document, "keys"), *jwk;
	size_t i;
	if (!json_is_array(keys))
		return hm_refuse(why, "config", NULL, "a key set is a JSON object with an array `keys`");
	if (json_array_size(keys) > HM_KEY_SET_KEYS_MAX)
		return hm_refuse(why, "config", NULL, "a key set has at most %d keys", HM_KEY_SET_KEYS_MAX);
	json_array_foreach(keys, i, jwk) HM_TRY(add_key(set, jwk, kind, why));
	return HM_OK;
}

hm_result key_set_read(
	const char *text, size_t length, enum key_set_kind kind, struct key_set **out, struct hm_problem *why)
{
	json_t *document = NULL;
	*out = NULL;
	HM_TRY(parse(text, length, &document, why));
	struct key_set *set = calloc(1, sizeof *set);
	hm_result result =
		set ? add_keys(set, document, kind, why) : hm_unavailable(why, "overload", "no memory for a key set");
	json_decref(document);
	if (result == HM_OK)
		*out = set;
	else
		key_set_free(set);
	return result;
}

const struct key_set_key *key_set_find(const struct key_set *set, const char *kid)
{
	for (unsigned i = 0; i < set->count; i++)
		if (strcmp(set->keys[i].kid, kid) == 0)
			return &set->keys[i];
	return NULL;
}

void key_set_free(struct key_set *set)
{
	if (!set)
		return;
	for (unsigned i = 0; i < set->count; i++)
		EVP_PKEY_free(set->keys[i].key);
	free(set);
}
