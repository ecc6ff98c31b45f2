/* SPDX-License-Identifier: Apache-2.0 */
#include "token_request.h"

#include "client_auth.h"
#include "exchange.h"
#include "form.h"
#include "spiffe.h"
#include <stdlib.h>
#include <string.h>

#define ACCESS_TOKEN_TYPE "urn:ietf:params:oauth:token-type:access_token"
#define JWT_TYPE          "urn:ietf:params:oauth:token-type:jwt"

struct grant;

/* A request on its way to be read. */
struct reading {
	const struct service *service;
	const struct policy_views *views;
	const struct policy_granted *granted;
	const struct gate_caller *caller;
	unsigned issuer; /* its place in the configuration */
	struct client client;
	const char *agent;             /* that the client is, or that acts by its own token */
	struct own_token actor;        /* that token */
	struct delegation *delegation; /* owned */
	json_t *parameters;            /* object of strings; of those that may be repeated, arrays of them */
	json_t *audience;              /* array */
	const struct grant *grant;
	struct decision *decision;
};

static void free_reading(struct reading *reading)
{
	json_decref(reading->parameters);
	json_decref(reading->audience);
	own_token_free(&reading->actor);
	delegation_free(reading->delegation);
}
#define READING_AUTO __attribute__((cleanup(free_reading))) struct reading

static hm_result no_memory(struct hm_problem *why)
{
	return hm_broken(why, "no memory for a token request");
}

/* ---- the form ---- */

/* RFC 8693, section 2.1; RFC 8707, section 2. */
static bool may_be_repeated(const char *name)
{
	return strcmp(name, "resource") == 0 || strcmp(name, "audience") == 0;
}

static hm_result add_repeated(json_t *parameters, const char *name, json_t *value, struct hm_problem *why)
{
	json_t *all = json_object_get(parameters, name);
	if (!all && (!(all = json_array()) || json_object_set_new(parameters, name, all) != 0)) {
		json_decref(value);
		return no_memory(why);
	}
	return json_array_append_new(all, value) == 0 ? HM_OK : no_memory(why);
}

/* RFC 6749, section 3.2: no parameter twice, and one without a value is as if it was left out. */
static hm_result take_pair(
	json_t *parameters, struct hm_bytes name, struct hm_bytes value, char *room, struct hm_problem *why)
{
	char *text = room + name.length + 1;
	form_decode(name, room);
	size_t length = form_decode(value, text);
	if (!length)
		return HM_OK;
	json_t *string = json_stringn(text, length);
	if (!string)
		return hm_refuse(why, "invalid_utf8", NULL, "values in UTF-8");
	if (may_be_repeated(room))
		return add_repeated(parameters, room, string, why);
	bool is_second = json_object_get(parameters, room);
	if (!is_second && json_object_set_new(parameters, room, string) == 0)
		return HM_OK;
	if (is_second)
		json_decref(string);
	return hm_refuse(why, is_second ? "duplicate_member" : "invalid_utf8", NULL,
		is_second ? "each parameter once" : "names in UTF-8");
}

static hm_result read_form(struct hm_bytes body, json_t *parameters, struct hm_problem *why)
{
	size_t at = 0;
	struct hm_bytes name, value;
	if (!form_is_sound((const char *)body.data, body.length)) /* gate looked, but mint does not rely on it */
		return hm_refuse(why, "malformed_form", NULL, "NAME=VALUE pairs with & between them, percent-encoded");
	char *room = parameters ? malloc(body.length + 2) : NULL;
	if (!room)
		return no_memory(why);
	hm_result result = HM_OK;
	while (result == HM_OK && form_next(body, &at, &name, &value))
		result = take_pair(parameters, name, value, room, why);
	free(room);
	return result;
}

static const char *parameter(const struct reading *reading, const char *name)
{
	return json_string_value(json_object_get(reading->parameters, name));
}

/* ---- who and where ---- */

static hm_result find_issuer(struct reading *reading, const char *path, struct hm_problem *why)
{
	static const char end[] = "/oauth2/token";
	size_t length = strlen(path), tail = sizeof end - 1;
	for (unsigned i = 0; i < reading->service->config->issuers_count; i++) {
		const char *at = reading->service->config->issuers[i].path;
		if (length == strlen(at) + tail && strncmp(path, at, length - tail) == 0 &&
			strcmp(path + length - tail, end) == 0) {
			reading->issuer = i;
			return HM_OK;
		}
	}
	return hm_refuse(why, "not_found", NULL, "an issuer's token endpoint");
}

