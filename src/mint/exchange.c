/* SPDX-License-Identifier: Apache-2.0 */
#include "exchange.h"

#include "base64url.h"
#include "client_auth.h"
#include "identity.h"
#include "revocations.h"
#include "trust.h"
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOKEN_TYPE "urn:ietf:params:oauth:token-type:"

/* RFC 8693, section 2.2.2, has invalid_request for all of it; more would help who tries. */
static hm_result refuse(struct hm_problem *why, const char *field)
{
	return hm_refuse(why, "token_refused", field, "a token that is in force, of whom this issuer trusts");
}

static bool is_type(const char *type, const char *name)
{
	size_t length = strlen(TOKEN_TYPE);
	return strncmp(type, TOKEN_TYPE, length) == 0 && strcmp(type + length, name) == 0;
}

static hm_result check_type(
	const char *type, const char *first, const char *second, const char *field, struct hm_problem *why)
{
	if (!type)
		return hm_refuse(why, "missing_member", field, TOKEN_TYPE "%s", first);
	if (is_type(type, first) || is_type(type, second))
		return HM_OK;
	return hm_refuse(why, "invalid_member", field, TOKEN_TYPE "%s or %s", first, second);
}

/* ---- ours ---- */

/* Of what we signed it has the form that jwt.c gives it; but nothing relies on that. */
static bool read_actors(struct delegation *out)
{
	out->act = json_object_get(out->payload, "act");
	for (const json_t *act = out->act; act; act = json_object_get(act, "act"))
		if (++out->depth > HM_DEPTH_MAX || !json_is_string(json_object_get(act, "sub")))
			return false;
	return true;
}

static struct delegation *of_own(struct own_token *token)
{
	struct delegation *out = calloc(1, sizeof *out);
	if (!out)
		return NULL;
	const char *scope = json_string_value(json_object_get(token->payload, "scope"));
	*out = (struct delegation){.payload = json_incref(token->payload),
		.sub = token->subject,
		.scope = scope ? scope : "",
		.audience = json_object_get(token->payload, "aud"),
		.task = token->task,
		.from = token->id,
		.kid = token->kid,
		.expires = token->expires};
	return out;
}

static bool is_same(const json_t *confirmation, const char *name, const char *proven)
{
	const char *wanted = json_string_value(json_object_get(confirmation, name));
	return wanted && *proven && strcmp(wanted, proven) == 0;
}

/* Who holds a token that is bound to a key has still to prove that key (RFC 9449, section 7; RFC 8705, section 3). */
static bool is_proven(const struct own_token *token, const struct proof *proof)
{
	const json_t *confirmation = json_object_get(token->payload, "cnf");
	return !confirmation || is_same(confirmation, "jkt", proof->jkt) ||
	       is_same(confirmation, "x5t#S256", proof->x5t_s256);
}

static hm_result read_own(const struct service *service, unsigned issuer, const char *text, const struct proof *proof,
	int64_t now, struct delegation **out, struct hm_problem *why)
{
	OWN_TOKEN_AUTO token = {.payload = NULL};
	if (own_token_read(service, issuer, text, now, &token, why) != HM_OK || token.use != KEY_USE_ACCESS_TOKEN ||
		!is_proven(&token, proof) || own_token_stands(service, issuer, &token, now, why) != HM_OK)
		return refuse(why, "subject_token");
	*out = of_own(&token);
	if (!*out)
		return hm_broken(why, "no memory for a token");
	if (read_actors(*out))
		return HM_OK;
	delegation_free(*out);
	*out = NULL;
	return refuse(why, "subject_token");
}

/* ---- of whom this issuer trusts ---- */

