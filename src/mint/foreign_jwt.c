/* SPDX-License-Identifier: Apache-2.0 */
#include "foreign_jwt.h"

#include "base64url.h"
#include "json_measure.h"
#include "jws_parts.h"
#include "jws_verify.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static hm_result refuse(struct hm_problem *why, const char *rule)
{
	return hm_refuse(why, FOREIGN_JWT_REFUSED, NULL, "%s", rule);
}

/* ---- form ---- */

static hm_result split(const char *text, size_t length, struct jws_parts *parts, struct hm_problem *why)
{
	if (!jws_split(text, length, HM_JWT_MAX, parts))
		return refuse(why, "the JWT is too long, or has not three parts");
	if (!parts->header.length || !parts->payload.length || !parts->signature.length)
		return refuse(why, "a part of the JWT is empty");
	return HM_OK;
}

/* Depth and size are known before the parser, which recurses, sees it. */
static json_t *parse(const char *json, size_t length)
{
	struct json_measure found = json_measure(json, length);
	json_t *object = found.depth <= HM_JSON_MAX_DEPTH && found.values <= HM_JSON_MAX_TOKENS
				 ? json_loadb(json, length, JSON_REJECT_DUPLICATES, NULL)
				 : NULL;
	if (json_is_object(object))
		return object;
	json_decref(object);
	return NULL;
}

static hm_result decode(struct jws_part part, size_t most, const char *what, json_t **out, struct hm_problem *why)
{
	char json[HM_JWT_PAYLOAD_MAX];
	size_t length = base64url_decode(part.text, part.length, json, most);
	if (length == SIZE_MAX)
		return hm_refuse(
			why, FOREIGN_JWT_REFUSED, NULL, "the %s is no base64url of %zu bytes at most", what, most);
	*out = parse(json, length);
	return *out ? HM_OK
		    : hm_refuse(why, FOREIGN_JWT_REFUSED, NULL, "the %s is no JSON object without duplicates", what);
}

static hm_result decode_header(const struct jws_parts *parts, json_t **header, struct hm_problem *why)
{
	return decode(parts->header, HM_FOREIGN_HEADER_MAX, "header", header, why);
}

static hm_result decode_payload(const struct jws_parts *parts, json_t **payload, struct hm_problem *why)
{
	return decode(parts->payload, HM_JWT_PAYLOAD_MAX, "payload", payload, why);
}

/* ---- header ---- */

static hm_result check_members(const json_t *header, bool is_bare, struct hm_problem *why)
{
	/* What would have us take keys from the JWT, decode it in another way, or understand what we do not. */
	static const char *const refused[] = {"crit", "jku", "x5u", "jwk", "x5c", "zip", "enc", "b64"};
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
		if (json_object_get(header, refused[i]))
			return hm_refuse(why, FOREIGN_JWT_REFUSED, NULL, "the header has %s", refused[i]);
	size_t known =
		!!json_object_get(header, "alg") + !!json_object_get(header, "kid") + !!json_object_get(header, "typ");
	if (is_bare && json_object_size(header) != known)
		return refuse(why, "the header has more than alg, kid and typ");
	return HM_OK;
}

/* RFC 7515, section 4.1.9: application/ may be left out where no other slash follows. */
static const char *without_application(const char *typ)
{
	static const char prefix[] = "application/";
	size_t length = sizeof prefix - 1;
	return strncasecmp(typ, prefix, length) == 0 && !strchr(typ + length, '/') ? typ + length : typ;
}

static hm_result check_typ(const json_t *header, const struct jwt_rules *rules, struct hm_problem *why)
{
	const json_t *typ = json_object_get(header, "typ");
	if (!typ && rules->typ_may_be_missing)
		return HM_OK;
	if (json_is_string(typ))
		for (unsigned i = 0; i < HM_FOREIGN_TYPS_MAX && rules->typs[i]; i++)
			if (strcasecmp(without_application(json_string_value(typ)), rules->typs[i]) == 0)
				return HM_OK;
	return refuse(why, "the header's typ is none that is expected");
}

static hm_result check_header(
	const json_t *header, const struct jwt_rules *rules, enum key_algorithm *algorithm, struct hm_problem *why)
{
	const char *name = json_string_value(json_object_get(header, "alg"));
	HM_TRY(check_members(header, rules->header_is_bare, why));
	HM_TRY(check_typ(header, rules, why));
	*algorithm = name ? key_set_algorithm(name) : KEY_ALGORITHMS;
	if (*algorithm == KEY_ALGORITHMS || !(rules->algorithms & 1U << *algorithm))
		return refuse(why, "the header's alg is none that is expected");
	return HM_OK;
}

