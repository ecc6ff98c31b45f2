/* SPDX-License-Identifier: Apache-2.0 */
#include "api_inside.h"

#include "api_query.h"
#include "clock_watch.h"
#include "credentials.h"
#include "governed.h"
#include "http_signature.h"
#include "ledger.h"
#include "ledger_heads.h"
#include "log.h"
#include "mint_reply.h"
#include "record.h"
#include "record_act.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	TRIES = 3,                          /* of an act that others came before */
	WAITING_MAX = HM_API_CALLS_MAX / 2, /* more that want to wait are answered at once */
	KEPT_FOR_OPERATORS = 64, /* a gate that was taken over keeps nobody at the control socket from revoking */
	LOOK_US = 50             /* a call that waits is looked at no oftener than this, for each that does */
};

/* A call on its way. */
struct work {
	TAILQ_ENTRY(work) link; /* in api->recording or api->waiting; one that is committed is the store's */
	struct api *api;
	const struct api_route *route;
	struct api_call call;
	char issuer[HM_NAME_MAX + 1], id[HM_API_ID_MAX + 1];
	const struct config_issuer
		*at;                  /* whose endpoint it came to; NULL: a path that is of no issuer. Until it runs */
	bool is_oauth;                /* it came to one: refused in the words of OAuth */
	uint64_t generation, request; /* who waits for the answer: gate's frame, */
	struct control_asker asker;   /* or with WAY_CONTROL an operator */
	unsigned tries;
	uint64_t ticket;   /* of its entry */
	uint64_t until_ms; /* it is waited for no longer */
};
TAILQ_HEAD(work_list, work);

struct api {
	struct service *service;
	const struct api_table *table;
	unsigned count;
	struct work_list recording, waiting;
	unsigned waiting_count;
	uint64_t looked_us; /* when those that wait were last run */
	bool is_changed;    /* and a row changed since then */
};

struct api *api_open_with(struct service *service, const struct api_table *table)
{
	struct api *api = calloc(1, sizeof *api);
	if (!api)
		return NULL;
	api->service = service;
	api->table = table;
	TAILQ_INIT(&api->recording);
	TAILQ_INIT(&api->waiting);
	return api;
}

/* ---- the end of a call ---- */

static void forget_outcome(struct api_call *call)
{
	json_decref(call->answer);
	json_decref(call->entry);
	changes_close(call->changes);
	call->answer = call->entry = NULL;
	call->changes = NULL;
	call->status = 0;
}

static void end(struct work *work)
{
	forget_outcome(&work->call);
	json_decref(work->call.query);
	json_decref(work->call.body);
	work->api->count--;
	free(work);
}

static void end_all(struct work_list *list)
{
	struct work *work;
	while ((work = TAILQ_FIRST(list))) {
		TAILQ_REMOVE(list, work, link);
		end(work);
	}
}

void api_close(struct api *api)
{
	if (!api)
		return;
	end_all(&api->recording);
	end_all(&api->waiting);
	free(api);
}

static void refuse(struct work *work, const struct hm_problem *why)
{
	struct service *service = work->api->service;
	const struct api_actor *actor = &work->call.actor;
	record_refused(service, NULL, &actor->caller, why->code);
	if (actor->way == WAY_CONTROL)
		control_refuse(service->control, &work->asker, why);
	else
		mint_refuse(service, work->generation, work->request, work->is_oauth ? OPERATION_TOKEN : OPERATION_API,
			why);
	end(work);
}

static void give_to_gate(struct work *work, const char *text, size_t length)
{
	struct service *service = work->api->service;
	struct gate_reply reply = {.status = (uint16_t)work->call.status,
		.content_type = "application/json",
		.body = {(const uint8_t *)text, length}};
	(void)gate_answer(service->gate, work->generation, work->request, &reply); /* false: nobody waits any more */
}

static json_t *whole_answer(struct work *work)
{
	json_t *body = work->call.answer ? json_incref(work->call.answer) : json_object();
	if (work->call.actor.way != WAY_CONTROL)
		return body;
	return json_pack("{s:b, s:i, s:o}", "ok", 1, "status", work->call.status, "body", body);
}

