/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A JWT as anybody may send it. An input's first byte chooses one who signs, its second byte the rules. Then come a
 * header and a payload with a zero byte between them, which are signed here, so that what is behind the signature is
 * reached, too; with no zero byte it is a whole JWT, and then only one that was signed here passes. What passes is
 * compared with the rules as they are read here.
 */
#include "fuzz.h"

#include "../unit/signer.h"
#include "foreign_jwt.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW    INT64_C(1760000000)
#define ISSUER "https://idp.test"
enum { CHOICES = 2, JWT_ROOM = 2 * FUZZ_INPUT_MAX, TOKEN_MAX = 2048 };

static void check(bool holds)
{
	if (!holds)
		abort();
}

/* ---- who signs, and the rules ---- */

static struct signer signers[KEY_ALGORITHMS];
static struct key_set *keys;

/* For each its kid, and what its headers call the algorithm. */
static const char *const kids[KEY_ALGORITHMS] = {"es256", "es384", "rs256", "ps256", "ed"};
static const char *const algs[KEY_ALGORITHMS] = {"ES256", "ES384", "RS256", "PS256", "EdDSA"};

static const char *const audiences[] = {"https://mint.test", "mint"};
enum { ASSERTION, SVID, ANY, RULES };
static const struct jwt_rules all_rules[RULES] = {
	[ASSERTION] = {.algorithms = ~0U,
		.typs = {"JWT", "client-authentication+jwt"},
		.issuer = ISSUER,
		.audiences = audiences,
		.audience_count = 1,
		.one_audience = true,
		.now = NOW,
		.leeway = HM_LEEWAY_MAX,
		.max_lifetime = 300,
		.needs_iat = true,
		.needs_nbf = true,
		.needs_jti = true,
		.needs_sub = true},
	[SVID] = {.algorithms = 1U << KEY_ES256 | 1U << KEY_ES384 | 1U << KEY_RS256,
		.typs = {"JWT", "JOSE"},
		.typ_may_be_missing = true,
		.header_is_bare = true,
		.any_issuer = true,
		.audiences = audiences,
		.audience_count = 2,
		.now = NOW,
		.max_lifetime = 600,
		.needs_sub = true},
	[ANY] = {.algorithms = ~0U,
		.typs = {"at+jwt"},
		.issuer = ISSUER,
		.audiences = audiences,
		.audience_count = 2,
		.now = NOW,
		.leeway = 1,
		.max_lifetime = 3600},
};

static void begin(void)
{
	char text[KEY_ALGORITHMS * 1024];
	struct hm_problem why;
	if (keys)
		return;
	int used = sprintf(text, "{\"keys\":[");
	for (unsigned i = 0; i < KEY_ALGORITHMS; i++) {
		signer_open(&signers[i], i);
		used += sprintf(text + used, "%s{\"kid\":\"%s\",\"alg\":\"%s\",%s}", i ? "," : "", kids[i], algs[i],
			signers[i].jwk.members);
	}
	used += sprintf(text + used, "]}");
	check(key_set_read(text, (size_t)used, KEY_SET_JWKS, &keys, &why) == HM_OK && keys->count == KEY_ALGORITHMS);
}

/* ---- seeds ---- */

