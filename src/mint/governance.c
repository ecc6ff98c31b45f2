/* SPDX-License-Identifier: Apache-2.0 */
#include "governance.h"

#include "agents.h"
#include "anchor.h"
#include "anchors.h"
#include "api.h"
#include "approvals.h"
#include "assertions.h"
#include "dpop.h"
#include "clock.h"
#include "clock_watch.h"
#include "delegation.h"
#include "engine.h"
#include "exchanges.h"
#include "http_signature.h"
#include "ledger_restore.h"
#include "log.h"
#include "parked.h"
#include "revocations.h"
#include "status_lists.h"
#include "status_publish.h"
#include "store.h"
#include "tasks.h"
#include <inttypes.h>
#include <string.h>

enum { TIDY_TICKS = 60, TIDIED_AT_ONCE = 1000 };

/* ---- rows ---- */

/* The key of an agent's row: ISSUER " " SPIFFE-ID. NULL: it is none. */
static const char *split_agent_key(const char *key, char issuer[HM_NAME_MAX + 1])
{
	const char *space = strchr(key, ' ');
	if (!space || space - key > HM_NAME_MAX)
		return NULL;
	memcpy(issuer, key, (size_t)(space - key));
	issuer[space - key] = 0;
	return space + 1;
}

static void derive_exchange(void *context, const char *id)
{
	struct service *service = context;
	const struct task *task = tasks_find(service->tasks, id);
	if (task)
		status_lists_task_changed(service->status_lists, task);
}

/* What its own credentials say; and, unless it is new, when all rows were taken, those of whom it let act. */
static hm_result take_agent(struct service *service, const struct store_row *row, struct hm_problem *why)
{
	char issuer[HM_NAME_MAX + 1];
	const char *spiffe_id = split_agent_key(row->key, issuer);
	service->links_due |= spiffe_id && agents_find(service->agents, issuer, spiffe_id);
	HM_TRY(agents_take(service->agents, row, why));
	if (spiffe_id)
		status_lists_agent_changed(service->status_lists, issuer, spiffe_id);
	return HM_OK;
}

static bool is_revoked_since(
	const struct service *service, const struct task *task, const char *subject, const char *kid)
{
	return revocations_until(service->revocations, task->issuer, subject, kid) >= task->opened;
}

/* Was the token that it was opened by revoked: itself, with all of its key, of whom it was issued to, or of whom it is
 * on behalf? */
static bool is_revoked(const struct service *service, const struct task *task)
{
	struct task_origin origin;
	const char *link = delegation_link(task);
	if (!task_exchanged(task, &origin))
		return false;
	return revocations_find(service->revocations, REVOKED_CREDENTIAL, task->issuer, origin.token) ||
	       is_revoked_since(service, task, task->on_behalf_of, origin.kid) ||
	       (link && is_revoked_since(service, task, link, ""));
}

static hm_result take_exchange(struct service *service, const struct task *task, struct hm_problem *why)
{
	HM_TRY(exchanges_add(service->exchanges, task, why));
	tasks_revoke(service->tasks, task, is_revoked(service, task));
	return HM_OK;
}

static hm_result take_task(struct service *service, const struct store_row *row, struct hm_problem *why)
{
	const struct task *task = row->kind == RECORD_TASK ? tasks_find(service->tasks, row->key) : NULL;
	if (task && !row->body && task_is_exchange(task))
		exchanges_remove(service->exchanges, task);
	HM_TRY(tasks_take(service->tasks, row, why));
	task = row->kind == RECORD_TASK ? tasks_find(service->tasks, row->key) : NULL;
	if (task && task_is_exchange(task))
		HM_TRY(take_exchange(service, task, why));
	if (task)
		status_lists_task_changed(service->status_lists, task);
	return HM_OK;
}

static void look_at_exchange(void *context, const char *id)
{
	struct service *service = context;
	const struct task *task = tasks_find(service->tasks, id);
	if (!task || task->revoked || !is_revoked(service, task))
		return;
	tasks_revoke(service->tasks, task, true);
	status_lists_task_changed(service->status_lists, task);
}

static hm_result take_revocation(struct service *service, const struct store_row *row, struct hm_problem *why)
{
	const struct revocation *revocation;
	HM_TRY(revocations_take(service->revocations, row, &revocation, why));
	if (!revocation)
		return HM_OK;
	status_lists_revoked(service->status_lists, revocation);
	exchanges_each(service->exchanges, revocation->of == REVOKED_CREDENTIAL ? revocation->name : NULL,
		look_at_exchange, service);
	return HM_OK;
}

static hm_result take(struct service *service, const struct store_row *row, struct hm_problem *why)
{
	switch (row->kind) {
	case RECORD_AGENT:
		return take_agent(service, row, why);
	case RECORD_TASK:
	case RECORD_REF:
		return take_task(service, row, why);
	case RECORD_APPROVAL:
		return approvals_take(service->approvals, row, why);
	case RECORD_REVOCATION:
		return take_revocation(service, row, why);
	case RECORD_BLOCK:
		return status_lists_take(service->status_lists, row, why);
	case RECORD_ASSERTION:
		return assertions_take(service->assertions, row, why);
	case RECORD_KINDS:
		break;
	}
	return HM_OK;
}

/* A row that is not understood may be the one that says no: nothing is struck any more until somebody has looked. */
static void on_row(void *context, const struct store_row *row)
{
	struct service *service = context;
	struct hm_problem why;
	if (take(service, row, &why) != HM_OK) {
		hm_log(HM_ERROR, "store_row_refused", "kind=%d key=\"%s\" detail=\"%s\"", (int)row->kind, row->key,
			why.detail);
		service->has_bad_row = true;
	}
	if (service->api)
		api_rows_changed(service->api);
	status_publisher_changed(service);
}

