/* SPDX-License-Identifier: Apache-2.0 */
#include "own_token.h"

#include "agents.h"
#include "base64url.h"
#include "delegation.h"
#include "jws_parts.h"
#include "jws_verify.h"
#include "revocations.h"
#include "tasks.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static hm_result none_of_ours(struct hm_problem *why)
{
	return hm_refuse(why, "invalid_member", "token", "a credential of this issuer that is in force");
}

static bool signs_credentials(const struct issuing_key *key)
{
	return key->config->use == KEY_USE_ACCESS_TOKEN || key->config->use == KEY_USE_JWT_SVID;
}

static const struct issuing_key *find_key(const struct service *service, unsigned issuer, const struct jws_parts *parts)
{
	for (unsigned i = 0; i < service->keys.count; i++) {
		const struct issuing_key *key = &service->keys.items[i];
		if (key->config->issuer_index == issuer && key->known && signs_credentials(key) &&
			strlen(key->header) == parts->header.length &&
			memcmp(key->header, parts->header.text, parts->header.length) == 0)
			return key;
	}
	return NULL;
}

static bool is_signed(const struct issuing_key *key, const struct jws_parts *parts)
{
	uint8_t signature[HM_SIGNATURE_MAX];
	size_t length = base64url_decode(parts->signature.text, parts->signature.length, signature, sizeof signature);
	return length != SIZE_MAX && jws_verify_with(key->public_key, key->config->algorithm, parts->signed_.text,
					     parts->signed_.length, signature, length);
}

static json_t *decode(const struct jws_parts *parts)
{
	json_error_t error;
	char *text = malloc(HM_JWT_PAYLOAD_MAX);
	size_t length = text ? base64url_decode(parts->payload.text, parts->payload.length, text, HM_JWT_PAYLOAD_MAX)
			     : SIZE_MAX;
	json_t *payload = length != SIZE_MAX ? json_loadb(text, length, JSON_REJECT_DUPLICATES, &error) : NULL;
	free(text);
	return payload;
}

static bool read_claims(struct own_token *out)
{
	json_int_t issued, expires, list_index = -1;
	const char *uri = NULL;
	out->task = out->client_id = "";
	if (!json_is_object(out->payload) ||
		json_unpack(out->payload, "{s:s, s:s, s:I, s:I, s?s, s?s, s?{s:{s:I, s:s}}}", "jti", &out->id, "sub",
			&out->subject, "iat", &issued, "exp", &expires, "task", &out->task, "client_id",
			&out->client_id, "status", "status_list", "idx", &list_index, "uri", &uri) != 0)
		return false;
	out->agent = out->client_id[0] ? out->client_id : out->subject; /* RFC 9068: the agent is the client */
	out->issued = issued;
	out->expires = expires;
	const char *list = uri ? strrchr(uri, '/') : NULL;
	out->has_place = list && list_index >= 0 && list_index < STATUS_LIST_PLACES &&
			 sscanf(list, "/%5u", &out->place.list) == 1;
	out->place.index = out->has_place ? (unsigned)list_index : 0;
	return out->has_place || !uri;
}

static bool is_of_issuer(const struct service *service, unsigned issuer, const struct own_token *token)
{
	const char *named = json_string_value(json_object_get(token->payload, "iss"));
	return named && strcmp(named, service->config->issuers[issuer].url) == 0;
}

hm_result own_token_read(const struct service *service, unsigned issuer, const char *text, int64_t now,
	struct own_token *out, struct hm_problem *why)
{
	struct jws_parts parts;
	*out = (struct own_token){.payload = NULL};
	bool is_jws = jws_split(text, strnlen(text, HM_JWT_MAX + 1), HM_JWT_MAX, &parts);
	const struct issuing_key *key = is_jws ? find_key(service, issuer, &parts) : NULL;
	if (!key || !is_signed(key, &parts))
		return none_of_ours(why);
	out->payload = decode(&parts);
	out->kid = key->jwk.kid;
	out->use = key->config->use;
	if (!read_claims(out) || !is_of_issuer(service, issuer, out) || out->expires <= now)
		return none_of_ours(why);
	return HM_OK;
}

bool own_token_is_for_only(const struct own_token *token, const char *audience)
{
	const json_t *aud = json_object_get(token->payload, "aud");
	const char *text = json_string_value(json_array_size(aud) == 1 ? json_array_get(aud, 0) : aud);
	return text && strcmp(text, audience) == 0;
}

static bool is_revoked(const struct service *service, const char *issuer, const struct own_token *token)
{
	const struct revocations *revocations = service->revocations;
	return (token->has_place && status_lists_value(service->status_lists, issuer, token->place) != STATUS_VALID) ||
	       revocations_cover(revocations, issuer, token->id, token->subject, token->kid, token->issued) ||
	       revocations_cover(revocations, issuer, token->id, token->agent, token->kid, token->issued);
}

hm_result own_token_stands(const struct service *service, unsigned issuer, const struct own_token *token, int64_t now,
	struct hm_problem *why)
{
	const char *name = service->config->issuers[issuer].name;
	HM_TRY(agents_check_named(service->agents, name, token->agent, now, why));
	if (token->task[0])
		HM_TRY(delegation_stands(service->agents, tasks_find(service->tasks, token->task), now, why));
	return is_revoked(service, name, token) ? none_of_ours(why) : HM_OK;
}

void own_token_free(struct own_token *token)
{
	json_decref(token->payload);
	token->payload = NULL;
}