static const struct seed {
	enum key_algorithm signer;
	unsigned rules;
	const char *header, *payload;
} seeds[] = {
	{KEY_ES256, ASSERTION, "{\"alg\":\"ES256\",\"kid\":\"es256\",\"typ\":\"JWT\"}",
		"{\"iss\":\"" ISSUER "\",\"sub\":\"ada\",\"jti\":\"1\",\"aud\":\"https://mint.test\","
		"\"iat\":1760000000,\"nbf\":1760000000,\"exp\":1760000300}"},
	{KEY_ES384, ASSERTION, "{\"typ\":\"application/jwt\",\"kid\":\"es384\",\"alg\":\"ES384\"}",
		"{\"aud\":[\"https://"
		"mint.test\"],\"exp\":1760000001,\"iat\":1759999990,\"nbf\":1759999990,\"jti\":\"2\","
		"\"sub\":\"\\u00e9\",\"iss\":\"" ISSUER "\",\"more\":{\"a\":[1,2.5,true,null]}}"},
	{KEY_PS256, ASSERTION,
		"{\"alg\":\"PS256\",\"kid\":\"ps256\",\"typ\":\"client-authentication+jwt\",\"x5t\":\"\"}",
		"{\"iss\":\"" ISSUER "\",\"sub\":\"ada\",\"jti\":\"3\",\"aud\":\"https://mint.test\","
		"\"iat\":1760000030,\"nbf\":1760000030,\"exp\":1760000330}"},
	{KEY_RS256, SVID, "{\"alg\":\"RS256\",\"kid\":\"rs256\"}",
		"{\"sub\":\"spiffe://other.test/a\",\"aud\":[\"elsewhere\",\"mint\"],\"exp\":1760000600}"},
	{KEY_ES256, SVID, "{\"alg\":\"ES256\",\"kid\":\"es256\",\"typ\":\"JOSE\"}",
		"{\"sub\":\"spiffe://other.test/a\",\"aud\":\"mint\",\"exp\":1760000600,\"iat\":1760000000}"},
	{KEY_ED25519, ANY, "{\"alg\":\"EdDSA\",\"kid\":\"ed\",\"typ\":\"at+jwt\"}",
		"{\"iss\":\"" ISSUER "\",\"aud\":[\"mint\",\"https://mint.test\"],\"exp\":1760000000}"},
	{KEY_ED25519, ANY, "{\"alg\":\"Ed25519\",\"kid\":\"ed\",\"typ\":\"AT+JWT\"}",
		"{\"iss\":\"" ISSUER "\",\"aud\":\"mint\",\"exp\":1760000009,\"iat\":1760000001,\"nbf\":1760000000,"
		"\"act\":{\"sub\":\"b\",\"act\":{\"sub\":\"c\"}}}"},
};
enum { SEEDS = sizeof seeds / sizeof *seeds };

#define BARE "{\"alg\":\"ES256\",\"kid\":\"es256\"}"
#define WHO  "\"iss\":\"" ISSUER "\",\"sub\":\"ada\",\"jti\":\"1\""
#define FROM "\"iat\":1760000000,\"nbf\":1760000000"

