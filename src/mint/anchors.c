/* SPDX-License-Identifier: Apache-2.0 */
#include "anchors.h"

#include "anchor.h"
#include "governance.h"
#include "ledger_heads.h"
#include "log.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct anchors {
	struct service *service;
	struct anchor *anchor;
	bool is_read; /* what file and witness remember is in the directory */
	bool is_reading;
	uv_work_t work;
	hm_result result;
	struct hm_problem unread; /* why it is not known yet; the worker's while is_reading */

	bool is_token_read; /* what the token remembers is */
	bool is_keeping;    /* the token was given a checkpoint, and has not answered */
	uint64_t kept_ms;   /* when it was given the last one */

	char fault[sizeof((struct hm_problem *)0)->detail];
};

static void set_fault(struct anchors *anchors, const char *fault)
{
	if (strcmp(anchors->fault, fault) != 0 && fault[0])
		hm_log(HM_WARNING, "not_anchored", "detail=\"%s\"", fault);
	snprintf(anchors->fault, sizeof anchors->fault, "%s", fault);
}

/* ---- file and witness ---- */

static void read_in_worker(uv_work_t *work)
{
	struct anchors *anchors = work->data;
	anchors->result = anchor_read(anchors->anchor, &anchors->unread);
}

hm_result anchors_check_store(const struct service *service, struct hm_problem *why)
{
	return governance_check_memory(
		service, "the ledger's anchor", anchor_remembered(service->anchors->anchor), why);
}

/* One that knows better ends the service. */
static void on_read(uv_work_t *work, int status)
{
	struct anchors *anchors = work->data;
	(void)status;
	anchors->is_reading = false;
	if (anchors->result == HM_OK)
		anchors->result = anchors_check_store(anchors->service, &anchors->unread);
	anchors->is_read = anchors->result == HM_OK;
	set_fault(anchors, anchors->is_read ? "" : anchors->unread.detail);
	if (anchors->result == HM_REFUSED)
		service_fail_start(anchors->service, anchors->unread.detail);
	else
		service_update_readiness(anchors->service);
}

static void read_again(struct anchors *anchors)
{
	if (!anchors->is_read && !anchors->is_reading)
		anchors->is_reading =
			uv_queue_work(&anchors->service->loop, &anchors->work, read_in_worker, on_read) == 0;
}

hm_result anchors_keep(struct anchors *anchors, unsigned shard, char *note, size_t *length, struct hm_problem *why)
{
	return anchor_keep(anchors->anchor, shard, note, length, why);
}

/* ---- the token ---- */

static bool has_token(const struct config_ledger *ledger)
{
	return ledger->anchor && ledger->anchor->token;
}

static struct token *token_of(const struct service *service)
{
	const struct config_ledger *ledger = &service->config->ledger;
	return has_token(ledger) && ledger->anchor->token_index < service->token_count
		       ? service->tokens[ledger->anchor->token_index]
		       : NULL;
}

static hm_result compare(const struct service *service, const void *note, size_t length, struct hm_problem *why)
{
	char where[HM_NAME_MAX + 8];
	const struct config_ledger *ledger = &service->config->ledger;
	struct anchor_memory memory;
	struct anchor_finding finding;
	snprintf(where, sizeof where, "token %s", ledger->anchor->token);
	HM_TRY(anchor_remember(note, length, &memory, why));
	HM_TRY(anchor_compare(ledger, where, &memory, &finding, why));
	if (finding.relation == ANCHOR_BEHIND || finding.relation == ANCHOR_CONTRADICTS)
		return hm_refuse(why, "ledger", NULL, "%s", finding.detail);
	return memory.is_known ? governance_check_memory(service, where, &memory.newest, why) : HM_OK;
}

static void take_memory(struct service *service, const void *note, size_t length)
{
	struct anchors *anchors = service->anchors;
	struct hm_problem why = {.detail = ""};
	hm_result result = compare(service, note, length, &why);
	anchors->is_token_read = result == HM_OK;
	set_fault(anchors, result == HM_OK ? "" : why.detail);
	if (result == HM_REFUSED)
		service_fail_start(service, why.detail);
}

void anchors_answered(struct service *service, const struct token_failure *failure, const uint8_t *note, size_t length)
{
	struct anchors *anchors = service->anchors;
	bool was_kept = anchors->is_keeping;
	anchors->is_keeping = false;
	if (failure)
		set_fault(anchors, failure->detail);
	else if (was_kept)
		set_fault(anchors, "");
	else if (!anchors->is_token_read)
		take_memory(service, note, length);
	service_update_readiness(service);
	ledger_heads_kept(service);
}

void anchors_keep_in_token(struct service *service, const char *note, size_t length, bool last)
{
	struct anchors *anchors = service->anchors;
	struct token *token = token_of(service);
	uint64_t now = uv_now(&service->loop);
	bool is_due = last || !anchors->kept_ms || now - anchors->kept_ms >= HM_ANCHOR_TOKEN_SECONDS * UINT64_C(1000);
	if (!token || !is_due || anchors->is_keeping || !anchors->is_token_read)
		return;
	anchors->is_keeping = token_anchor_put(token, note, length);
	if (anchors->is_keeping)
		anchors->kept_ms = now;
}

bool anchors_wait(const struct service *service)
{
	return service->anchors->is_keeping;
}

/* ---- all ---- */

hm_result anchors_open(struct service *service, struct hm_problem *why)
{
	struct anchors *anchors = service->anchors = calloc(1, sizeof *anchors);
	if (!anchors)
		return hm_unavailable(why, "system", "no memory");
	anchors->service = service;
	anchors->work.data = anchors;
	anchors->is_token_read = !has_token(&service->config->ledger);
	HM_TRY(anchor_open(&service->config->ledger, &anchors->anchor, why));
	anchors->result =
		anchor_read(anchors->anchor, &anchors->unread); /* before anything is added to what may be old */
	anchors->is_read = anchors->result == HM_OK;
	if (anchors->result == HM_REFUSED)
		*why = anchors->unread;
	if (anchors->result == HM_UNAVAILABLE)
		set_fault(anchors, anchors->unread.detail);
	return anchors->result == HM_REFUSED ? HM_REFUSED : HM_OK;
}

void anchors_close(struct anchors *anchors)
{
	if (anchors)
		anchor_close(anchors->anchor);
	free(anchors);
}

void anchors_tick(struct service *service)
{
	struct token *token = token_of(service);
	read_again(service->anchors);
	if (!service->anchors->is_token_read && token)
		(void)!token_anchor_get(token); /* not ready, or asked already: with the next tick */
}

hm_result anchors_refusal(const struct service *service, struct hm_problem *why)
{
	const struct anchors *anchors = service->anchors;
	if (anchors->is_read && anchors->is_token_read)
		return HM_OK;
	return hm_unavailable(why, "ledger_unavailable", "%s",
		anchors->fault[0] ? anchors->fault : "its anchor has not told yet what it remembers");
}

const char *anchors_names(const struct config_ledger *ledger)
{
	static char names[sizeof ", file, store, token, witness"];
	const struct config_anchor *anchor = ledger->anchor;
	names[0] = 0;
	if (anchor)
		snprintf(names, sizeof names, "%s%s%s%s", anchor->file ? ", file" : "", anchor->store ? ", store" : "",
			anchor->token ? ", token" : "", anchor->witness ? ", witness" : "");
	return names[0] ? names + 2 : names;
}

const char *anchors_fault(const struct service *service)
{
	return service->anchors->fault;
}