static hm_result find_client(struct reading *reading, const struct gate_caller *connection, struct hm_problem *why)
{
	const struct client_claim claim = {.connection = connection,
		.id = parameter(reading, "client_id"),
		.assertion = parameter(reading, "client_assertion"),
		.type = parameter(reading, "client_assertion_type"),
		.secret = parameter(reading, "client_secret"),
		.is_used_up = reading->granted->assertion,
		.now = reading->views->now};
	return client_auth(reading->service, reading->issuer, &claim, &reading->client, why);
}

/* Once, though the request may come here again: mint_again. */
static hm_result check_proof(const struct reading *reading, const struct gate_request *from,
	struct policy_granted *granted, struct hm_problem *why)
{
	return granted->proof.is_read
		       ? HM_OK
		       : proof_read(reading->service, reading->issuer, from, reading->views->now, &granted->proof, why);
}

/* ---- what ---- */

static const struct grant {
	const char *type; /* as requests have it */
	const char *name; /* as the configuration and the ledger have it */
	enum profile_grant grant;
} grants[] = {{"client_credentials", "client_credentials", GRANT_CLIENT_CREDENTIALS},
	{"urn:ietf:params:oauth:grant-type:token-exchange", "token_exchange", GRANT_TOKEN_EXCHANGE}};

static hm_result find_grant(struct reading *reading, struct hm_problem *why)
{
	const char *type = parameter(reading, "grant_type");
	if (!type)
		return hm_refuse(why, "missing_member", "grant_type", "client_credentials, or that of token exchange");
	for (size_t i = 0; i < sizeof grants / sizeof *grants && !reading->grant; i++)
		if (strcmp(type, grants[i].type) == 0)
			reading->grant = &grants[i];
	return reading->grant ? HM_OK
			      : hm_refuse(why, "grant_not_offered", "grant_type",
					"client_credentials, or that of token exchange");
}

static bool is_exchange(const struct reading *reading)
{
	return reading->grant->grant == GRANT_TOKEN_EXCHANGE;
}

/* RFC 8693, section 2.1: who acts is the client, unless there is a token of somebody else's. */
static hm_result find_agent(struct reading *reading, struct hm_problem *why)
{
	const struct config_caller *client = reading->client.caller;
	const char *token = parameter(reading, "actor_token"), *type = parameter(reading, "actor_token_type");
	if (is_exchange(reading) && (token || type)) {
		HM_TRY(exchange_actor(
			reading->service, reading->issuer, token, type, reading->views->now, &reading->actor, why));
		reading->agent = reading->actor.subject;
		return HM_OK;
	}
	reading->agent = client->agent ? client->agent : client->uri && spiffe_begins(client->uri) ? client->uri : NULL;
	return reading->agent ? HM_OK
			      : hm_refuse(why, "grant_not_allowed", NULL, "a client that is an agent (callers: agent)");
}

static hm_result find_delegation(struct reading *reading, struct hm_problem *why)
{
	const char *wanted = parameter(reading, "requested_token_type");
	if (!is_exchange(reading))
		return HM_OK;
	if (wanted && strcmp(wanted, ACCESS_TOKEN_TYPE) != 0 && strcmp(wanted, JWT_TYPE) != 0)
		return hm_refuse(why, "invalid_member", "requested_token_type", ACCESS_TOKEN_TYPE);
	if (parameter(reading, "task"))
		return hm_refuse(why, "invalid_member", "task", "none: an exchange opens a task of its own");
	return exchange_subject(reading->service, reading->issuer, parameter(reading, "subject_token"),
		parameter(reading, "subject_token_type"), &reading->granted->proof, reading->views->now,
		&reading->delegation, why);
}

/* RFC 8707, section 2: absolute, and without a fragment. */
static bool is_resource(const char *text)
{
	size_t scheme = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");
	return scheme && text[scheme] == ':' && text[scheme + 1] && !strchr(text, '#');
}

static hm_result find_audience(struct reading *reading, struct hm_problem *why)
{
	json_t *resources = json_object_get(reading->parameters, "resource"), *value;
	size_t i;
	reading->audience = json_array();
	if (!reading->audience)
		return no_memory(why);
	json_array_foreach(resources, i, value)
	{
		if (!is_resource(json_string_value(value)))
			return hm_refuse(why, "invalid_audience", "resource", "an absolute URI without a fragment");
	}
	if ((resources && json_array_extend(reading->audience, resources) != 0) ||
		(json_object_get(reading->parameters, "audience") &&
			json_array_extend(reading->audience, json_object_get(reading->parameters, "audience")) != 0))
		return no_memory(why);
	return json_array_size(reading->audience)
		       ? HM_OK
		       : hm_refuse(why, "invalid_audience", "resource", "whom the token is for");
}

