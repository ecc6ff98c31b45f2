/* SPDX-License-Identifier: Apache-2.0 */
#include "dpop_inside.h"

#include "base64url.h"
#include "jws_parts.h"
#include "jws_verify.h"
#include "url_normal.h"
#include <string.h>

/* Ed25519 is RFC 9864's name for what EdDSA means here, too. */
const char *const dpop_algorithms[] = {"ES256", "ES384", "PS256", "RS256", "Ed25519", "EdDSA", NULL};
static const enum key_algorithm meant[] = {KEY_ES256, KEY_ES384, KEY_PS256, KEY_RS256, KEY_ED25519, KEY_ED25519};
_Static_assert(sizeof dpop_algorithms / sizeof *dpop_algorithms == sizeof meant / sizeof *meant + 1, "one for each");

/* The claims that are used once all of them are right: the payload's. */
struct claims {
	const char *jti, *nonce;
};

hm_result dpop_refuse(struct hm_problem *why, const char *field, const char *accepted)
{
	return hm_refuse(why, "dpop", field, "%s", accepted);
}

/* ---- form ---- */

/* A JSON object without a member twice; NULL: it is none. */
static json_t *decode(struct jws_part part)
{
	char json[HM_DPOP_PROOF_MAX];
	size_t decoded = base64url_decode(part.text, part.length, json, sizeof json);
	json_t *value = decoded == SIZE_MAX ? NULL : json_loadb(json, decoded, JSON_REJECT_DUPLICATES, NULL);
	if (json_is_object(value))
		return value;
	json_decref(value);
	return NULL;
}

/* NULL: it is not there, or no string. */
static const char *text_of(const json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name));
}

static bool is_text(const json_t *object, const char *name, const char *wanted)
{
	const char *text = text_of(object, name);
	return text && strcmp(text, wanted) == 0;
}

/* ---- header ---- */

/* RFC 7515, section 4: others are ignored, kid too: the key is `jwk` and nothing else. These would name another one, or
 * change what was signed. */
