/* SPDX-License-Identifier: Apache-2.0 */
#include "record_born.h"

#include "agents.h"
#include "approvals.h"
#include "clock.h"
#include "json_write.h"
#include "record.h"
#include "tasks.h"

enum { ENTRY_MAX = 32 * 1024 }; /* the texts of a task, some of them escaped */

struct born {
	struct service *service;
	const struct parked_acts *acts;
	uint64_t sequence;
	uint64_t ticket; /* of the last entry */
	struct hm_json json;
	char text[ENTRY_MAX];
};

static void put_optional(struct hm_json *json, const char *name, const char *text)
{
	if (text && text[0])
		hm_json_member_string(json, name, text);
}

static void begin(struct born *born)
{
	born->json = hm_json(born->text, sizeof born->text);
	hm_json_begin(&born->json, '{');
}

static void end(struct born *born, const char *type)
{
	hm_json_member_number(&born->json, "time", hm_time());
	hm_json_member_string(&born->json, "type", type);
	hm_json_member_number(&born->json, "v", RECORD_VERSION);
	hm_json_member_string(&born->json, "way", "mint");
	hm_json_end(&born->json, '}');
	born->ticket = record_add(born->service, &born->json, false);
}

static void add_agent(struct born *born)
{
	struct hm_json *json = &born->json;
	const struct agent *agent = agents_find(born->service->agents, born->acts->issuer, born->acts->subject);
	if (!agent)
		return; /* it was deleted in between, which has an entry of its own */
	begin(born);
	hm_json_member_string(json, "act", "instance");
	hm_json_member_string(json, "actor", born->acts->caller);
	hm_json_member_string(json, "agent", agent->spiffe_id);
	hm_json_member_string(json, "id", agent->id);
	hm_json_member_string(json, "issuer", born->acts->issuer);
	put_optional(json, "of", agent->of);
	hm_json_member_number(json, "sequence", (int64_t)born->sequence);
	end(born, "agent");
}

static void add_task(struct born *born)
{
	struct hm_json *json = &born->json;
	const struct task *task = tasks_find(born->service->tasks, born->acts->task_id);
	if (!task) /* not on_behalf_of: that may be a person, and the ledger is for ever */
		return;
	begin(born);
	hm_json_member_string(json, "actor", born->acts->caller);
	hm_json_member_string(json, "agent", task->agent);
	hm_json_member_number(json, "expires", task->expires);
	hm_json_member_string(json, "issuer", born->acts->issuer);
	put_optional(json, "parent", task->parent ? task->parent->id : "");
	put_optional(json, "purpose", task->purpose);
	put_optional(json, "ref", task->ref);
	hm_json_member_number(json, "sequence", (int64_t)born->sequence);
	hm_json_member_string(json, "state", task_state_name(TASK_OPEN));
	hm_json_member_string(json, "task", task->id);
	end(born, "task");
}

static void add_approval(struct born *born)
{
	struct hm_json *json = &born->json;
	const struct approval *approval = approvals_find(born->service->approvals, born->acts->approval_id);
	if (!approval)
		return;
	begin(born);
	hm_json_member_string(json, "act", "ask");
	hm_json_member_string(json, "actor", born->acts->caller);
	hm_json_member_string(json, "approval", approval->id);
	hm_json_member_number(json, "expires", approval->expires);
	hm_json_member_string(json, "hash", approval->hash);
	hm_json_member_string(json, "issuer", born->acts->issuer);
	hm_json_member_number(json, "sequence", (int64_t)born->sequence);
	hm_json_member_string(json, "subject", born->acts->subject);
	end(born, "approval");
}

uint64_t record_born(struct service *service, const struct parked_acts *acts, uint64_t sequence)
{
	struct born born = {.service = service, .acts = acts, .sequence = sequence};
	if (acts->agent)
		add_agent(&born);
	if (acts->task)
		add_task(&born);
	if (acts->approval)
		add_approval(&born);
	return born.ticket;
}
