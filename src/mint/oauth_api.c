/* SPDX-License-Identifier: Apache-2.0 */
#include "oauth_api.h"

#include "client_auth.h"
#include "governed.h"
#include "own_token.h"
#include "revocation_api.h"
#include "tasks.h"
#include <string.h>

static hm_result no_memory(struct hm_problem *why)
{
	return hm_broken(why, "no memory for an answer");
}

static unsigned issuer_index(const struct api_call *call)
{
	unsigned index = 0;
	while (strcmp(call->service->config->issuers[index].name, call->issuer) != 0)
		index++; /* api.c found it */
	return index;
}

/* RFC 7662, section 2.1; unknown parameters are ignored. With client_id a client says who it is (RFC 8705, section 2):
 * it must be who is proven. */
static hm_result read_form(const struct api_call *call, const char **token, struct hm_problem *why)
{
	const char *client = json_string_value(json_object_get(call->body, "client_id"));
	if (!client_is_named(call->actor.known, client))
		return hm_refuse(why, "client_refused", "client_id", "the client that is proven");
	*token = json_string_value(json_object_get(call->body, "token"));
	return *token ? HM_OK : hm_refuse(why, "missing_member", "token", "the credential");
}

/* Whose credential it is, the caller that asked for it is not told by the credential; the ledger is. What was issued to
 * a caller is what it was given: who holds it may end it. A credential of a task is the caller's who opened that; of
 * one without, whoever has it is as good as any. */
static bool is_own(const struct api_call *call, const struct own_token *token)
{
	const struct task *task = token->task[0] ? tasks_find(call->service->tasks, token->task) : NULL;
	return !token->task[0] || (task && strcmp(task->caller, call->actor.name) == 0);
}

/* RFC 9449, section 6.2. */
static bool is_dpop(const struct own_token *token)
{
	return json_object_get(json_object_get(token->payload, "cnf"), "jkt");
}

/* What it says, and that it is in force. */
static json_t *describe(const struct own_token *token)
{
	static const char *const members[] = {
		"iss", "sub", "aud", "exp", "iat", "nbf", "jti", "client_id", "act", "scope", "task", "status", "cnf"};
	json_t *answer = json_pack("{s:b}", "active", 1);
	for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
		json_t *value = json_object_get(token->payload, members[i]);
		if (value)
			(void)json_object_set(answer, members[i], value);
	}
	if (token->client_id[0])
		(void)json_object_set_new(answer, "token_type", json_string(is_dpop(token) ? "DPoP" : "Bearer"));
	return answer;
}

hm_result oauth_api_introspect(struct api_call *call, struct hm_problem *why)
{
	const char *text = "";
	struct hm_problem unread;
	OWN_TOKEN_AUTO token = {.payload = NULL};
	HM_TRY(read_form(call, &text, why));
	HM_TRY(governed_refusal(call->service, why)); /* "active" is never said of what is not known to be so */
	unsigned issuer = issuer_index(call);
	bool is_ours = own_token_read(call->service, issuer, text, call->now, &token, &unread) == HM_OK;
	bool is_shown = is_ours && ((call->actor.known->roles & ROLE_AUDIT) || is_own(call, &token));
	bool is_active = is_shown && own_token_stands(call->service, issuer, &token, call->now, &unread) == HM_OK;
	call->status = 200;
	call->answer = is_active ? describe(&token) : json_pack("{s:b}", "active", 0);
	return call->answer ? HM_OK : no_memory(why);
}

/* RFC 7009, section 2.2: what is unknown is answered like what was revoked. */
hm_result oauth_api_revoke(struct api_call *call, struct hm_problem *why)
{
	const char *text = "";
	struct hm_problem unread;
	OWN_TOKEN_AUTO token = {.payload = NULL};
	HM_TRY(read_form(call, &text, why));
	call->status = 200;
	if (own_token_read(call->service, issuer_index(call), text, call->now, &token, &unread) != HM_OK) {
		call->answer = json_object();
		return call->answer ? HM_OK : no_memory(why);
	}
	if (!is_own(call, &token)) /* RFC 7009, section 2.1 */
		return hm_refuse(why, "unknown_task", "token", "a credential of a task that this caller opened");
	return revocation_of_credential(
		call, token.id, token.has_place ? &token.place : NULL, token.expires, NULL, false, why);
}
