/* SPDX-License-Identifier: Apache-2.0 */
#include "upstream.h"

#include <stdlib.h>
#include <string.h>

enum {
	/* mint's own limit comes first, so that its reason is told */
	GRACE_MS = 1000,
	WAIT_MS = HM_WAIT_SECONDS_MAX * 1000, /* a call may ask mint to wait */
	GRACE_DEADLINE_MS = 10,               /* after a client's own deadline, when mint does not answer at all */
	CALLER_ROOM = 3072,                   /* and the key, and what else a request's frame holds */
	OWN = 2 * HM_HTTP_MAX_CONNECTIONS,
	SLOTS = OWN + HM_BATCH_ITEMS_IN_FLIGHT
};

struct waiting {
	uint64_t id; /* 0: free */
	uint64_t deadline_ms;
	struct request *request;
	unsigned item;
};

struct stack {
	unsigned count;
	uint16_t slot[SLOTS];
};

struct upstream {
	struct channel *channel;
	upstream_answer *answer;
	uint64_t serial;
	uint64_t next_ms;                              /* nothing is due before */
	struct stack own, shared;                      /* free slots: below OWN, and the others */
	struct waiting waiting[SLOTS];                 /* at its id modulo SLOTS */
	uint8_t frame[HM_HTTP_MAX_BODY + CALLER_ROOM]; /* written and queued at once */
};

static void free_slot(struct upstream *upstream, unsigned slot)
{
	struct stack *stack = slot < OWN ? &upstream->own : &upstream->shared;
	stack->slot[stack->count++] = (uint16_t)slot;
}

struct upstream *upstream_open(struct channel *channel, upstream_answer *answer)
{
	struct upstream *upstream = calloc(1, sizeof *upstream);
	if (!upstream)
		return NULL;
	upstream->channel = channel;
	upstream->answer = answer;
	upstream->next_ms = UINT64_MAX;
	for (unsigned i = SLOTS; i-- > 0;)
		free_slot(upstream, i);
	return upstream;
}

void upstream_close(struct upstream *upstream)
{
	free(upstream);
}

unsigned upstream_in_flight(const struct upstream *upstream)
{
	return SLOTS - upstream->own.count - upstream->shared.count;
}

static uint64_t due_ms(const struct gate_request *ask, uint64_t now_ms)
{
	bool may_wait = ask->operation == OPERATION_API && strchr(ask->call.target, '?');
	uint64_t limit = now_ms + HM_REQUEST_MS + GRACE_MS + (may_wait ? WAIT_MS : 0);
	uint64_t wanted = ask->deadline_ms + GRACE_DEADLINE_MS;
	return ask->deadline_ms && wanted < limit ? wanted : limit;
}

/* What waits to be sent may make room when it is sent now. */
static hm_result queue(struct upstream *upstream, uint64_t id, const struct hm_writer *w)
{
	struct channel *channel = upstream->channel;
	if (channel_queue(channel, HM_GATE_REQUEST, id, w->data, w->used, NULL, 0) == HM_OK)
		return HM_OK;
	HM_TRY(channel_flush(channel));
	return channel_queue(channel, HM_GATE_REQUEST, id, w->data, w->used, NULL, 0);
}

static bool write_and_queue(struct upstream *upstream, uint64_t id, const struct gate_request *ask)
{
	size_t size = gate_request_has_call(ask) ? sizeof *ask + ask->call.certificates.length + ask->body.length : 0;
	uint8_t *room = size > sizeof upstream->frame ? malloc(size) : upstream->frame;
	struct hm_writer w = hm_writer(room, !room ? 0 : room == upstream->frame ? sizeof upstream->frame : size);
	gate_request_put(&w, ask);
	bool is_queued = !w.failed && queue(upstream, id, &w) == HM_OK;
	if (room != upstream->frame)
		free(room);
	return is_queued;
}

hm_result upstream_ask(struct upstream *upstream, const struct gate_request *ask, struct request *request,
	unsigned item, bool more, uint64_t now_ms, struct hm_problem *why)
{
	struct stack *stack = more ? &upstream->shared : &upstream->own;
	if (!stack->count)
		return hm_unavailable(why, "overload", "all places are with mint");
	unsigned slot = stack->slot[stack->count - 1];
	uint64_t id = ++upstream->serial * SLOTS + slot;
	if (!write_and_queue(upstream, id, ask))
		return hm_unavailable(why, "overload", "mint does not read");
	stack->count--;
	upstream->waiting[slot] = (struct waiting){id, due_ms(ask, now_ms), request, item};
	if (upstream->waiting[slot].deadline_ms < upstream->next_ms)
		upstream->next_ms = upstream->waiting[slot].deadline_ms;
	return HM_OK;
}

static struct waiting let_go(struct upstream *upstream, unsigned slot)
{
	struct waiting waiting = upstream->waiting[slot];
	upstream->waiting[slot] = (struct waiting){0};
	free_slot(upstream, slot);
	return waiting;
}

static void answer(
	struct upstream *upstream, unsigned slot, const struct gate_reply *reply, const struct hm_problem *why)
{
	struct waiting waiting = let_go(upstream, slot);
	upstream->answer(waiting.request, waiting.item, reply, why);
}

hm_result upstream_take(struct upstream *upstream, const struct hm_frame *frame)
{
	struct gate_reply reply;
	struct hm_reader reader = hm_reader(frame->payload, frame->length);
	if (!gate_reply_get(&reader, &reply))
		return HM_REFUSED;
	unsigned slot = (unsigned)(frame->id % SLOTS);
	if (frame->id && upstream->waiting[slot].id == frame->id)
		answer(upstream, slot, &reply, NULL);
	return HM_OK;
}

/* What is asked for while the others are answered is not due yet, and may stand anywhere. */
static void end_those_due(struct upstream *upstream, uint64_t now_ms, const struct hm_problem *why)
{
	upstream->next_ms = UINT64_MAX;
	for (unsigned slot = 0; slot < SLOTS; slot++) {
		const struct waiting *waiting = &upstream->waiting[slot];
		if (waiting->id && waiting->deadline_ms <= now_ms)
			answer(upstream, slot, NULL, why);
		if (waiting->id && waiting->deadline_ms < upstream->next_ms)
			upstream->next_ms = waiting->deadline_ms;
	}
}

void upstream_expire(struct upstream *upstream, uint64_t now_ms)
{
	static const struct hm_problem late = {.code = "deadline"};
	if (upstream->next_ms <= now_ms)
		end_those_due(upstream, now_ms, &late);
}

uint64_t upstream_next_ms(const struct upstream *upstream)
{
	return upstream->next_ms;
}

void upstream_give_up(struct upstream *upstream)
{
	static const struct hm_problem leaving = {.code = "shutting_down"};
	end_those_due(upstream, UINT64_MAX, &leaving);
}