static void answer(struct work *work)
{
	struct hm_problem why;
	json_t *whole = whole_answer(work);
	char *text = json_dumps(whole, JSON_COMPACT);
	json_decref(whole);
	if (!text) {
		(void)!hm_broken(&why, "no memory for an answer");
		refuse(work, &why);
		return;
	}
	if (work->call.actor.way == WAY_CONTROL)
		control_answer(work->api->service->control, &work->asker, text, strlen(text));
	else
		give_to_gate(work, text, strlen(text));
	free(text);
	end(work);
}

/* ---- decided, committed, recorded ---- */

static void run(struct work *work);

static void record(struct work *work, uint64_t sequence)
{
	struct hm_problem why;
	struct service *service = work->api->service;
	work->ticket = record_act(service, &work->call, sequence);
	if (!work->ticket) {
		(void)!hm_broken(&why, "an act is committed and cannot be recorded: sequence %llu",
			(unsigned long long)sequence);
		refuse(work, &why);
	} else if (work->ticket <= ledger_durable(service->ledger)) {
		answer(work);
	} else {
		work->until_ms = uv_now(&service->loop) + HM_REQUEST_MS;
		TAILQ_INSERT_TAIL(&work->api->recording, work, link);
	}
}

static void on_committed(void *context, hm_result result, uint64_t sequence, const struct hm_problem *why)
{
	struct work *work = context;
	struct hm_problem busy;
	if (result == HM_OK) {
		record(work, sequence);
	} else if (result != HM_REFUSED) {
		refuse(work, why);
	} else if (++work->tries < TRIES) {
		run(work);
	} else {
		(void)!hm_overload(&busy, 1, "others changed the same again and again");
		refuse(work, &busy);
	}
}

static void commit(struct work *work)
{
	struct changes *changes = work->call.changes;
	struct hm_problem why;
	if (!work->call.entry || !work->call.entry_type) {
		(void)!hm_broken(&why, "%s changes something without an entry of it", work->route->path);
		refuse(work, &why);
		return;
	}
	work->call.changes = NULL; /* the store's now */
	store_commit(work->api->service->store, changes, on_committed, work);
}

static void wait_for_change(struct work *work)
{
	TAILQ_INSERT_TAIL(&work->api->waiting, work, link);
	work->api->waiting_count++;
}

/* Nothing is changed without a record of it, nor said to be so already by a view that may be of before. */
static hm_result check_act(const struct service *service, struct hm_problem *why)
{
	const char *fault = store_fault(service->store);
	if (service->stopping)
		return hm_unavailable(why, "shutting_down", "stopping");
	if (fault)
		return hm_unavailable(why, "store_unavailable", "%s", fault);
	HM_TRY(governed_is_fresh(service, why));
	return ledger_heads_refusal(service, why);
}

/* Anew each time, since configuration and rows may be others by now. */
static hm_result decide(struct work *work, struct hm_problem *why)
{
	struct service *service = work->api->service;
	struct api_call *call = &work->call;
	char issuer[HM_NAME_MAX + 1];
	HM_TRY(api_who_find(service->config, work->issuer, &call->actor, issuer, why));
	HM_TRY(api_who_check(work->route, &call->actor, why));
	if (work->route->is_act)
		HM_TRY(check_act(service, why));
	forget_outcome(call);
	call->now = clock_watch_time(service);
	call->is_last = work->until_ms <= uv_now(&service->loop) || work->api->waiting_count >= WAITING_MAX;
	HM_TRY(work->route->run(call, why));
	return call->status || !call->is_last ? HM_OK : hm_broken(why, "%s goes on waiting", work->route->path);
}

static void run(struct work *work)
{
	struct hm_problem why;
	if (decide(work, &why) != HM_OK)
		refuse(work, &why);
	else if (!work->call.status)
		wait_for_change(work);
	else if (work->call.changes)
		commit(work);
	else
		answer(work);
}

