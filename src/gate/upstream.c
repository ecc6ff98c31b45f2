/* SPDX-License-Identifier: Apache-2.0 */
#include "upstream.h"

#include <stdlib.h>

enum {
	GRACE_MS = 1000, /* mint's own limit comes first, so that its reason is told */
	CALLER_ROOM = 4096,
};

struct waiting {
	uint64_t id; /* 0: free */
	uint64_t deadline_ms;
	struct request *request;
};

struct upstream {
	struct channel *channel;
	upstream_answer *answer;
	uint64_t serial;
	unsigned free_count;
	uint16_t free[HM_HTTP_MAX_IN_FLIGHT];
	struct waiting waiting[HM_HTTP_MAX_IN_FLIGHT]; /* at its id modulo the size */
	uint8_t frame[HM_HTTP_MAX_BODY + CALLER_ROOM]; /* written and queued at once */
};

struct upstream *upstream_open(struct channel *channel, upstream_answer *answer)
{
	struct upstream *upstream = calloc(1, sizeof *upstream);
	if (!upstream)
		return NULL;
	upstream->channel = channel;
	upstream->answer = answer;
	for (unsigned i = 0; i < HM_HTTP_MAX_IN_FLIGHT; i++)
		upstream->free[upstream->free_count++] = (uint16_t)(HM_HTTP_MAX_IN_FLIGHT - 1 - i);
	return upstream;
}

void upstream_close(struct upstream *upstream)
{
	free(upstream);
}

unsigned upstream_in_flight(const struct upstream *upstream)
{
	return HM_HTTP_MAX_IN_FLIGHT - upstream->free_count;
}

hm_result upstream_ask(struct upstream *upstream, const struct gate_request *ask, struct request *request,
	uint64_t now_ms, struct hm_problem *why)
{
	struct hm_writer w = hm_writer(upstream->frame, sizeof upstream->frame);
	if (!upstream->free_count)
		return hm_unavailable(why, "overload", "%d requests are with mint", HM_HTTP_MAX_IN_FLIGHT);
	gate_request_put(&w, ask);
	unsigned slot = upstream->free[upstream->free_count - 1];
	uint64_t id = ++upstream->serial * HM_HTTP_MAX_IN_FLIGHT + slot;
	if (w.failed || channel_queue(upstream->channel, HM_GATE_REQUEST, id, w.data, w.used, NULL, 0) != HM_OK)
		return hm_unavailable(why, "overload", "mint does not read");
	upstream->free_count--;
	upstream->waiting[slot] =
		(struct waiting){.id = id, .deadline_ms = now_ms + HM_REQUEST_MS + GRACE_MS, .request = request};
	return HM_OK;
}

static struct request *let_go(struct upstream *upstream, unsigned slot)
{
	struct request *request = upstream->waiting[slot].request;
	upstream->waiting[slot] = (struct waiting){0};
	upstream->free[upstream->free_count++] = (uint16_t)slot;
	return request;
}

hm_result upstream_take(struct upstream *upstream, const struct hm_frame *frame)
{
	struct gate_reply reply;
	struct hm_reader reader = hm_reader(frame->payload, frame->length);
	if (!gate_reply_get(&reader, &reply))
		return HM_REFUSED;
	unsigned slot = (unsigned)(frame->id % HM_HTTP_MAX_IN_FLIGHT);
	if (frame->id && upstream->waiting[slot].id == frame->id)
		upstream->answer(let_go(upstream, slot), &reply, NULL);
	return HM_OK;
}

static void end_those_due(struct upstream *upstream, uint64_t now_ms, const struct hm_problem *why)
{
	for (unsigned slot = 0; slot < HM_HTTP_MAX_IN_FLIGHT; slot++)
		if (upstream->waiting[slot].id && upstream->waiting[slot].deadline_ms <= now_ms)
			upstream->answer(let_go(upstream, slot), NULL, why);
}

void upstream_expire(struct upstream *upstream, uint64_t now_ms)
{
	static const struct hm_problem late = {.code = "deadline"};
	end_those_due(upstream, now_ms, &late);
}

void upstream_give_up(struct upstream *upstream)
{
	static const struct hm_problem leaving = {.code = "shutting_down"};
	end_those_due(upstream, UINT64_MAX, &leaving);
}
