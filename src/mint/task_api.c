/* SPDX-License-Identifier: Apache-2.0 */
#include "task_api.h"

#include "api_query.h"
#include "service.h"
#include "spiffe.h"
#include "tasks_inside.h"
#include <string.h>

/* What an act leads to, from a task that has not ended, and who may do it to tasks of others. */
struct act {
	enum task_state to;
	unsigned others; /* roles, of somebody proven */
};

static const struct act pause_act = {TASK_PAUSED, ROLE_REVOKE | ROLE_OPERATE};
static const struct act resume_act = {TASK_OPEN, ROLE_OPERATE};
static const struct act complete_act = {TASK_COMPLETED, ROLE_REVOKE | ROLE_OPERATE};
static const struct act cancel_act = {TASK_CANCELLED, ROLE_REVOKE | ROLE_OPERATE};

static bool is_proven(const struct api_call *call)
{
	return call->actor.way != WAY_GATE;
}

static bool is_own(const struct api_call *call, const struct task *task)
{
	return (call->actor.known->roles & ROLE_TASK) && strcmp(task->caller, call->actor.name) == 0;
}

static unsigned roles_that_see(const struct api_call *call)
{
	return is_proven(call) ? ROLE_AUDIT | ROLE_REVOKE | ROLE_OPERATE : ROLE_AUDIT;
}

static hm_result no_memory(struct hm_problem *why)
{
	return hm_broken(why, "no memory for an act on a task");
}

/* The task of the path, its own, or anybody's for who has one of the roles `others`; else as if it was not there. */
static hm_result find(const struct api_call *call, unsigned others, const struct task **task, struct hm_problem *why)
{
	*task = tasks_find(call->service->tasks, call->id ? call->id : "");
	if (*task && strcmp((*task)->issuer, call->issuer) == 0 &&
		((call->actor.known->roles & others) || is_own(call, *task)))
		return HM_OK;
	return hm_refuse(why, "unknown_task", NULL, "a task of this caller");
}

static hm_result answer(struct api_call *call, int status, const struct task *task, struct hm_problem *why)
{
	call->status = status;
	call->answer = task_json(task, call->now);
	return call->answer ? HM_OK : no_memory(why);
}

/* ---- show, list ---- */

hm_result task_api_show(struct api_call *call, struct hm_problem *why)
{
	const struct task *task;
	HM_TRY(find(call, roles_that_see(call), &task, why));
	return answer(call, 200, task, why);
}

static json_t *page(const struct api_call *call, const struct task *const *found, unsigned count, const char *next)
{
	json_t *shown = json_array();
	for (unsigned i = 0; i < count; i++)
		(void)json_array_append_new(shown, task_json(found[i], call->now));
	if (json_array_size(shown) == count)
		return *next ? json_pack("{s:o, s:s}", "tasks", shown, "next", next)
			     : json_pack("{s:o}", "tasks", shown);
	json_decref(shown);
	return NULL;
}

/* A page may have fewer than were asked for, and none, and yet a `next`: so many of others stood between. */
hm_result task_api_list(struct api_call *call, struct hm_problem *why)
{
	const struct task *found[HM_LIST_MAX];
	char next[HM_ID_MAX + 1];
	const char *after = NULL;
	unsigned limit = 0;
	HM_TRY(api_query_page(call, NULL, &after, &limit, why));
	if (after && !task_is_id(after))
		return hm_refuse(why, "invalid_member", "after", "the `next` of the page before");
	unsigned roles = call->actor.known->roles;
	const char *own = roles & ROLE_TASK ? call->actor.name : ""; /* nobody's name */
	const char *caller = roles & roles_that_see(call) ? NULL : own;
	unsigned count = tasks_list(call->service->tasks, call->issuer, caller, after ? after : "", found, limit, next);
	call->status = 200;
	call->answer = page(call, found, count, next);
	return call->answer ? HM_OK : no_memory(why);
}

/* ---- open ---- */

static hm_result take_agent(const struct api_call *call, const char **agent, struct hm_problem *why)
{
	struct spiffe_id id;
	const char *rule;
	const json_t *value = json_object_get(call->body, "agent");
	if (!value)
		return hm_refuse(why, "missing_member", "agent", "the agent's SPIFFE ID");
	if (!json_is_string(value))
		return hm_refuse(why, "wrong_type", "agent", "a string");
	*agent = json_string_value(value);
	if (!spiffe_parse(*agent, json_string_length(value), &id, &rule))
		return hm_refuse(why, "invalid_subject", "agent", "%s", rule);
	return HM_OK;
}