/* RFC 9396, section 5: what is not understood is refused, never left out. */
static hm_result check_parameters(const struct reading *reading, struct hm_problem *why)
{
	if (parameter(reading, "authorization_details"))
		return hm_refuse(why, "details_not_offered", "authorization_details", "scopes");
	return HM_OK;
}

/* ---- the mint request that it stands for ---- */

static hm_result write_request(const struct reading *reading, const struct config_profile *profile,
	struct mint_request *request, struct hm_problem *why)
{
	json_t *task = reading->delegation ? delegation_task(reading->delegation, reading->views->tasks, reading->agent)
					   : json_string(parameter(reading, "task"));
	if (reading->delegation && !task)
		return no_memory(why);
	json_t *body = json_pack("{s:s, s:s, s:O, s:s*, s:o*, s:s*}", "profile", profile->name, "subject",
		reading->agent, "audience", reading->audience, "scope", parameter(reading, "scope"), "task", task,
		"approval", parameter(reading, "approval"));
	if (!body)
		return no_memory(why);
	mint_request_free(request);
	hm_result result = mint_request_read(body, request, why);
	request->proof = reading->granted->proof;
	if (reading->client.assertion.key[0])
		request->client = reading->client.caller;
	if (request->client || reading->actor.payload) /* whoever connects, it is not the agent */
		request->proof.x5t_s256[0] = 0;
	request->delegation = delegation_hold(reading->delegation);
	return result;
}

static bool is_offered(const struct reading *reading, const struct config_profile *profile)
{
	bool is_allowed = false;
	for (unsigned i = 0; i < profile->callers_count; i++)
		is_allowed |= strcmp(profile->callers[i], reading->client.caller->name) == 0;
	return is_allowed && profile->issuer_index == reading->issuer && (profile->grants & reading->grant->grant);
}

static hm_result try_profile(const struct reading *reading, const struct config_profile *profile,
	struct mint_request *request, struct hm_problem *why)
{
	HM_TRY(write_request(reading, profile, request, why));
	return policy_decide(reading->service->config, reading->views, reading->granted, reading->caller, request,
		reading->decision, why);
}

static hm_result choose_profile(const struct reading *reading, struct mint_request *request, struct hm_problem *why)
{
	const struct config *config = reading->service->config;
	struct hm_problem other;
	bool is_first = true;
	hm_result result = HM_REFUSED;
	for (unsigned i = 0; i < config->profiles_count && result == HM_REFUSED; i++) {
		if (!is_offered(reading, &config->profiles[i]))
			continue;
		result = try_profile(reading, &config->profiles[i], request, is_first ? why : &other);
		if (!is_first && result == HM_BROKEN)
			*why = other;
		is_first = false;
	}
	return is_first ? hm_refuse(why, "grant_not_allowed", "grant_type", "a grant that a profile offers this client")
			: result;
}

static hm_result read_rest(struct reading *reading, struct mint_request *request, struct hm_problem *why)
{
	HM_TRY(find_grant(reading, why));
	HM_TRY(find_agent(reading, why));
	HM_TRY(find_delegation(reading, why));
	HM_TRY(find_audience(reading, why));
	HM_TRY(check_parameters(reading, why));
	HM_TRY(choose_profile(reading, request, why));
	request->grant = reading->grant->name;
	return HM_OK;
}

hm_result token_request_read(const struct service *service, const struct policy_views *views,
	struct policy_granted *granted, const struct gate_request *from, struct mint_request *request,
	struct decision *decision, struct hm_problem *why)
{
	READING_AUTO reading = {.service = service,
		.views = views,
		.granted = granted,
		.caller = &from->caller,
		.decision = decision,
		.parameters = json_object()};
	*request = (struct mint_request){.body = NULL};
	HM_TRY(find_issuer(&reading, from->call.target, why));
	HM_TRY(read_form(from->body, reading.parameters, why));
	HM_TRY(find_client(&reading, &from->caller, why));
	if (reading.client.assertion.key[0])
		request->client = reading.client.caller; /* who is refused, if it comes to that */
	HM_TRY(check_proof(&reading, from, granted, why));
	if (reading.client.assertion.key[0] && !granted->assertion) {
		request->assertion = reading.client.assertion;
		return HM_OK;
	}
	return read_rest(&reading, request, why);
}
