/* SPDX-License-Identifier: Apache-2.0 */
#include "policy_api.h"

#include "governed.h"
#include "policy.h"
#include <stdlib.h>
#include <string.h>

/* How the caller with this name would be known. */
static hm_result find_caller(
	const struct api_call *call, const char *name, struct gate_caller *caller, struct hm_problem *why)
{
	const struct config *config = call->service->config;
	for (unsigned i = 0; i < config->callers_count; i++) {
		const struct config_caller *known = &config->callers[i];
		if (strcmp(known->issuer, call->issuer) != 0 || strcmp(known->name, name) != 0)
			continue;
		*caller = (struct gate_caller){
			.kind = known->uid ? CALLER_UNIX : CALLER_CERTIFICATE, .uid = known->uid ? *known->uid : 0};
		if (known->uri)
			memcpy(caller->uri, known->uri, strlen(known->uri) + 1); /* config.c checked its length */
		memcpy(caller->spki_sha256, known->spki_sha256, sizeof caller->spki_sha256);
		return HM_OK;
	}
	return hm_refuse(why, "wrong_type", "caller", "the name of a caller of the issuer");
}

static hm_result choose_caller(const struct api_call *call, struct gate_caller *caller, struct hm_problem *why)
{
	const json_t *name = json_object_get(call->body, "caller");
	*caller = call->actor.caller;
	if (!name)
		return HM_OK;
	if (!json_is_string(name))
		return hm_refuse(why, "wrong_type", "caller", "a string");
	return find_caller(call, json_string_value(name), caller, why);
}

static hm_result check_members(const struct api_call *call, struct hm_problem *why)
{
	const char *name;
	json_t *value;
	json_object_foreach(call->body, name, value) if (strcmp(name, "caller") != 0 && strcmp(name, "request") != 0 &&
							 strcmp(name, "issuer") != 0) return hm_refuse(why,
		"unknown_member", name, "request, caller, issuer");
	if (!json_is_object(json_object_get(call->body, "request")))
		return hm_refuse(why, "missing_member", "request", "a mint request");
	return HM_OK;
}

static void add_step(void *context, const char *rule, hm_result result, const struct hm_problem *why)
{
	json_t *step = result == HM_OK ? json_pack("{s:s, s:b}", "rule", rule, "ok", 1)
				       : json_pack("{s:s, s:b, s:s, s:s}", "rule", rule, "ok", 0, "code", why->code,
						 "accepts", why->detail);
	if (result != HM_OK && why->field[0])
		json_object_set_new(step, "field", json_string(why->field));
	json_array_append_new(context, step);
}

/* What would be done first. */
static json_t *needs(const struct decision *decision)
{
	json_t *needs = json_array();
	if (!decision->agent)
		json_array_append_new(needs, json_string("agent"));
	if (decision->opens_task)
		json_array_append_new(needs, json_string("task"));
	if (decision->approvers)
		json_array_append_new(needs, json_string("approval"));
	return needs;
}

hm_result policy_api_explain(struct api_call *call, struct hm_problem *why)
{
	struct gate_caller caller;
	struct decision decision;
	MINT_REQUEST_AUTO asked = {0};
	HM_TRY(check_members(call, why));
	HM_TRY(governed_refusal(call->service, why)); /* minting says the same */
	HM_TRY(choose_caller(call, &caller, why));
	char *text = json_dumps(json_object_get(call->body, "request"), JSON_COMPACT);
	if (!text)
		return hm_broken(why, "no memory");
	hm_result result = mint_request_parse((struct hm_bytes){(uint8_t *)text, strlen(text)}, false, &asked, why);
	free(text);
	HM_TRY(result);

	json_t *steps = json_array();
	const struct policy_views views = governed_views(call->service);
	result = policy_explain(call->service->config, &views, &caller, &asked, &decision, add_step, steps, why);
	if (result != HM_OK && result != HM_REFUSED) {
		json_decref(steps);
		return result;
	}
	call->status = 200;
	call->answer = json_pack("{s:b, s:o}", "allowed", result == HM_OK, "steps", steps);
	if (result == HM_OK) {
		json_object_set_new(call->answer, "lifetime", json_integer(decision.lifetime));
		json_object_set_new(call->answer, "needs", needs(&decision));
	}
	return HM_OK;
}