static hm_result check_agent(const struct api_call *call, const char *spiffe_id, struct hm_problem *why)
{
	const struct agents *agents = call->service->agents;
	const struct agent *agent = agents_find(agents, call->issuer, spiffe_id);
	const struct agent *class =
		agent ? agents_accountable(agents, agent) : agents_class_of(agents, call->issuer, spiffe_id);
	return agents_check(agent, class, call->now, why);
}

/* Not on_behalf_of: that may be a person, and the ledger is for ever. */
static json_t *opened_entry(const struct task *task)
{
	json_t *entry = json_pack("{s:s, s:s, s:s, s:s, s:I}", "task", task->id, "agent", task->agent, "purpose",
		task->purpose, "state", task_state_name(TASK_OPEN), "expires", (json_int_t)task->expires);
	if (entry && task->parent)
		(void)json_object_set_new(entry, "parent", json_string(task->parent->id));
	if (entry && *task->ref)
		(void)json_object_set_new(entry, "ref", json_string(task->ref));
	return entry;
}

static hm_result open_with(struct api_call *call, const char *agent, json_t *members, struct hm_problem *why)
{
	struct task_form form;
	char id[HM_ID_MAX + 1];
	struct tasks *tasks = call->service->tasks;
	call->changes = changes_open();
	if (!members || !call->changes)
		return no_memory(why);
	(void)json_object_del(members, "agent");
	(void)json_object_del(members, "issuer");
	HM_TRY(tasks_open_form(tasks, call->service->agents, call->issuer, call->actor.name, agent, members,
		TASK_BY_CALL, call->now, call->changes, &form, id, why));
	const struct task *known = tasks_find(tasks, id);
	if (!known) {
		call->entry_type = "task";
		call->entry = opened_entry(&form.task);
		return call->entry ? answer(call, 201, &form.task, why) : no_memory(why);
	}
	changes_close(call->changes);
	call->changes = NULL;
	return answer(call, 200, known, why);
}

hm_result task_api_open(struct api_call *call, struct hm_problem *why)
{
	const char *agent = NULL;
	HM_TRY(take_agent(call, &agent, why));
	HM_TRY(check_agent(call, agent, why));
	json_t *members = json_copy(call->body);
	hm_result result = open_with(call, agent, members, why);
	json_decref(members);
	return result;
}

/* ---- pause, resume, complete, cancel ---- */

/* The task as it will be. `*changes` false: it is so already. */
static hm_result apply(const struct api_call *call, const struct act *act, const struct task *task, struct task *next,
	bool *changes, struct hm_problem *why)
{
	enum task_state effective = task_effective(task, call->now);
	bool has_ended = effective != TASK_OPEN && effective != TASK_PAUSED;
	*next = *task;
	*changes = false;
	if (has_ended && effective == act->to)
		return HM_OK;
	if (has_ended)
		return hm_refuse(why, "task_state", NULL, "a task that is open or paused: this one is %s",
			task_state_name(effective));
	if (act->to == TASK_OPEN && task->held && !is_proven(call))
		return hm_refuse(why, "task_state", NULL,
			"a task that is not held: resume this one over the control socket or with an HTTP signature");
	next->state = (uint8_t)act->to;
	next->held = act->to == TASK_PAUSED && (task->held || is_proven(call));
	next->ended = act->to == TASK_COMPLETED || act->to == TASK_CANCELLED ? call->now : 0;
	*changes = next->state != task->state || next->held != task->held;
	return HM_OK;
}

static hm_result change(struct api_call *call, const struct task *next, const char *reason, struct hm_problem *why)
{
	call->changes = changes_open();
	call->entry_type = "task";
	call->entry = json_pack("{s:s, s:s, s:s, s:s*}", "task", next->id, "agent", next->agent, "state",
		task_state_name((enum task_state)next->state), "reason", reason);
	if (!call->entry || !call->changes || !task_put(call->changes, next))
		return no_memory(why);
	return HM_OK;
}

static hm_result run(struct api_call *call, const struct act *act, struct hm_problem *why)
{
	const struct task *task;
	const char *reason = NULL;
	struct task next;
	bool changes;
	HM_TRY(find(call, is_proven(call) ? act->others : 0, &task, why));
	HM_TRY(api_body_reason(call, &reason, why));
	HM_TRY(apply(call, act, task, &next, &changes, why));
	if (changes)
		HM_TRY(change(call, &next, reason, why));
	return answer(call, 200, &next, why);
}

hm_result task_api_pause(struct api_call *call, struct hm_problem *why)
{
	return run(call, &pause_act, why);
}

hm_result task_api_resume(struct api_call *call, struct hm_problem *why)
{
	return run(call, &resume_act, why);
}

hm_result task_api_complete(struct api_call *call, struct hm_problem *why)
{
	return run(call, &complete_act, why);
}

hm_result task_api_cancel(struct api_call *call, struct hm_problem *why)
{
	return run(call, &cancel_act, why);
}
