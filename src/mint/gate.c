/* SPDX-License-Identifier: Apache-2.0 */
#include "gate.h"

#include "child.h"
#include "log.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	BACKOFF_FIRST_MS = 50, /* after a gate that never became ready; doubles */
	BACKOFF_MAX_MS = 5 * 1000,
	START_MS = 30 * 1000
};

struct gate {
	uv_loop_t *loop;
	uv_timer_t timer;
	struct child *child; /* NULL between two processes */
	struct gate_sockets sockets;
	const struct publications *publications;
	struct gate_events events;
	struct gate_ready ready;
	struct gate_stats stats;
	bool is_ready, ending;
	unsigned vain_starts, unanswered; /* configurations that were sent */
	uint64_t generation;
	uint64_t down_until_ms; /* no process is started before */
};

/* ---- what it says ---- */

static hm_result take_ready(struct gate *gate, struct hm_reader *reader)
{
	struct gate_ready ready;
	if (!gate->unanswered || !gate_ready_get(reader, &ready))
		return HM_REFUSED;
	gate->unanswered--;
	if (ready.accepted) {
		gate->ready = ready;
		gate->is_ready = true;
		gate->vain_starts = 0;
		if (!gate->ending) /* then the timer limits the drain */
			uv_timer_stop(&gate->timer);
	}
	gate->events.ready(gate->events.context, &ready);
	return HM_OK;
}

static hm_result take_frame(void *context, struct hm_frame *frame)
{
	struct gate *gate = context;
	struct gate_request request;
	struct hm_reader reader = hm_reader(frame->payload, frame->length);
	if (frame->type == HM_GATE_READY)
		return take_ready(gate, &reader);
	if (!gate->is_ready)
		return HM_REFUSED;
	switch (frame->type) {
	case HM_GATE_STATS:
		return gate_stats_get(&reader, &gate->stats) ? HM_OK : HM_REFUSED;
	case HM_GATE_REQUEST:
		if (!gate_request_get(&reader, &request))
			return HM_REFUSED;
		gate->events.request(gate->events.context, frame->id, &request);
		return HM_OK;
	default:
		return HM_REFUSED;
	}
}

/* ---- its process ---- */

static hm_result send_config(struct gate *gate, bool first)
{
	uint8_t payload[16];
	int fds[5];
	unsigned count = 0;
	const struct gate_sockets *sockets = &gate->sockets;
	struct gate_config config = {.sandbox = (uint8_t)sockets->sandbox,
		.has_unix = first && sockets->unix_socket >= 0,
		.has_tcp = first && sockets->tcp_socket >= 0,
		.has_tls = sockets->certificate >= 0};
	if (config.has_unix)
		fds[count++] = sockets->unix_socket;
	if (config.has_tcp)
		fds[count++] = sockets->tcp_socket;
	if (config.has_tls) {
		fds[count++] = sockets->certificate;
		fds[count++] = sockets->key;
		fds[count++] = sockets->trust;
	}
	struct hm_writer w = hm_writer(payload, sizeof payload);
	gate_config_put(&w, &config);
	gate->unanswered++;
	return child_queue(gate->child, HM_GATE_CONFIG, 0, payload, w.used, fds, count);
}

static void publish(void *context, const struct gate_publish *publication)
{
	gate_publish_one(context, publication);
}

static void start_process(struct gate *gate);

static void on_start_timer(uv_timer_t *timer)
{
	start_process(timer->data);
}

static void on_ready_timer(uv_timer_t *timer)
{
	struct gate *gate = timer->data;
	hm_log(HM_ERROR, "gate_stuck", "pid=%d", (int)child_pid(gate->child));
	child_kill(gate->child);
}

static uint64_t down_for(const struct gate *gate)
{
	uint64_t now = uv_now(gate->loop);
	return gate->down_until_ms > now ? gate->down_until_ms - now : 0;
}

static void start_later(struct gate *gate)
{
	uint64_t wait =
		gate->vain_starts ? (uint64_t)BACKOFF_FIRST_MS << (gate->vain_starts > 7 ? 7 : gate->vain_starts) : 0;
	wait = wait < BACKOFF_MAX_MS ? wait : BACKOFF_MAX_MS;
	uv_timer_start(&gate->timer, on_start_timer, wait > down_for(gate) ? wait : down_for(gate), 0);
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct gate *gate = handle->data;
	gate->events.ended(gate->events.context);
	free(gate);
}

static void on_process_ended(void *context, const char *how)
{
	struct gate *gate = context;
	hm_log(gate->ending ? HM_INFO : HM_WARNING, "gate_ended", "how=\"%s\"", how);
	gate->child = NULL;
	gate->vain_starts = gate->is_ready ? 0 : gate->vain_starts + 1;
	gate->is_ready = false;
	gate->stats = (struct gate_stats){0};
	if (gate->ending)
		uv_close((uv_handle_t *)&gate->timer, on_timer_closed);
	else
		start_later(gate);
}

