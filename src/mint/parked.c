/* SPDX-License-Identifier: Apache-2.0 */
#include "parked.h"

#include "engine.h"
#include "ledger.h"
#include "mint.h"
#include "mint_reply.h"
#include "record.h"
#include "record_born.h"
#include "service.h"
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

enum { TRIES_MOST = 8 }; /* commits for one request, each after another's act came first */

struct parked {
	TAILQ_ENTRY(parked) link;
	struct parked_lot *lot;
	struct parked_request about;
	bool is_answered; /* its time was over before the store's answer */
	uint64_t ticket;  /* of what it is answered with, when that is recorded; 0: it waits for something else */
	struct gate_request request;
	uint8_t *body; /* the request's */
};
TAILQ_HEAD(parked_list, parked);

struct parked_lot {
	struct service *service;
	struct parked_list waiting;
	unsigned count;
};

struct parked_lot *parked_open(struct service *service)
{
	struct parked_lot *lot = calloc(1, sizeof *lot);
	if (!lot)
		return NULL;
	lot->service = service;
	TAILQ_INIT(&lot->waiting);
	return lot;
}

static void release(struct parked *parked)
{
	TAILQ_REMOVE(&parked->lot->waiting, parked, link);
	parked->lot->count--;
	free(parked->body);
	free(parked);
}

void parked_close(struct parked_lot *lot)
{
	struct parked *parked;
	while (lot && (parked = TAILQ_FIRST(&lot->waiting)))
		release(parked);
	free(lot);
}

unsigned parked_count(const struct parked_lot *lot)
{
	return lot->count;
}

/* ---- what came of it ---- */

static void refuse(struct parked *parked, const struct hm_problem *why)
{
	struct service *service = parked->lot->service;
	if (!parked->is_answered)
		mint_refuse(service, parked->about.generation, parked->about.id, parked->request.operation, why);
	parked->is_answered = true;
}

static void tell_of_lease(const struct parked_lot *lot, const struct parked_acts *acts, uint64_t sequence)
{
	status_lists_leased(lot->service->status_lists, acts->issuer, &acts->lease, sequence);
}

/* Another act that came first is no reason to refuse: what it changed is known now. */
static void on_committed(void *context, hm_result result, uint64_t sequence, const struct hm_problem *why)
{
	struct parked *parked = context;
	struct service *service = parked->lot->service;
	bool is_conflict = result == HM_REFUSED;
	tell_of_lease(parked->lot, &parked->about.acts, result == HM_OK ? sequence : 0);
	if (result == HM_OK)
		parked->ticket = record_born(service, &parked->about.acts, sequence);
	if (parked->ticket && parked->about.acts.approval && parked->ticket > ledger_durable(service->ledger))
		return; /* who is told of it may rely on it: parked_recorded answers */
	if (!is_conflict && result != HM_OK)
		refuse(parked, why);
	if (!parked->is_answered) {
		if (is_conflict) {
			parked->about.granted = parked->about.before;
			parked->about.acts = (struct parked_acts){0};
		}
		mint_again(service, &parked->about, &parked->request);
	}
	release(parked);
}

void parked_recorded(struct parked_lot *lot, uint64_t ticket)
{
	struct parked *next;
	for (struct parked *parked = TAILQ_FIRST(&lot->waiting); parked; parked = next) {
		next = TAILQ_NEXT(parked, link);
		if (!parked->ticket || parked->ticket > ticket)
			continue;
		if (!parked->is_answered)
			mint_again(lot->service, &parked->about, &parked->request);
		release(parked);
	}
}

/* ---- in ---- */

static struct parked *copy(
	struct parked_lot *lot, const struct parked_request *about, const struct gate_request *request)
{
	struct parked *parked = calloc(1, sizeof *parked);
	uint8_t *body = parked ? malloc(request->body.length) : NULL;
	if (!body) {
		free(parked);
		return NULL;
	}
	memcpy(body, request->body.data, request->body.length);
	*parked = (struct parked){.lot = lot, .about = *about, .request = *request, .body = body};
	parked->request.body.data = body;
	parked->request.call.certificates = (struct hm_bytes){0}; /* were read: struct proof */
	return parked;
}

/* NULL: there is no room for it. */
static struct parked *park(
	struct parked_lot *lot, const struct parked_request *about, const struct gate_request *request)
{
	bool has_room = lot->count < HM_PARKED_MAX && about->tries < TRIES_MOST;
	struct parked *parked = has_room ? copy(lot, about, request) : NULL;
	if (!parked)
		return NULL;
	parked->about.tries++;
	TAILQ_INSERT_TAIL(&lot->waiting, parked, link);
	lot->count++;
	return parked;
}

hm_result parked_commit(struct parked_lot *lot, const struct parked_request *about, const struct gate_request *request,
	struct changes *changes, struct hm_problem *why)
{
	struct parked *parked = park(lot, about, request);
	if (!parked) {
		changes_close(changes);
		tell_of_lease(lot, &about->acts, 0);
		return hm_overload(why, 1, "too many requests wait for the store");
	}
	store_commit(lot->service->store, changes, on_committed, parked);
	return HM_OK;
}

/* Who was decided for; NULL: a reload has removed it. */
static const struct config_caller *caller_of(const struct parked *parked)
{
	const struct config *config = parked->lot->service->config;
	const struct parked_acts *acts = &parked->about.acts;
	for (unsigned i = 0; i < config->callers_count; i++)
		if (strcmp(config->callers[i].name, acts->caller) == 0 &&
			strcmp(config->callers[i].issuer, acts->issuer) == 0)
			return &config->callers[i];
	return NULL;
}

static void on_decided(void *context, hm_result result, const char *id, const struct hm_problem *why)
{
	struct parked *parked = context;
	struct service *service = parked->lot->service;
	if (result != HM_OK) {
		record_refused(service, caller_of(parked), &parked->request.caller, why->code);
		refuse(parked, why);
	} else if (!parked->is_answered) {
		parked->about.granted.engine = true;
		memcpy(parked->about.granted.decision_id, id, strlen(id) + 1); /* engine.c checked its length */
		mint_again(service, &parked->about, &parked->request);
	}
	release(parked);
}

hm_result parked_ask(struct parked_lot *lot, const struct parked_request *about, const struct gate_request *request,
	const struct decision *decision, const struct mint_request *asked, struct hm_problem *why)
{
	struct parked *parked = park(lot, about, request);
	if (!parked)
		return hm_overload(why, 1, "too many requests wait for the outside decision point");
	hm_result result = engine_ask(lot->service->engine, decision, asked, on_decided, parked, why);
	if (result != HM_OK)
		release(parked);
	return result;
}

void parked_tick(struct parked_lot *lot)
{
	static const struct hm_problem late = {.code = "deadline"};
	struct parked *parked;
	uint64_t now = uv_now(&lot->service->loop);
	TAILQ_FOREACH(parked, &lot->waiting, link)
	if (parked->about.deadline_ms <= now)
		refuse(parked, &late);
}