/* A jti is said to be unique; where there is none, all of the token: of what it says alone, names could be guessed. */
static hm_result name_token(
	const struct trusted_token *token, const char *text, struct delegation *out, struct hm_problem *why)
{
	struct identity identity;
	uint8_t digest[32];
	char whole[44];
	if (EVP_Digest(text, strlen(text), digest, NULL, EVP_sha256(), NULL) != 1)
		return hm_broken(why, "SHA-256 failed");
	whole[base64url_encode(digest, sizeof digest, whole)] = 0;
	bool has_id = token->jwt.id[0];
	HM_TRY(identity_of_words(has_id ? "token" : "token without id", token->by->name, has_id ? token->jwt.id : whole,
		NULL, &identity, why));
	identity_text(&identity, out->from_room);
	out->from = out->from_room;
	return HM_OK;
}

/* All of a person is revoked until then: what the provider said of it before, too. */
static bool is_person_revoked(
	const struct service *service, unsigned issuer, const char *person, const struct foreign_jwt *jwt)
{
	return revocations_until(service->revocations, service->config->issuers[issuer].name, person, "") >=
	       jwt->issued;
}

static bool is_revoked(const struct service *service, unsigned issuer, const char *id)
{
	const char *name = service->config->issuers[issuer].name;
	return revocations_find(service->revocations, REVOKED_CREDENTIAL, name, id) != NULL;
}

/* Who acted before according to somebody else, we cannot show: such chains are not continued. */
static hm_result read_theirs(const struct service *service, unsigned issuer, const char *text, int64_t now,
	struct delegation **out, struct hm_problem *why)
{
	TRUSTED_TOKEN_AUTO token = {.by = NULL};
	hm_result result = trust_verify(service->trusts, issuer, text, strlen(text), now, &token, why);
	if (result == HM_UNAVAILABLE)
		return result;
	if (result != HM_OK || token.jwt.expires <= now || json_object_get(token.jwt.payload, "act") ||
		json_object_get(token.jwt.payload, "cnf"))
		return refuse(why, "subject_token");
	struct delegation *made = calloc(1, sizeof *made);
	if (!made)
		return hm_broken(why, "no memory for a token");
	*made = (struct delegation){.payload = json_incref(token.jwt.payload),
		.by = token.by,
		.groups = token.groups,
		.task = "",
		.kid = "",
		.expires = token.jwt.expires};
	int length = snprintf(made->person, sizeof made->person, "%s:%s", token.by->name, token.subject);
	made->sub = made->person;
	bool is_good =
		length < (int)sizeof made->person && !is_person_revoked(service, issuer, made->person, &token.jwt);
	result = is_good ? name_token(&token, text, made, why) : refuse(why, "subject_token");
	if (result == HM_OK && is_revoked(service, issuer, made->from))
		result = refuse(why, "subject_token");
	if (result != HM_OK)
		delegation_free(made);
	else
		*out = made;
	return result;
}

hm_result exchange_subject(const struct service *service, unsigned issuer, const char *text, const char *type,
	const struct proof *proof, int64_t now, struct delegation **out, struct hm_problem *why)
{
	*out = NULL;
	if (!text)
		return hm_refuse(why, "missing_member", "subject_token", "the token that is exchanged");
	if (type && is_type(type, "access_token"))
		return read_own(service, issuer, text, proof, now, out, why);
	HM_TRY(check_type(type, "id_token", "jwt", "subject_token_type", why));
	return read_theirs(service, issuer, text, now, out, why);
}

/* ---- who acts ---- */

hm_result exchange_actor(const struct service *service, unsigned issuer, const char *text, const char *type,
	int64_t now, struct own_token *out, struct hm_problem *why)
{
	*out = (struct own_token){.payload = NULL};
	if (!text)
		return hm_refuse(why, "missing_member", "actor_token", "it and actor_token_type together");
	HM_TRY(check_type(type, "jwt", "jwt", "actor_token_type", why));
	bool is_good = own_token_read(service, issuer, text, now, out, why) == HM_OK && out->use == KEY_USE_JWT_SVID &&
		       own_token_is_for_only(out, service->config->issuers[issuer].url) &&
		       own_token_stands(service, issuer, out, now, why) == HM_OK &&
		       !client_svid_was_used(service, issuer, out);
	return is_good ? HM_OK : refuse(why, "actor_token");
}