static void start_process(struct gate *gate)
{
	struct hm_problem why;
	struct child_events events = {take_frame, on_process_ended, gate};
	gate->generation++;
	gate->unanswered = 0;
	if (child_start(gate->loop, "hsmint-gate", &events, &gate->child, &why) != HM_OK) {
		hm_log(HM_ERROR, "gate_not_started", "detail=\"%s\"", why.detail);
		gate->vain_starts++;
		start_later(gate);
		return;
	}
	uv_timer_start(&gate->timer, on_ready_timer, START_MS, 0);
	if (send_config(gate, true) != HM_OK)
		child_kill(gate->child);
	publications_each(gate->publications, publish, gate);
}

struct gate *gate_start(uv_loop_t *loop, const struct gate_sockets *sockets, const struct publications *publications,
	const struct gate_events *events)
{
	struct gate *gate = calloc(1, sizeof *gate);
	if (!gate)
		return NULL;
	gate->loop = loop;
	gate->sockets = *sockets;
	gate->publications = publications;
	gate->events = *events;
	uv_timer_init(loop, &gate->timer);
	gate->timer.data = gate;
	start_process(gate);
	return gate;
}

uint64_t gate_generation(const struct gate *gate)
{
	return gate->generation;
}

static bool queue_reply(struct gate *gate, uint64_t id, const struct hm_writer *w)
{
	return child_queue(gate->child, HM_GATE_REPLY, id, w->data, w->used, NULL, 0) == HM_OK;
}

bool gate_answer(struct gate *gate, uint64_t generation, uint64_t id, const struct gate_reply *reply)
{
	uint8_t inline_room[32 * 1024];
	uint8_t *room = inline_room;
	size_t size = reply->body.length + sizeof *reply;
	if (!gate || !gate->child || generation != gate->generation)
		return false;
	if (size > sizeof inline_room && !(room = malloc(size)))
		return false; /* gate's own time limit answers */
	struct hm_writer w = hm_writer(room, room == inline_room ? sizeof inline_room : size);
	gate_reply_put(&w, reply);
	bool is_queued =
		!w.failed && (queue_reply(gate, id, &w) || (child_flush(gate->child), queue_reply(gate, id, &w)));
	if (!is_queued)
		child_kill(gate->child); /* it does not read: its connections are lost anyway */
	if (room != inline_room)
		free(room);
	return is_queued;
}

void gate_publish_one(struct gate *gate, const struct gate_publish *publication)
{
	size_t size = publication->body.length + sizeof *publication;
	if (!gate->child)
		return; /* the next one gets them all */
	uint8_t *room = malloc(size);
	struct hm_writer w = hm_writer(room, room ? size : 0);
	gate_publish_put(&w, publication);
	if (w.failed || child_queue(gate->child, HM_GATE_PUBLISH, 0, room, w.used, NULL, 0) != HM_OK)
		child_kill(gate->child); /* rather none than one that serves what is old */
	free(room);
}

void gate_keep(struct gate *gate, const struct gate_sockets *sockets)
{
	gate->sockets = *sockets;
}

void gate_reconfigure(struct gate *gate, const struct gate_sockets *sockets)
{
	gate->sockets = *sockets;
	if (gate->child && send_config(gate, false) != HM_OK)
		child_kill(gate->child);
}

bool gate_flush(struct gate *gate)
{
	return child_flush(gate->child);
}

void gate_drain(struct gate *gate)
{
	gate->ending = true;
	if (!gate->child) {
		gate_end(gate);
		return;
	}
	uv_timer_start(&gate->timer, on_ready_timer, (HM_HTTP_DRAIN_SECONDS + 1) * 1000, 0);
	child_let_end(gate->child);
	if (child_queue(gate->child, HM_GATE_DRAIN, 0, NULL, 0, NULL, 0) != HM_OK)
		child_kill(gate->child);
}

void gate_end(struct gate *gate)
{
	gate->ending = true;
	uv_timer_stop(&gate->timer);
	if (gate->child)
		child_kill(gate->child);
	else
		uv_close((uv_handle_t *)&gate->timer, on_timer_closed);
}

void gate_down(struct gate *gate, uint64_t ms)
{
	if (gate->ending)
		return;
	gate->down_until_ms = uv_now(gate->loop) + ms;
	if (gate->child)
		child_kill(gate->child);
	else
		start_later(gate);
}

void gate_up(struct gate *gate)
{
	bool is_held = !gate->child && !gate->ending && down_for(gate);
	gate->down_until_ms = 0;
	if (is_held)
		start_later(gate);
}

struct gate_facts gate_facts(const struct gate *gate)
{
	return (struct gate_facts){.ready = gate->is_ready,
		.pid = gate->child ? (int)child_pid(gate->child) : 0,
		.restarts = (unsigned)gate->generation - 1,
		.unanswered = gate->unanswered,
		.sandbox = gate->ready.sandbox,
		.stats = gate->stats};
}