/* One step from good ones, and refused. */
static const struct seed near[] = {
	{KEY_ED25519, SVID, "{\"alg\":\"EdDSA\",\"kid\":\"ed\"}",
		"{\"sub\":\"a\",\"aud\":\"mint\",\"exp\":1760000600}"},
	{KEY_ES256, SVID, "{\"alg\":\"ES256\",\"kid\":\"es256\",\"x5t\":\"\"}",
		"{\"sub\":\"a\",\"aud\":\"mint\",\"exp\":1760000600}"},
	{KEY_ES256, SVID, BARE, "{\"sub\":\"a\",\"aud\":\"mint\",\"exp\":1760000601}"},
	{KEY_ES256, SVID, BARE, "{\"sub\":\"a\",\"aud\":\"mint\",\"exp\":1760000000}"},
	{KEY_ES256, SVID, BARE, "{\"sub\":\"a\",\"aud\":\"mint\",\"exp\":1760000600.0}"},
	{KEY_ES256, SVID, BARE, "{\"sub\":\"a\",\"aud\":\"mint\",\"exp\":1760000600,\"iat\":1760000001}"},
	{KEY_ES256, SVID, BARE, "{\"sub\":\"a\",\"aud\":\"mint\",\"exp\":1760000600,\"nbf\":1760000001}"},
	{KEY_ES256, SVID, BARE, "{\"sub\":\"a\",\"aud\":\"mint\",\"exp\":1760000600,\"nbf\":-1}"},
	{KEY_ES256, SVID, BARE, "{\"sub\":\"a\",\"aud\":\"mint\"}"},
	{KEY_ES256, SVID, BARE, "{\"aud\":\"mint\",\"exp\":1760000600}"},
	{KEY_ES256, SVID, BARE, "{\"sub\":\"a\\n\",\"aud\":\"mint\",\"exp\":1760000600}"},
	{KEY_ES256, SVID, BARE, "{\"sub\":\"a\",\"aud\":[\"other\"],\"exp\":1760000600}"},
	{KEY_ES256, SVID, BARE, "{\"sub\":\"a\",\"aud\":[\"mint\",7],\"exp\":1760000600}"},
	{KEY_ES256, SVID, BARE, "{\"sub\":\"a\",\"sub\":\"b\",\"aud\":\"mint\",\"exp\":1760000600}"},
	{KEY_ES256, ASSERTION, BARE, "{" WHO ",\"aud\":\"https://mint.test\"," FROM ",\"exp\":1760000300}"},
	{KEY_ES256, ASSERTION, "{\"alg\":\"ES256\",\"kid\":\"es256\",\"typ\":\"at+jwt\"}",
		"{" WHO ",\"aud\":\"https://mint.test\"," FROM ",\"exp\":1760000300}"},
	{KEY_ES256, ASSERTION, "{\"alg\":\"ES256\",\"kid\":\"es256\",\"typ\":\"JWT\",\"crit\":[\"exp\"]}",
		"{" WHO ",\"aud\":\"https://mint.test\"," FROM ",\"exp\":1760000300}"},
	{KEY_ES256, ASSERTION, "{\"alg\":\"ES256\",\"kid\":\"es256\",\"typ\":\"JWT\"}",
		"{" WHO ",\"aud\":[\"https://mint.test\",\"mint\"]," FROM ",\"exp\":1760000300}"},
	{KEY_ES256, ASSERTION, "{\"alg\":\"ES256\",\"kid\":\"es256\",\"typ\":\"JWT\"}",
		"{" WHO ",\"aud\":\"https://mint.test\"," FROM ",\"exp\":1760000000}"},
	{KEY_ED25519, ANY, "{\"alg\":\"EdDSA\",\"kid\":\"es256\",\"typ\":\"at+jwt\"}",
		"{\"iss\":\"" ISSUER "\",\"aud\":\"mint\",\"exp\":1760000000}"},
	{KEY_ED25519, ANY, "{\"alg\":\"EdDSA\",\"kid\":\"ed\",\"typ\":\"at+jwt\"}",
		"{\"iss\":\"" ISSUER "/\",\"aud\":\"mint\",\"exp\":1760000000}"},
};
enum { NEAR = sizeof near / sizeof *near };

/* The good ones as whole JWTs. */
static char wholes[SEEDS][TOKEN_MAX];

static bool is_whole_seed(const char *jwt, size_t length)
{
	for (unsigned i = 0; i < SEEDS; i++)
		if (strlen(wholes[i]) == length && memcmp(wholes[i], jwt, length) == 0)
			return true;
	return false;
}

/* ---- what has to hold of one that passed ---- */

static const char *text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));
	return text ? text : "";
}

static void check_header(const json_t *header, unsigned signer, const struct jwt_rules *rules)
{
	static const char *const never[] = {"crit", "jku", "x5u", "jwk", "x5c", "zip", "enc", "b64"};
	const char *alg = text_of(header, "alg"), *typ = text_of(header, "typ");
	bool is_expected = rules->typ_may_be_missing && !json_object_get(header, "typ");
	check(json_is_object(header) && strcmp(text_of(header, "kid"), kids[signer]) == 0);
	check(rules->algorithms & 1U << signer);
	check(strcmp(alg, algs[signer]) == 0 || (signer == KEY_ED25519 && strcmp(alg, "Ed25519") == 0));
	for (size_t i = 0; i < sizeof never / sizeof *never; i++)
		check(!json_object_get(header, never[i]));
	typ += strncasecmp(typ, "application/", 12) == 0 ? 12 : 0;
	for (unsigned i = 0; i < HM_FOREIGN_TYPS_MAX && rules->typs[i]; i++)
		is_expected = is_expected || strcasecmp(typ, rules->typs[i]) == 0;
	check(is_expected && (!rules->header_is_bare || json_object_size(header) <= 3));
}