static const struct key_set_key *only_key(enum key_algorithm algorithm, const struct key_set *keys)
{
	const struct key_set_key *only = NULL;
	for (unsigned i = 0; i < keys->count; i++) {
		if (!(keys->keys[i].algorithms & 1U << algorithm))
			continue;
		if (only)
			return NULL;
		only = &keys->keys[i];
	}
	return only;
}

/* The key that the header names verifies with this algorithm: what the header says never makes another use of it. */
static const struct key_set_key *choose_key(
	const json_t *header, enum key_algorithm algorithm, const struct jwt_rules *rules, const struct key_set *keys)
{
	const json_t *kid = json_object_get(header, "kid");
	if (!kid && rules->kid_may_be_missing)
		return only_key(algorithm, keys);
	const struct key_set_key *key = json_is_string(kid) ? key_set_find(keys, json_string_value(kid)) : NULL;
	return key && (key->algorithms & 1U << algorithm) ? key : NULL;
}

static hm_result check_signature(const struct jws_parts *parts, const struct key_set_key *key,
	enum key_algorithm algorithm, struct hm_problem *why)
{
	uint8_t signature[HM_SIGNATURE_MAX];
	size_t length = base64url_decode(parts->signature.text, parts->signature.length, signature, sizeof signature);
	if (length != key->jwk.signature_length)
		return refuse(why, "the signature is no base64url of its key's length");
	if (!jws_verify_with(key->key, algorithm, parts->signed_.text, parts->signed_.length, signature, length))
		return refuse(why, "the signature is not its key's");
	return HM_OK;
}

/* ---- claims ---- */