static void on_changed(void *context)
{
	struct service *service = context;
	const char *fault = service->store ? store_fault(service->store) : NULL;
	if (fault)
		hm_log(HM_ERROR, "store_unavailable", "detail=\"%s\"", fault);
	else
		hm_log(HM_INFO, "store_available", "sequence=%lu",
			(unsigned long)(service->store ? store_sequence(service->store) : 0));
	service_update_readiness(service);
}

/* A new start loads all of it. */
static void on_lost(void *context, const char *why)
{
	service_fail_start(context, why);
}

/* ---- an old copy ---- */

hm_result governance_check_memory(
	const struct service *service, const char *where, const struct checkpoint *remembered, struct hm_problem *why)
{
	if (remembered->store <= service->store_began || ledger_gave_up_store(&service->config->ledger, remembered))
		return HM_OK;
	return hm_refuse(why, "config", NULL,
		"the store is an old copy: %.80s remembers its commit %" PRIu64 ", and it has %" PRIu64
		": what was revoked since would be in force again; bring back the newest copy, or accept this one with "
		"`hsmint ledger restore --store`",
		where, remembered->store, service->store_began);
}

static hm_result check_own_memory(const struct service *service, struct hm_problem *why)
{
	char note[NOTE_MAX];
	size_t length;
	unsigned shard;
	struct checkpoint newest;
	HM_TRY(anchor_newest(&service->config->ledger, &shard, note, &length, why));
	if (!shard)
		return HM_OK;
	HM_TRY(checkpoint_read(note, length, &newest, why));
	return governance_check_memory(service, "the ledger", &newest, why);
}

/* ---- as one ---- */

hm_result governance_open(struct service *service, struct hm_problem *why)
{
	const struct config *config = service->config;
	const struct store_events events = {on_row, on_changed, on_lost, service};
	service->agents = agents_open();
	service->tasks = tasks_open();
	service->approvals = approvals_open();
	service->revocations = revocations_open();
	service->assertions = assertions_open();
	service->exchanges = exchanges_open();
	service->nonces = nonces_open();
	service->dpop = dpop_open();
	service->parked = parked_open(service);
	if (!service->agents || !service->tasks || !service->approvals || !service->revocations ||
		!service->assertions || !service->exchanges || !service->nonces || !service->dpop || !service->parked)
		return hm_unavailable(why, "system", "no memory");
	service->status_lists = status_lists_open(service->agents, service->tasks, service->revocations);
	if (!service->status_lists)
		return hm_unavailable(why, "system", "no memory");
	if (config->policy)
		HM_TRY(engine_open(&service->loop, config->policy, &service->engine, why));
	HM_TRY(store_open(&service->loop, config->store, config->state, &events, &service->store, why));
	service->store_began = store_sequence(service->store);
	service->links_due = true;
	HM_TRY(check_own_memory(service, why));
	HM_TRY(anchors_check_store(service, why));
	service->api = api_open(service);
	if (!service->api)
		return hm_unavailable(why, "system", "no memory");
	return status_publisher_open(service, why);
}

static void on_tidied(void *context, hm_result result, uint64_t sequence, const struct hm_problem *why)
{
	struct service *service = context;
	(void)result, (void)sequence, (void)why; /* what was not deleted is found again */
	service->is_tidying = false;
}

/* Of what there may be a million of, a part each second, so that nobody has to wait for it; the rest is looked at
 * whole, now and then. */
static unsigned find_old(struct service *service, int64_t now, struct changes *changes)
{
	unsigned count = tasks_expire(service->tasks, now, TIDIED_AT_ONCE, changes);
	count += status_lists_expire(service->status_lists, now, TIDIED_AT_ONCE, changes);
	count += assertions_expire(service->assertions, now, TIDIED_AT_ONCE, changes);
	if (service->ticks % TIDY_TICKS)
		return count;
	count += approvals_expire(service->approvals, now, TIDIED_AT_ONCE, changes);
	return count + revocations_expire(service->revocations, now, TIDIED_AT_ONCE, changes);
}

/* Rows that nothing needs any more. Nobody is told: each of them ended with an entry of its own. */
static void tidy(struct service *service)
{
	struct changes *changes = changes_open();
	if (!changes)
		return;
	service->is_tidying = find_old(service, hm_time(), changes) > 0;
	if (service->is_tidying)
		store_commit(service->store, changes, on_tidied, service);
	else
		changes_close(changes);
}

void governance_look_at_links(struct service *service)
{
	if (!service->links_due)
		return;
	service->links_due = false;
	exchanges_each(service->exchanges, NULL, derive_exchange, service);
	status_publisher_changed(service);
}

void governance_tick(struct service *service)
{
	service->ticks++;
	if (!service->is_tidying && !service->stopping && !clock_watch_is_stepped(service))
		tidy(service);
	store_tick(service->store);
	parked_tick(service->parked);
	api_tick(service->api);
	status_publisher_tick(service);
}

void governance_end(struct service *service, void (*ended)(void *context), void *context)
{
	status_publisher_end(service);
	engine_close(service->engine);
	service->engine = NULL;
	store_end(service->store, ended, context);
}

void governance_close(struct service *service)
{
	status_publisher_close(service->status_publisher);
	api_close(service->api);
	parked_close(service->parked);
	store_close(service->store);
	status_lists_close(service->status_lists);
	exchanges_close(service->exchanges);
	assertions_close(service->assertions);
	revocations_close(service->revocations);
	approvals_close(service->approvals);
	tasks_close(service->tasks);
	agents_close(service->agents);
	nonces_close(service->nonces);
	dpop_close(service->dpop);
}
