/* SPDX-License-Identifier: Apache-2.0 */
#include "approval_api.h"

#include "api_query.h"
#include "approvals.h"
#include "policy.h"
#include "service.h"
#include <string.h>

static hm_result no_memory(struct hm_problem *why)
{
	return hm_broken(why, "no memory for an act on an approval");
}

/* Who does not audit or approve sees what it asked for itself. */
static bool sees(const struct api_call *call, const struct approval *approval)
{
	return (call->actor.known->roles & (ROLE_AUDIT | ROLE_APPROVE)) ||
	       strcmp(approval->caller, call->actor.name) == 0;
}

static hm_result find(const struct api_call *call, const struct approval **approval, struct hm_problem *why)
{
	*approval = approvals_find(call->service->approvals, call->id);
	if (*approval && strcmp((*approval)->issuer, call->issuer) == 0 && sees(call, *approval))
		return HM_OK;
	return hm_refuse(why, "unknown_approval", NULL, "the id of an approval");
}

static hm_result answer(struct api_call *call, const struct approval *approval, struct hm_problem *why)
{
	call->status = 200;
	call->answer = approval_json(approval, call->now);
	return call->answer ? HM_OK : no_memory(why);
}

/* ---- who may approve ---- */

/* Also by another name: a certificate may have the URI of one caller and the key of another. */
static bool is_actor(const struct api_call *call, const char *name)
{
	const struct config *config = call->service->config;
	if (strcmp(name, call->actor.name) == 0)
		return true;
	for (unsigned i = 0; i < config->callers_count; i++) {
		const struct config_caller *caller = &config->callers[i];
		if (strcmp(caller->issuer, call->issuer) == 0 && strcmp(caller->name, name) == 0)
			return policy_is_caller(caller, &call->actor.caller);
	}
	return false;
}

static hm_result check_approver(const struct api_call *call, const struct approval *approval, struct hm_problem *why)
{
	if (is_actor(call, approval->caller))
		return hm_refuse(why, "approver_not_allowed", NULL, "somebody else than who asked for it");
	for (unsigned i = 0; i < approval->granted; i++)
		if (is_actor(call, approval->approvers[i]))
			return hm_refuse(why, "approver_not_allowed", NULL, "somebody who has not granted it yet");
	return HM_OK;
}

/* ---- show, list ---- */

/* With `wait` it is answered when it is no longer pending. */
hm_result approval_api_show(struct api_call *call, struct hm_problem *why)
{
	const struct approval *approval;
	unsigned wait;
	HM_TRY(api_query_wait(call, &wait, why));
	HM_TRY(find(call, &approval, why));
	if (wait && !call->is_last && approval_state(approval, call->now) == APPROVAL_PENDING)
		return HM_OK;
	return answer(call, approval, why);
}

/* For who asks here: one who approves is told of what waits for its own word. */
static bool is_waiting(const struct api_call *call, const struct approval *approval)
{
	struct hm_problem why;
	bool approves = call->actor.known->roles & ROLE_APPROVE;
	return approval_state(approval, call->now) == APPROVAL_PENDING && sees(call, approval) &&
	       (!approves || check_approver(call, approval, &why) == HM_OK);
}

static bool has_waiting(const struct api_call *call, const struct approval *const *found, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (is_waiting(call, found[i]))
			return true;
	return false;
}

static json_t *page(const struct api_call *call, const struct approval *const *found, unsigned count, bool is_full)
{
	json_t *shown = json_array();
	for (unsigned i = 0; i < count; i++)
		if (sees(call, found[i]))
			(void)json_array_append_new(shown, approval_json(found[i], call->now));
	return is_full ? json_pack("{s:o, s:s}", "approvals", shown, "next", found[count - 1]->id)
		       : json_pack("{s:o}", "approvals", shown);
}

/* With `wait` it is answered when something waits for approval. */
hm_result approval_api_list(struct api_call *call, struct hm_problem *why)
{
	const struct approval *found[HM_LIST_MAX];
	const char *after;
	unsigned limit, wait;
	HM_TRY(api_query_page(call, "wait", &after, &limit, why));
	HM_TRY(api_query_wait(call, &wait, why));
	unsigned count = approvals_list(call->service->approvals, call->issuer, after, found, limit);
	if (wait && !call->is_last && !has_waiting(call, found, count))
		return HM_OK;
	call->status = 200;
	call->answer = page(call, found, count, count == limit);
	return call->answer ? HM_OK : no_memory(why);
}

/* ---- grant, deny ---- */

static hm_result check_pending(const struct api_call *call, const struct approval *approval, struct hm_problem *why)
{
	static const char *const codes[] = {NULL, NULL, "approval_denied", "approval_used", "approval_expired"};
	const char *code = codes[approval_state(approval, call->now)];
	return code ? hm_refuse(why, code, NULL, "an approval that waits") : HM_OK;
}

static hm_result record(struct api_call *call, const struct approval *approval, const char *act, const char *reason,
	struct hm_problem *why)
{
	call->entry_type = "approval";
	call->entry = json_pack("{s:s, s:s, s:s, s:s*}", "act", act, "approval", approval->id, "hash", approval->hash,
		"reason", reason);
	return call->entry ? HM_OK : no_memory(why);
}

/* The answer is how it will be. */
static hm_result answer_granted(struct api_call *call, const struct approval *approval, struct hm_problem *why)
{
	struct approval next = *approval;
	next.approvers[next.granted++] = call->actor.name;
	return answer(call, &next, why);
}

hm_result approval_api_grant(struct api_call *call, struct hm_problem *why)
{
	const struct approval *approval;
	const char *reason;
	HM_TRY(find(call, &approval, why));
	HM_TRY(api_body_reason(call, &reason, why));
	HM_TRY(check_pending(call, approval, why));
	HM_TRY(check_approver(call, approval, why));
	if (approval->granted >= approval->wanted)
		return answer(call, approval, why); /* nobody needs one more */
	call->changes = changes_open();
	if (!call->changes || !approvals_put_granted(call->changes, approval, call->actor.name))
		return no_memory(why);
	HM_TRY(record(call, approval, "grant", reason, why));
	return answer_granted(call, approval, why);
}

/* Also of what was granted and is not used yet. */
hm_result approval_api_deny(struct api_call *call, struct hm_problem *why)
{
	const struct approval *approval;
	const char *reason;
	HM_TRY(find(call, &approval, why));
	HM_TRY(api_body_reason(call, &reason, why));
	if (approval->denied_by[0])
		return answer(call, approval, why);
	HM_TRY(check_pending(call, approval, why));
	if (is_actor(call, approval->caller))
		return hm_refuse(why, "approver_not_allowed", NULL, "somebody else than who asked for it");
	call->changes = changes_open();
	if (!call->changes || !approvals_put_denied(call->changes, approval, call->actor.name))
		return no_memory(why);
	HM_TRY(record(call, approval, "deny", reason, why));
	struct approval next = *approval;
	next.denied_by = call->actor.name;
	return answer(call, &next, why);
}