void api_recorded(struct api *api, uint64_t ticket)
{
	struct work *next;
	for (struct work *work = TAILQ_FIRST(&api->recording); work; work = next) {
		next = TAILQ_NEXT(work, link);
		if (work->ticket > ticket)
			continue;
		TAILQ_REMOVE(&api->recording, work, link);
		answer(work);
	}
}

/* ---- those that wait ---- */

/* One that has to wait on is put at the end again. */
static void look_at_waiting(struct api *api)
{
	struct work_list list = TAILQ_HEAD_INITIALIZER(list);
	struct work *work;
	TAILQ_CONCAT(&list, &api->waiting, link);
	api->waiting_count = 0;
	api->is_changed = false;
	api->looked_us = uv_hrtime() / 1000;
	while ((work = TAILQ_FIRST(&list))) {
		TAILQ_REMOVE(&list, work, link);
		run(work);
	}
}

/* Many that wait are not run for each of many rows. */
void api_rows_changed(struct api *api)
{
	api->is_changed = true;
	if (api->waiting_count && uv_hrtime() / 1000 - api->looked_us >= (uint64_t)api->waiting_count * LOOK_US)
		look_at_waiting(api);
}

static bool is_over(const struct work *work)
{
	return work->until_ms <= uv_now(&work->api->service->loop);
}

/* They are committed, and will be recorded; but nobody is told so before. */
static void refuse_unrecorded(struct api *api)
{
	static const struct hm_problem late = {
		.code = "ledger_unavailable", .detail = "it is done, and its entry is not on stable storage yet"};
	struct work *next;
	for (struct work *work = TAILQ_FIRST(&api->recording); work; work = next) {
		next = TAILQ_NEXT(work, link);
		if (!is_over(work))
			continue;
		TAILQ_REMOVE(&api->recording, work, link);
		refuse(work, &late);
	}
}

void api_tick(struct api *api)
{
	bool has_to_look = api->is_changed;
	struct work *work;
	TAILQ_FOREACH(work, &api->waiting, link)
	has_to_look |= is_over(work);
	if (has_to_look)
		look_at_waiting(api);
	api_recorded(api, ledger_durable(api->service->ledger));
	refuse_unrecorded(api);
}

/* ---- the way in ---- */

/* Of ISSUER/oauth2/introspect what the table has, and the issuer. One whose URL has no path has the table's own paths,
 * where it may be named like the others. */
static const char *strip_issuer(struct work *work, const char *path)
{
	static const char below[] = "/oauth2/";
	const struct config *config = work->api->service->config;
	work->is_oauth = path[0] && strstr(path + 1, below);
	for (unsigned i = 0; work->is_oauth && i < config->issuers_count; i++) {
		size_t length = strlen(config->issuers[i].path);
		if (!length || strncmp(path, config->issuers[i].path, length) != 0 ||
			strncmp(path + length, below, sizeof below - 1) != 0)
			continue;
		work->at = &config->issuers[i];
		return path + length;
	}
	return path;
}

static hm_result find_route(struct work *work, const char *method, const char *target, struct hm_problem *why)
{
	char path[HM_API_PATH_MAX + 1];
	size_t length = strcspn(target, "?");
	const char *query = target[length] ? target + length + 1 : "";
	if (length > HM_API_PATH_MAX)
		return hm_refuse(why, "not_found", NULL, "a path of the API");
	memcpy(path, target, length);
	path[length] = 0;
	HM_TRY(api_table_find(work->api->table, method, strip_issuer(work, path), &work->route, work->id, why));
	work->call.id = work->id[0] ? work->id : NULL;
	return api_words_query(work->route, query, &work->call.query, why);
}

/* What it says is there: who may say it at which issuer is looked up, and by `run` again. */
static hm_result find_issuer(struct work *work, struct hm_problem *why)
{
	struct service *service = work->api->service;
	char wanted[HM_NAME_MAX + 1];
	unsigned seconds;
	bool named;
	HM_TRY(api_words_issuer(work->call.query, work->call.body, wanted, &named, why));
	const char *name = work->at ? work->at->name : named ? wanted : NULL;
	hm_result known = api_who_find(service->config, name, &work->call.actor, work->issuer, why);
	if (known == HM_REFUSED && work->at) /* to OAuth that is a client that is none here, not a name that is wrong */
		return hm_refuse(why, "unknown_caller", NULL, "a caller of this issuer");
	HM_TRY(known);
	work->call.issuer = work->issuer;
	HM_TRY(api_query_wait(&work->call, &seconds, why));
	work->until_ms = uv_now(&service->loop) + seconds * 1000;
	return HM_OK;
}