static bool is_ours(const json_t *audience, const struct jwt_rules *rules)
{
	bool found = false;
	check(json_is_string(audience));
	for (unsigned i = 0; i < rules->audience_count; i++)
		found = found || strcmp(json_string_value(audience), rules->audiences[i]) == 0;
	return found;
}

static void check_audience(const json_t *aud, const struct jwt_rules *rules)
{
	const json_t *audience;
	unsigned ours = 0, others = 0;
	size_t i;
	if (json_is_string(aud))
		ours = is_ours(aud, rules);
	json_array_foreach(aud, i, audience)
	{
		ours += is_ours(audience, rules);
		others += !is_ours(audience, rules);
	}
	check(ours > 0 && (!rules->one_audience || (ours == 1 && !others)));
}

/* A whole number of seconds; -1: it is not there, as it may. */
static int64_t time_of(const json_t *payload, const char *name, bool is_needed)
{
	const json_t *value = json_object_get(payload, name);
	check(value ? json_is_integer(value) && json_integer_value(value) >= 0 : !is_needed);
	return value ? json_integer_value(value) : -1;
}

static void check_times(const json_t *payload, const struct foreign_jwt *jwt, const struct jwt_rules *rules)
{
	int64_t exp = time_of(payload, "exp", true), iat = time_of(payload, "iat", rules->needs_iat),
		nbf = time_of(payload, "nbf", rules->needs_nbf), from = iat < 0 ? NOW : iat;
	check(jwt->expires == exp && jwt->issued == iat && jwt->not_before == nbf);
	check(exp + rules->leeway > NOW && exp > iat && exp > nbf && exp <= HM_TIME_MAX);
	check(iat <= NOW + rules->leeway && nbf <= NOW + rules->leeway && exp - from <= rules->max_lifetime);
}

static void check_text(const json_t *payload, const char *name, size_t most, bool is_needed, const char *text)
{
	const json_t *value = json_object_get(payload, name);
	check(value ? json_is_string(value) && strcmp(json_string_value(value), text) == 0 && *text
		    : !is_needed && !*text);
	check(strlen(text) <= most);
	for (; *text; text++)
		check((unsigned char)*text >= ' ' && *text != 0x7f);
}

static void check_payload(const json_t *payload, const struct foreign_jwt *jwt, const struct jwt_rules *rules)
{
	check(json_is_object(payload) && json_equal(payload, jwt->payload));
	check_text(payload, "iss", HM_URL_MAX, !rules->any_issuer, jwt->issuer);
	check(rules->any_issuer || strcmp(jwt->issuer, rules->issuer) == 0);
	check_text(payload, "sub", HM_SPIFFE_ID_MAX, rules->needs_sub, jwt->subject);
	check_text(payload, "jti", HM_FOREIGN_JTI_MAX, rules->needs_jti, jwt->id);
	check_audience(json_object_get(payload, "aud"), rules);
	check_times(payload, jwt, rules);
}

/* What anybody may see of it says the same. */
static void check_peeked(const struct unverified_jwt *said, const struct foreign_jwt *jwt)
{
	check(strcmp(said->kid, jwt->kid) == 0 && strcmp(said->issuer, jwt->issuer) == 0 &&
		strcmp(said->subject, jwt->subject) == 0);
}

static void check_refused(const struct foreign_jwt *jwt, const struct hm_problem *why)
{
	check(strcmp(why->code, FOREIGN_JWT_REFUSED) == 0 && why->detail[0]);
	check(!jwt->payload && !*jwt->subject && !*jwt->issuer && !*jwt->id && !*jwt->kid);
}

/* ---- one input ---- */

