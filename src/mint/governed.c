/* SPDX-License-Identifier: Apache-2.0 */
#include "governed.h"

#include "clock.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

hm_result governed_is_fresh(const struct service *service, struct hm_problem *why)
{
	uint64_t age_ms = store_age_ms(service->store);
	if (age_ms <= service->config->max_staleness * UINT64_C(1000))
		return HM_OK;
	return hm_unavailable(
		why, "store_unavailable", "what is known of agents and tasks is %" PRIu64 " ms old", age_ms);
}

hm_result governed_refusal(const struct service *service, struct hm_problem *why)
{
	if (service->has_bad_row)
		return hm_unavailable(
			why, "store_unavailable", "a row of the store is not understood: the log names it");
	return governed_is_fresh(service, why);
}

struct policy_views governed_views(const struct service *service)
{
	return (struct policy_views){service->agents, service->tasks, service->approvals, hm_time()};
}

static hm_result revoked_meanwhile(struct hm_problem *why)
{
	return hm_refuse(why, "revoked_meanwhile", NULL, "a new request: what it was struck for was revoked");
}

/* ---- what is missing ---- */

static hm_result need_changes(struct governed_needs *needs, struct hm_problem *why)
{
	if (!needs->changes)
		needs->changes = changes_open();
	return needs->changes ? HM_OK : hm_broken(why, "no memory");
}

static hm_result written(bool is_put, struct hm_problem *why)
{
	return is_put ? HM_OK : hm_broken(why, "no memory for a change");
}

static hm_result need_agent(const struct decision *decision, const struct mint_request *request, int64_t now,
	struct governed_needs *needs, struct hm_problem *why)
{
	if (decision->agent)
		return HM_OK;
	HM_TRY(need_changes(needs, why));
	needs->acts.agent = true;
	return written(agents_put_instance(needs->changes, decision->accountable, request->subject, now), why);
}

static hm_result need_task(const struct service *service, const struct decision *decision,
	const struct mint_request *request, int64_t now, struct governed_needs *needs, struct hm_problem *why)
{
	if (!decision->opens_task)
		return HM_OK;
	HM_TRY(need_changes(needs, why));
	needs->acts.task = true;
	return tasks_open_one(service->tasks, service->agents, decision->issuer->name, decision->caller->name,
		request->subject, request->task, request->delegation ? TASK_BY_EXCHANGE : TASK_BY_MINT, now,
		needs->changes, needs->acts.task_id, why);
}

static hm_result need_place(struct service *service, const struct decision *decision,
	const struct mint_request *request, const char *kid, int64_t expires, struct governed_needs *needs,
	struct hm_problem *why)
{
	const char *task = decision->task ? decision->task->id : needs->acts.task_id;
	const struct status_holder holder = {.issuer = decision->issuer->name,
		.agent = request->subject,
		.task = task,
		.kid = kid,
		.shared = decision->profile->status == STATUS_OF_TASK && task[0]};
	if (decision->profile->status == STATUS_OF_NONE)
		return HM_OK;
	needs->has_place = status_lists_place(service->status_lists, &holder, expires, &needs->place);
	if (needs->has_place)
		return HM_OK;
	HM_TRY(need_changes(needs, why));
	if (status_lists_put_block(service->status_lists, &holder, decision->now, needs->changes, &needs->acts.lease))
		return HM_OK;
	return hm_overload(why, HM_RETRY_AFTER_MAX, "all places of the status lists are taken, or there is no memory");
}

/* One that is to be opened is counted when it is there. */
static hm_result need_count(const struct decision *decision, struct governed_needs *needs, struct hm_problem *why)
{
	if (!decision->counts || !decision->task)
		return HM_OK;
	HM_TRY(need_changes(needs, why));
	needs->granted.struck = true;
	return written(tasks_put_struck(needs->changes, decision->task), why);
}

static hm_result need_approval(const struct decision *decision, struct governed_needs *needs, struct hm_problem *why)
{
	if (!decision->approval || needs->granted.approval)
		return HM_OK;
	HM_TRY(need_changes(needs, why));
	needs->granted.approval = true;
	return written(approvals_put_used(needs->changes, decision->approval), why);
}

/* What all of a subject or a key was revoked until is a second: what is struck within it would be covered. */
static hm_result check_second(const struct service *service, const struct decision *decision,
	const struct mint_request *request, const char *kid, struct hm_problem *why)
{
	int64_t until = revocations_until(service->revocations, decision->issuer->name, request->subject, kid);
	return until < decision->now ? HM_OK : revoked_meanwhile(why);
}

void governed_needs_free(struct governed_needs *needs)
{
	changes_close(needs->changes);
	needs->changes = NULL;
}

hm_result governed_prepare(struct service *service, const struct decision *decision, const struct mint_request *request,
	const char *kid, int64_t expires, struct governed_needs *needs, struct hm_problem *why)
{
	int64_t now = hm_time();
	HM_TRY(check_second(service, decision, request, kid, why));
	HM_TRY(need_agent(decision, request, now, needs, why));
	HM_TRY(need_task(service, decision, request, now, needs, why));
	HM_TRY(need_count(decision, needs, why));
	HM_TRY(need_approval(decision, needs, why));
	return need_place(service, decision, request, kid, expires, needs, why);
}

hm_result governed_ask(const struct decision *decision, const struct mint_request *request,
	struct governed_needs *needs, struct hm_problem *why)
{
	json_t *form = approvals_form(decision, request);
	hm_result result = form ? need_changes(needs, why) : hm_broken(why, "no memory");
	needs->acts.approval = true;
	if (result == HM_OK)
		result = written(approvals_put(needs->changes, decision, form, decision->hash, decision->approvers,
					 hm_time(), decision->approve_within, needs->acts.approval_id),
			why);
	json_decref(form);
	return result;
}

/* ---- what was struck ---- */

void governed_remember(struct pending *pending, const struct decision *decision, const struct mint_request *request,
	const struct governed_needs *needs)
{
	snprintf(pending->issuer, sizeof pending->issuer, "%s", decision->issuer->name);
	snprintf(pending->subject, sizeof pending->subject, "%s", request->subject);
	snprintf(pending->task, sizeof pending->task, "%s", decision->task ? decision->task->id : "");
	pending->is_exchange = request->delegation;
	pending->is_dpop = request->proof.jkt[0];
	pending->has_place = needs->has_place;
	pending->place = needs->place;
}

hm_result governed_still(const struct service *service, const struct pending *pending, struct hm_problem *why)
{
	HM_TRY(governed_refusal(service, why));
	HM_TRY(agents_check_named(service->agents, pending->issuer, pending->subject, hm_time(), why));
	if (pending->task[0])
		HM_TRY(delegation_stands(service->agents, tasks_find(service->tasks, pending->task), hm_time(), why));
	if (revocations_cover(service->revocations, pending->issuer, pending->id_text, pending->subject, pending->kid,
		    pending->issued))
		return revoked_meanwhile(why);
	bool has_ended = pending->has_place &&
			 status_lists_value(service->status_lists, pending->issuer, pending->place) == STATUS_INVALID;
	return has_ended ? revoked_meanwhile(why) : HM_OK;
}