static const struct api_route no_route = {.path = ""}; /* until it is found */

static struct work *begin(struct api *api, enum api_way way, struct hm_problem *why)
{
	unsigned most = way == WAY_CONTROL ? HM_API_CALLS_MAX : HM_API_CALLS_MAX - KEPT_FOR_OPERATORS;
	struct work *work = api->count < most ? calloc(1, sizeof *work) : NULL;
	if (!work) {
		(void)!hm_overload(why, 1, "as many calls are on their way as may");
		return NULL;
	}
	api->count++;
	work->api = api;
	work->route = &no_route;
	work->call.service = api->service;
	work->call.actor.way = way;
	return work;
}

static hm_result prove(struct work *work, const struct gate_request *request, struct hm_problem *why)
{
	struct service *service = work->api->service;
	struct api_actor *actor = &work->call.actor;
	if (!http_signature_is_there(&request->call))
		return HM_OK;
	const char *trust = credentials_trust(&service->sockets);
	if (!trust)
		return hm_refuse(why, "signature_refused", "certificate", "HTTPS with a client certificate");
	struct gate_caller claimed = actor->caller;
	hm_result result =
		http_signature_verify(service->nonces, trust, request, clock_watch_time(service), &actor->caller, why);
	if (result == HM_OK)
		actor->way = WAY_SIGNED;
	else
		actor->caller = claimed;
	return result;
}

static hm_result read_gate_request(struct work *work, const struct gate_request *request, struct hm_problem *why)
{
	const struct gate_call *call = &request->call;
	work->call.actor.caller = request->caller;
	HM_TRY(find_route(work, call->method, call->target, why));
	if (request->body.length && call->is_form != work->route->is_form)
		return hm_refuse(why, "unsupported_media_type", NULL, work->route->is_form ? "a form" : "JSON");
	HM_TRY(prove(work, request, why));
	HM_TRY(api_words_body(work->route, request->body, &work->call.body, why));
	return find_issuer(work, why);
}

void api_gate_request(struct api *api, uint64_t id, const struct gate_request *request)
{
	struct hm_problem why;
	struct service *service = api->service;
	struct work *work = begin(api, WAY_GATE, &why);
	if (!work) {
		mint_refuse(service, gate_generation(service->gate), id, OPERATION_API, &why);
		return;
	}
	work->generation = gate_generation(service->gate);
	work->request = id;
	if (read_gate_request(work, request, &why) == HM_OK)
		run(work);
	else
		refuse(work, &why);
}

static hm_result read_control_request(struct work *work, const json_t *request, struct hm_problem *why)
{
	const char *method = json_string_value(json_object_get(request, "method"));
	const char *path = json_string_value(json_object_get(request, "path"));
	json_t *body = json_object_get(request, "body");
	if (!method || !path)
		return hm_refuse(why, "missing_member", method ? "path" : "method", "method and path as over HTTP");
	if (body && !json_is_object(body))
		return hm_refuse(why, "wrong_type", "body", "an object");
	HM_TRY(find_route(work, method, path, why));
	work->call.body = json_incref(body);
	return find_issuer(work, why);
}

/* It is always answered through control_answer, though that may be at once. */
hm_result api_control_request(
	struct api *api, uint32_t uid, const json_t *request, const struct control_asker *asker, struct hm_problem *why)
{
	struct work *work = begin(api, WAY_CONTROL, why);
	if (!work)
		return HM_UNAVAILABLE;
	work->asker = *asker;
	work->call.actor.caller = (struct gate_caller){.kind = CALLER_UNIX, .uid = uid};
	hm_result result = read_control_request(work, request, why);
	if (result == HM_OK)
		run(work);
	else
		end(work);
	return result;
}