/* These go to logs, rows and the ledger. */
static bool is_plain(const char *text, size_t most)
{
	size_t length = strlen(text);
	for (size_t i = 0; i < length; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return false;
	return length > 0 && length <= most;
}

static hm_result get_text(
	const json_t *payload, const char *name, size_t most, bool is_needed, const char **out, struct hm_problem *why)
{
	const json_t *value = json_object_get(payload, name);
	*out = "";
	if (!value && !is_needed)
		return HM_OK;
	if (!json_is_string(value) || !is_plain(json_string_value(value), most))
		return hm_refuse(why, FOREIGN_JWT_REFUSED, NULL, "%s is no string of 1 to %zu plain bytes", name, most);
	*out = json_string_value(value);
	return HM_OK;
}

static hm_result get_time(const json_t *payload, const char *name, bool is_needed, int64_t *out, struct hm_problem *why)
{
	const json_t *value = json_object_get(payload, name);
	*out = -1;
	if (!value && !is_needed)
		return HM_OK;
	json_int_t seconds = json_is_integer(value) ? json_integer_value(value) : -1;
	if (seconds < 0 || seconds > HM_TIME_MAX)
		return hm_refuse(why, FOREIGN_JWT_REFUSED, NULL, "%s is no whole number of seconds since 1970", name);
	*out = seconds;
	return HM_OK;
}

static hm_result check_times(const struct foreign_jwt *jwt, const struct jwt_rules *rules, struct hm_problem *why)
{
	int64_t late = rules->now - rules->leeway, early = rules->now + rules->leeway;
	if (rules->leeway > HM_LEEWAY_MAX)
		return refuse(why, "the rules have a larger leeway than is allowed");
	if (jwt->expires <= late)
		return refuse(why, "it has expired");
	if (jwt->issued > early || jwt->not_before > early)
		return refuse(why, "iat or nbf is in the future");
	if (jwt->expires <= jwt->issued || jwt->expires <= jwt->not_before)
		return refuse(why, "exp is not after iat and nbf");
	if (jwt->expires - (jwt->issued < 0 ? rules->now : jwt->issued) > rules->max_lifetime)
		return refuse(why, "it lives too long");
	return HM_OK;
}

static bool is_accepted(const json_t *audience, const struct jwt_rules *rules)
{
	for (unsigned i = 0; i < rules->audience_count; i++)
		if (strcmp(json_string_value(audience), rules->audiences[i]) == 0)
			return true;
	return false;
}

static hm_result check_audience(const json_t *payload, const struct jwt_rules *rules, struct hm_problem *why)
{
	const json_t *aud = json_object_get(payload, "aud"), *audience;
	bool accepted = json_is_string(aud) && is_accepted(aud, rules);
	size_t i;
	json_array_foreach(aud, i, audience)
	{
		if (!json_is_string(audience))
			return refuse(why, "aud has something that is no string");
		accepted = accepted || is_accepted(audience, rules);
	}
	if (!accepted)
		return refuse(why, "aud has none that is expected");
	if (rules->one_audience && json_is_array(aud) && json_array_size(aud) != 1)
		return refuse(why, "aud has others besides");
	return HM_OK;
}

static hm_result check_issuer(const char *issuer, const struct jwt_rules *rules, struct hm_problem *why)
{
	if (rules->any_issuer || (rules->issuer && strcmp(issuer, rules->issuer) == 0))
		return HM_OK;
	return refuse(why, "iss is not who is expected");
}

static hm_result check_claims(struct foreign_jwt *jwt, const struct jwt_rules *rules, struct hm_problem *why)
{
	const json_t *payload = jwt->payload;
	HM_TRY(get_text(payload, "iss", HM_URL_MAX, !rules->any_issuer, &jwt->issuer, why));
	HM_TRY(check_issuer(jwt->issuer, rules, why));
	HM_TRY(check_audience(payload, rules, why));
	HM_TRY(get_text(payload, "sub", HM_SPIFFE_ID_MAX, rules->needs_sub, &jwt->subject, why));
	HM_TRY(get_text(payload, "jti", HM_FOREIGN_JTI_MAX, rules->needs_jti, &jwt->id, why));
	HM_TRY(get_time(payload, "exp", true, &jwt->expires, why));
	HM_TRY(get_time(payload, "iat", rules->needs_iat, &jwt->issued, why));
	HM_TRY(get_time(payload, "nbf", rules->needs_nbf, &jwt->not_before, why));
	return check_times(jwt, rules, why);
}

/* ---- all ---- */

static hm_result verify_parts(const struct jws_parts *parts, const json_t *header, const struct jwt_rules *rules,
	const struct key_set *keys, struct foreign_jwt *out, struct hm_problem *why)
{
	enum key_algorithm algorithm = KEY_ALGORITHMS;
	HM_TRY(check_header(header, rules, &algorithm, why));
	const struct key_set_key *key = choose_key(header, algorithm, rules, keys);
	if (!key)
		return refuse(why, "the header's kid is that of no key, or of one for another alg");
	HM_TRY(check_signature(parts, key, algorithm, why));
	memcpy(out->kid, key->kid, sizeof out->kid);
	HM_TRY(decode_payload(parts, &out->payload, why));
	return check_claims(out, rules, why);
}

hm_result foreign_jwt_verify(const char *text, size_t length, const struct jwt_rules *rules, const struct key_set *keys,
	struct foreign_jwt *out, struct hm_problem *why)
{
	struct jws_parts parts = {.header = {"", 0}, .payload = {"", 0}};
	json_t *header = NULL;
	*out = (struct foreign_jwt){.subject = "", .issuer = "", .id = ""};
	HM_TRY(split(text, length, &parts, why));
	HM_TRY(decode_header(&parts, &header, why));
	hm_result result = verify_parts(&parts, header, rules, keys, out, why);
	json_decref(header);
	if (result != HM_OK)
		foreign_jwt_free(out);
	return result;
}

void foreign_jwt_free(struct foreign_jwt *jwt)
{
	json_decref(jwt->payload);
	*jwt = (struct foreign_jwt){.subject = "", .issuer = "", .id = ""};
}

/* ---- unverified ---- */

static void copy_text(const json_t *object, const char *name, char *out, size_t size)
{
	const char *text = json_string_value(json_object_get(object, name));
	out[0] = 0;
	if (text && is_plain(text, size - 1))
		memcpy(out, text, strlen(text) + 1);
}

hm_result foreign_jwt_peek_unverified(
	const char *text, size_t length, struct unverified_jwt *out, struct hm_problem *why)
{
	struct jws_parts parts = {.header = {"", 0}, .payload = {"", 0}};
	json_t *header = NULL, *payload = NULL;
	*out = (struct unverified_jwt){.kid = ""};
	HM_TRY(split(text, length, &parts, why));
	HM_TRY(decode_header(&parts, &header, why));
	hm_result result = decode_payload(&parts, &payload, why);
	if (result == HM_OK) {
		copy_text(header, "kid", out->kid, sizeof out->kid);
		copy_text(header, "typ", out->typ, sizeof out->typ);
		copy_text(payload, "iss", out->issuer, sizeof out->issuer);
		copy_text(payload, "sub", out->subject, sizeof out->subject);
	}
	json_decref(header);
	json_decref(payload);
	return result;
}
