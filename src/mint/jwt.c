/* SPDX-License-Identifier: Apache-2.0 */
#include "jwt.h"

#include "base64url.h"
#include "claims.h"
#include "json_write.h"
#include <stdio.h>
#include <string.h>

void jwt_header(enum key_algorithm algorithm, enum key_use use, const char *kid, char *text, size_t size)
{
	char header[HM_JWT_HEADER_MAX];
	struct hm_json json = hm_json(header, sizeof header);
	hm_json_begin(&json, '{');
	hm_json_member_string(&json, "alg", key_algorithm_jose(algorithm));
	hm_json_member_string(&json, "kid", kid);
	hm_json_member_string(&json, "typ", key_use_typ(use));
	hm_json_end(&json, '}');
	text[0] = 0;
	if (!json.out.failed && base64url_length(json.out.used) < size)
		text[base64url_encode(header, json.out.used, text)] = 0;
}

static void put_audience(struct hm_json *json, const struct mint_request *request)
{
	hm_json_key(json, "aud");
	if (request->audience_count == 1) {
		hm_json_string(json, request->audiences[0]);
		return;
	}
	hm_json_begin(json, '[');
	for (unsigned i = 0; i < request->audience_count; i++)
		hm_json_string(json, request->audiences[i]);
	hm_json_end(json, ']');
}

void status_place_uri(const char *issuer_url, const struct status_place *place, char *uri, size_t size)
{
	(void)!snprintf(uri, size, "%s/status/%u", issuer_url, place->list);
}

/* draft-ietf-oauth-status-list, section 6.1. */
static void put_status(struct hm_json *json, const char *issuer_url, const struct status_place *place)
{
	char uri[HM_URL_MAX + 32];
	status_place_uri(issuer_url, place, uri, sizeof uri);
	hm_json_key(json, "status");
	hm_json_begin(json, '{');
	hm_json_key(json, "status_list");
	hm_json_begin(json, '{');
	hm_json_member_number(json, "idx", place->index);
	hm_json_member_string(json, "uri", uri);
	hm_json_end(json, '}');
	hm_json_end(json, '}');
}

/* RFC 8693, section 4.1: who acts now, and within, who did before. At most HM_DEPTH_MAX deep. */
static void put_actor(struct hm_json *json, const char *sub, const json_t *before)
{
	hm_json_key(json, "act");
	hm_json_begin(json, '{');
	hm_json_member_string(json, "sub", sub);
	if (before)
		put_actor(json, json_string_value(json_object_get(before, "sub")), json_object_get(before, "act"));
	hm_json_end(json, '}');
}

/* RFC 9449, section 6.1; RFC 8705, section 3.1. */
void jwt_put_cnf(struct hm_json *json, const struct decision *decision)
{
	if (!decision->cnf)
		return;
	hm_json_key(json, "cnf");
	hm_json_begin(json, '{');
	hm_json_member_string(json, decision->cnf, decision->thumbprint);
	hm_json_end(json, '}');
}

static void put_payload(struct hm_json *json, const struct decision *decision, const struct mint_request *request,
	const char *id, const struct jwt_times *times, const struct status_place *place)
{
	hm_json_begin(json, '{');
	hm_json_member_string(json, "iss", decision->issuer->url); /* first: the token process looks for it here */
	hm_json_member_string(json, "sub", request->delegation ? request->delegation->sub : request->subject);
	put_audience(json, request);
	hm_json_member_number(json, "exp", times->expires);
	hm_json_member_number(json, "nbf", times->issued - decision->backdate);
	hm_json_member_number(json, "iat", times->issued - decision->backdate);
	hm_json_member_string(json, "jti", id);
	if (decision->profile->kind == KIND_ACCESS_TOKEN) /* RFC 9068, section 2.2: the agent is the client */
		hm_json_member_string(json, "client_id", request->subject);
	if (request->delegation && !(decision->profile->exchange && decision->profile->exchange->impersonation))
		put_actor(json, request->subject, request->delegation->act);
	jwt_put_cnf(json, decision);
	if (request->scope)
		hm_json_member_string(json, "scope", request->scope);
	if (decision->task)
		hm_json_member_string(json, "task", decision->task->id);
	if (place)
		put_status(json, decision->issuer->url, place);
	claims_write(decision->profile, request->claims, json);
	hm_json_end(json, '}');
}

hm_result jwt_build(const struct decision *decision, const struct mint_request *request, const char *header,
	const char *id, const struct jwt_times *times, const struct status_place *place, char *tbs, size_t *length,
	struct hm_problem *why)
{
	char payload[HM_JWT_PAYLOAD_MAX];
	struct hm_json json = hm_json(payload, sizeof payload);
	put_payload(&json, decision, request, id, times, place);
	size_t header_length = strlen(header);
	if (json.out.failed || header_length + 1 + base64url_length(json.out.used) > HM_JWT_TBS_MAX)
		return hm_refuse(why, "claims_too_large", "claims", "less: the credential would be too large");
	memcpy(tbs, header, header_length);
	tbs[header_length] = '.';
	*length = header_length + 1 + base64url_encode(payload, json.out.used, tbs + header_length + 1);
	return HM_OK;
}