static const char *unwanted_member(const json_t *header)
{
	static const char *const names[] = {"jku", "x5u", "x5c", "x5t", "x5t#S256", "crit", "b64", "enc", "zip"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (json_object_get(header, names[i]))
			return names[i];
	return NULL;
}

static const char *find_algorithm(const json_t *header, enum key_algorithm *algorithm)
{
	for (size_t i = 0; dpop_algorithms[i]; i++)
		if (is_text(header, "alg", dpop_algorithms[i])) {
			*algorithm = meant[i];
			return dpop_algorithms[i];
		}
	return NULL;
}

static hm_result read_header(
	const json_t *header, enum key_algorithm *algorithm, struct dpop_key *key, struct hm_problem *why)
{
	if (!is_text(header, "typ", "dpop+jwt"))
		return dpop_refuse(why, "typ", "dpop+jwt");
	const char *unwanted = unwanted_member(header), *name = find_algorithm(header, algorithm);
	if (unwanted)
		return dpop_refuse(why, unwanted, "a header without it");
	if (!name)
		return dpop_refuse(why, "alg", "one of dpop_signing_alg_values_supported");
	return dpop_key_read(json_object_get(header, "jwk"), *algorithm, name, key, why);
}

static bool is_signed(const struct jws_parts *parts, enum key_algorithm algorithm, const struct dpop_key *key)
{
	uint8_t signature[HM_SIGNATURE_MAX];
	size_t length = base64url_decode(parts->signature.text, parts->signature.length, signature, sizeof signature);
	return length == key->jwk.signature_length &&
	       jws_verify(key->spki, key->spki_length, algorithm, parts->signed_.text, parts->signed_.length, signature,
		       length);
}

/* ---- claims ---- */

static bool is_url(const char *claimed, const char *url)
{
	char one[HM_DPOP_URL_MAX + 1], other[HM_DPOP_URL_MAX + 1];
	return claimed && url_normal(claimed, one, sizeof one) && url_normal(url, other, sizeof other) &&
	       strcmp(one, other) == 0;
}

static bool is_fresh(const json_t *issued, int64_t now)
{
	return json_is_integer(issued) && json_integer_value(issued) >= now - HM_DPOP_SECONDS &&
	       json_integer_value(issued) <= now + HM_DPOP_AHEAD_SECONDS;
}

/* RFC 7519, sections 4.1.4 and 4.1.5: no proof needs them, but who sets them means them. */
static bool is_in_force(const json_t *claims, int64_t now)
{
	const json_t *ends = json_object_get(claims, "exp"), *begins = json_object_get(claims, "nbf");
	return (!ends || (json_is_integer(ends) && json_integer_value(ends) > now - HM_DPOP_AHEAD_SECONDS)) &&
	       (!begins || (json_is_integer(begins) && json_integer_value(begins) <= now + HM_DPOP_AHEAD_SECONDS));
}

static hm_result read_claims(const json_t *payload, const struct dpop_request *request, int64_t now,
	struct claims *claims, struct hm_problem *why)
{
	const json_t *nonce = json_object_get(payload, "nonce");
	claims->jti = text_of(payload, "jti");
	claims->nonce = nonce ? json_string_value(nonce) : "";
	if (!claims->jti || !*claims->jti || strlen(claims->jti) > HM_DPOP_JTI_MAX)
		return hm_refuse(why, "dpop", "jti", "1 to %d bytes", HM_DPOP_JTI_MAX);
	if (!is_text(payload, "htm", request->method))
		return dpop_refuse(why, "htm", "the method of the request");
	if (!is_url(text_of(payload, "htu"), request->url))
		return dpop_refuse(why, "htu", "the URL of this endpoint");
	if (!is_fresh(json_object_get(payload, "iat"), now))
		return hm_refuse(why, "dpop", "iat", "an integer: now, at most %d seconds ago", HM_DPOP_SECONDS);
	if (!is_in_force(payload, now))
		return dpop_refuse(why, "exp", "a proof that is in force, or none of exp and nbf");
	return claims->nonce ? HM_OK : dpop_refuse(why, "nonce", "a string: what DPoP-Nonce says");
}

/* ---- all ---- */

static hm_result verify(struct dpop *dpop, const struct dpop_request *request, int64_t now, struct dpop_key *key,
	enum dpop_error *error, struct hm_problem *why)
{
	struct jws_parts parts;
	struct claims claims;
	enum key_algorithm algorithm = KEY_ES256;
	size_t length = strnlen(request->proof, HM_DPOP_PROOF_MAX + 1);
	if (!jws_split(request->proof, length, HM_DPOP_PROOF_MAX, &parts))
		return hm_refuse(why, "dpop", "DPoP", "one compact JWS of at most %d characters", HM_DPOP_PROOF_MAX);
	json_auto_t *header = decode(parts.header);
	json_auto_t *payload = decode(parts.payload);
	if (!header || !payload)
		return dpop_refuse(why, "DPoP", "base64url of a JSON object as header and as payload, no member twice");
	HM_TRY(read_claims(payload, request, now, &claims, why)); /* first: it costs least */
	HM_TRY(read_header(header, &algorithm, key, why));
	if (!is_signed(&parts, algorithm, key))
		return dpop_refuse(why, "jwk", "the key that the proof was signed with");
	if (!dpop_is_nonce(dpop, claims.nonce)) {
		*error = DPOP_USE_NONCE;
		return dpop_refuse(why, "nonce", "what DPoP-Nonce says");
	}
	return dpop_use(dpop, claims.nonce, key->jwk.kid, claims.jti, why);
}

hm_result dpop_verify(struct dpop *dpop, const struct dpop_request *request, int64_t now, char jkt[HM_KID_MAX + 1],
	enum dpop_error *error, struct hm_problem *why)
{
	struct dpop_key key = {.spki_length = 0};
	*error = DPOP_INVALID_PROOF;
	jkt[0] = 0;
	HM_TRY(dpop_tell_time(dpop, now, why));
	HM_TRY(verify(dpop, request, now, &key, error, why));
	memcpy(jkt, key.jwk.kid, HM_KID_MAX + 1);
	return HM_OK;
}
