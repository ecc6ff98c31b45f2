/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys of somebody whom we trust, as a JWK Set and as a SPIFFE bundle. The document comes from whom it names, but
 * over a way that may be hostile. What is taken of it is for what the document says, can be found, and is read alike
 * when it is written again; there is nothing private in it.
 */
#include "fuzz.h"

#include "../unit/signer.h"
#include "key_set.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SPIFFE_ALGORITHMS (1U << KEY_ES256 | 1U << KEY_ES384 | 1U << KEY_RS256 | 1U << KEY_PS256)

static struct signer signers[KEY_ALGORITHMS];

static void check(bool holds)
{
	if (!holds)
		abort();
}

static void begin(void)
{
	if (!signers[0].pair)
		for (unsigned i = 0; i < KEY_ALGORITHMS; i++)
			signer_open(&signers[i], i);
}

/* ---- what has to hold of a document that was read ---- */

static bool is_text(const json_t *object, const char *name, const char *text)
{
	const char *value = json_string_value(json_object_get(object, name));
	return value && strcmp(value, text) == 0;
}

static void check_is_public(const json_t *jwk)
{
	static const char *const names[] = {"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"};
	check(json_is_object(jwk));
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		check(!json_object_get(jwk, names[i]));
}

/* Of those with its kid one is this: others may be there that are ignored. */
static void check_said(const json_t *keys, const struct key_set_key *key, enum key_set_kind kind)
{
	static const char *const types[] = {
		[JWK_P256] = "EC", [JWK_P384] = "EC", [JWK_RSA] = "RSA", [JWK_ED25519] = "OKP"};
	const json_t *jwk;
	bool found = false;
	size_t i;
	json_array_foreach(keys, i, jwk)
	{
		bool is_for_this = kind == KEY_SET_SPIFFE ? is_text(jwk, "use", "jwt-svid")
							  : is_text(jwk, "use", "sig") || !json_object_get(jwk, "use");
		found = found ||
			(is_for_this && is_text(jwk, "kid", key->kid) && is_text(jwk, "kty", types[key->jwk.type]));
	}
	check(found);
}

static void check_algorithms(const struct key_set_key *key, enum key_set_kind kind)
{
	check(key->algorithms && (kind == KEY_SET_JWKS || !(key->algorithms & ~SPIFFE_ALGORITHMS)));
	for (unsigned i = 0; i < 8 * sizeof key->algorithms; i++)
		if (key->algorithms & 1U << i)
			check(i < KEY_ALGORITHMS && jwk_is_for(key->jwk.type, i));
}

static void check_kid(const char *kid)
{
	check(*kid && strlen(kid) <= HM_FOREIGN_KID_MAX);
	for (; *kid; kid++)
		check((unsigned char)*kid >= ' ' && *kid != 0x7f);
}

static void check_again(const struct key_set_key *key)
{
	char text[JWK_MEMBERS_MAX + 32];
	struct hm_problem why;
	KEY_SET_AUTO *set = NULL;
	int length = snprintf(text, sizeof text, "{\"keys\":[{\"kid\":\"k\",%s}]}", key->jwk.members);
	check(key_set_read(text, (size_t)length, KEY_SET_JWKS, &set, &why) == HM_OK && set->count == 1);
	check(strcmp(set->keys[0].jwk.kid, key->jwk.kid) == 0 && EVP_PKEY_eq(set->keys[0].key, key->key) == 1);
}

static void check_set(const json_t *document, const struct key_set *set, enum key_set_kind kind)
{
	const json_t *keys = json_object_get(document, "keys"), *jwk;
	size_t i;
	check(json_is_array(keys) && json_array_size(keys) == set->count + set->ignored);
	json_array_foreach(keys, i, jwk)
	{
		check_is_public(jwk);
	}
	for (i = 0; i < set->count; i++) {
		const struct key_set_key *key = &set->keys[i];
		check(key_set_find(set, key->kid) == key);
		check_kid(key->kid);
		check_said(keys, key, kind);
		check_algorithms(key, kind);
		check_again(key);
	}
}