static bool verify(const char *text, size_t length, const struct jwt_rules *rules, struct foreign_jwt *jwt)
{
	struct unverified_jwt said;
	struct hm_problem why = {0};
	hm_result peeked = foreign_jwt_peek_unverified(text, length, &said, &why);
	check(peeked == HM_OK || (peeked == HM_REFUSED && !*said.kid && !*said.typ && !*said.issuer && !*said.subject));
	hm_result result = foreign_jwt_verify(text, length, rules, keys, jwt, &why);
	check(result == HM_OK || result == HM_REFUSED);
	if (result == HM_REFUSED) {
		check_refused(jwt, &why);
		return false;
	}
	check(peeked == HM_OK);
	check_peeked(&said, jwt);
	return true;
}

static json_t *parse(const uint8_t *json, size_t length)
{
	return json_loadb((const char *)json, length, JSON_REJECT_DUPLICATES, NULL);
}

/* In memory of just its length, so that a sanitizer sees a read beyond it. */
static char *make_exactly(unsigned signer, const uint8_t *header, size_t header_length, const uint8_t *payload,
	size_t payload_length, size_t *length)
{
	static char room[JWT_ROOM];
	*length = signer_make_jwt(&signers[signer], header, header_length, payload, payload_length, room);
	char *jwt = malloc(*length);
	check(jwt);
	memcpy(jwt, room, *length);
	return jwt;
}

static void run_signed(unsigned signer, const struct jwt_rules *rules, const uint8_t *data, size_t size, size_t zero)
{
	const uint8_t *payload = data + zero + 1;
	size_t payload_length = size - zero - 1, length;
	char *text = make_exactly(signer, data, zero, payload, payload_length, &length);
	FOREIGN_JWT_AUTO jwt;
	if (verify(text, length, rules, &jwt)) {
		json_t *header_json = parse(data, zero), *payload_json = parse(payload, payload_length);
		check(strcmp(jwt.kid, kids[signer]) == 0);
		check_header(header_json, signer, rules);
		check_payload(payload_json, &jwt, rules);
		json_decref(header_json);
		json_decref(payload_json);
	}
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	begin();
	if (size < CHOICES)
		return 0;
	const struct jwt_rules *rules = &all_rules[data[1] % RULES];
	const uint8_t *rest = data + CHOICES, *zero = memchr(rest, 0, size - CHOICES);
	if (zero) {
		run_signed(data[0] % KEY_ALGORITHMS, rules, rest, size - CHOICES, (size_t)(zero - rest));
		return 0;
	}
	FOREIGN_JWT_AUTO jwt;
	if (verify((const char *)rest, size - CHOICES, rules, &jwt))
		check(is_whole_seed((const char *)rest, size - CHOICES));
	return 0;
}

static size_t put_parts(const struct seed *seed, uint8_t *data)
{
	size_t header_size = strlen(seed->header) + 1, payload_length = strlen(seed->payload);
	data[0] = (uint8_t)seed->signer;
	data[1] = (uint8_t)seed->rules;
	memcpy(data + CHOICES, seed->header, header_size);
	memcpy(data + CHOICES + header_size, seed->payload, payload_length);
	return CHOICES + header_size + payload_length;
}

static size_t put_whole(unsigned number, uint8_t *data)
{
	const struct seed *seed = &seeds[number];
	char *whole = wholes[number];
	FOREIGN_JWT_AUTO jwt;
	size_t length = signer_make_jwt(&signers[seed->signer], seed->header, strlen(seed->header), seed->payload,
		strlen(seed->payload), whole);
	check(verify(whole, length, &all_rules[seed->rules], &jwt));
	data[0] = (uint8_t)seed->signer;
	data[1] = (uint8_t)seed->rules;
	memcpy(data + CHOICES, whole, length);
	return CHOICES + length;
}

size_t fuzz_seed(unsigned number, uint8_t *data)
{
	begin();
	if (number < SEEDS)
		return put_parts(&seeds[number], data);
	number -= SEEDS;
	if (number < SEEDS)
		return put_whole(number, data);
	number -= SEEDS;
	return number < NEAR ? put_parts(&near[number], data) : 0;
}