static bool run(const uint8_t *data, size_t size, enum key_set_kind kind)
{
	struct hm_problem why = {0};
	KEY_SET_AUTO *set = NULL;
	hm_result result = key_set_read((const char *)data, size, kind, &set, &why);
	if (result != HM_OK) {
		check(result == HM_REFUSED && !set && strcmp(why.code, "config") == 0 && why.detail[0]);
		return false;
	}
	json_t *document = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
	check_set(document, set, kind);
	json_decref(document);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	begin();
	(void)run(data, size, KEY_SET_JWKS);
	(void)run(data, size, KEY_SET_SPIFFE);
	return 0;
}

/* ---- seeds ---- */

/* Between the members of a key that was made here and its kid. */
static const char *const more[] = {"", ",\"use\":\"sig\"", ",\"use\":\"jwt-svid\"", ",\"key_ops\":[\"verify\"]",
	",\"use\":\"enc\"", ",\"alg\":\"ES256\"", ",\"use\":\"jwt-svid\",\"alg\":\"PS256\""};
enum { MORE = sizeof more / sizeof *more };

/* Whole documents; all but those of the last three are read. */
static const char *const documents[] = {"{\"keys\":[]}",
	"{\"spiffe_sequence\":7,\"spiffe_refresh_hint\":300,\"keys\":[{\"kty\":\"EC\",\"use\":\"x509-svid\","
	"\"crv\":\"P-521\",\"x5c\":[\"AAAA\"]},{\"kty\":\"AKP\",\"kid\":\"a\",\"alg\":\"ML-DSA-44\",\"pub\":\"AAAA\"}]"
	"}",
	"{\"keys\":[{\"kty\":\"RSA\",\"kid\":\"small\",\"n\":\"qw\",\"e\":\"AQAB\"}]}",
	"{\"keys\":[{\"kty\":\"oct\",\"kid\":\"s\",\"k\":\"AAAA\"}]}",
	"{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"e\",\"x\":\"AA\",\"y\":\"AA\"}]}",
	"{\"keys\":[{\"kty\":\"RSA\",\"kid\":\"r\",\"n\":\"qw\",\"e\":\"AQ\"}]}"};
enum { DOCUMENTS = sizeof documents / sizeof *documents, READ_DOCUMENTS = DOCUMENTS - 3, COUNTS = 2 };

static size_t put_keys(const char *members, uint8_t *data)
{
	size_t used = (size_t)sprintf((char *)data, "{\"keys\":[");
	for (unsigned i = 0; i < KEY_ALGORITHMS; i++)
		used += (size_t)sprintf((char *)data + used, "%s{%s%s,\"kid\":\"%u\"}", i ? "," : "",
			signers[i].jwk.members, members, i);
	return used + (size_t)sprintf((char *)data + used, "]}");
}

static size_t put_many(unsigned count, uint8_t *data)
{
	size_t used = (size_t)sprintf((char *)data, "{\"keys\":[{}");
	for (unsigned i = 1; i < count; i++)
		used += (size_t)sprintf((char *)data + used, ",{}");
	return used + (size_t)sprintf((char *)data + used, "]}");
}

size_t fuzz_seed(unsigned number, uint8_t *data)
{
	begin();
	if (number < MORE) {
		size_t length = put_keys(more[number], data);
		check(run(data, length, KEY_SET_JWKS) && run(data, length, KEY_SET_SPIFFE));
		return length;
	}
	number -= MORE;
	if (number < DOCUMENTS) {
		size_t length = strlen(documents[number]);
		memcpy(data, documents[number], length);
		check(run(data, length, KEY_SET_JWKS) == (number < READ_DOCUMENTS));
		return length;
	}
	number -= DOCUMENTS;
	if (number == COUNTS)
		return 0;
	size_t length = put_many(HM_KEY_SET_KEYS_MAX + number, data);
	check(run(data, length, KEY_SET_JWKS) == !number);
	return length;
}
