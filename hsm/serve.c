/* SPDX-License-Identifier: Apache-2.0 */
#include "serve.h"

#include "log.h"
#include "worker.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool take_parts(struct hm_frame *frame, const struct token_config *config, struct pin_parts *parts)
{
	if (frame->fd_count && frame->fd_count != config->custodian_count)
		return false;
	memcpy(parts->fds, frame->fds, sizeof(int) * frame->fd_count);
	parts->count = frame->fd_count;
	frame->fd_count = 0;
	return true;
}

bool serve_receive_config(struct token_config *config, struct pin_parts *parts)
{
	static uint8_t buffer[HM_FRAME_HEADER + HM_FRAME_MAX_INLINE];
	char name[sizeof config->name + 16];
	struct hm_frame frame;
	if (frame_receive(HM_CHILD_FD, buffer, sizeof buffer, &frame) != HM_OK)
		return false;
	struct hm_reader reader = hm_reader(frame.payload, frame.length);
	bool good =
		frame.type == HM_TOKEN_CONFIG && token_config_get(&reader, config) && take_parts(&frame, config, parts);
	frame_done(&frame);
	snprintf(name, sizeof name, "token/%s", good ? config->name : "");
	hm_log_open(name);
	return good;
}

/* A token may have fewer sessions than it told, or others use them: the threads that get none go on asking. */
static hm_result open_workers(struct room *room, struct worker *workers, struct token_failure *why)
{
	hm_result result = HM_OK;
	for (unsigned i = 0; i < room->threads; i++)
		workers[i] = (struct worker){.room = room, .session = CK_INVALID_HANDLE};
	for (unsigned i = 0; i < room->threads && result == HM_OK; i++)
		result = room_open_session(room, &workers[i].session, why);
	unsigned open = atomic_load(&room->open);
	if (result == HM_OK || why->class != TOKEN_PRESSURE || !open)
		return result;
	hm_log(HM_WARNING, "fewer_sessions", "sessions=%u threads=%u detail=\"%s\"", open, room->threads, why->detail);
	return HM_OK;
}

static hm_result describe(const struct room *room, struct token_ready *ready, struct token_failure *why)
{
	HM_TRY(module_describe(&room->module, ready, why));
	ready->threads = room->threads;
	ready->probe_us = room->probe_us;
	memcpy(ready->epoch, room->tallies.epoch, sizeof ready->epoch);
	ready->key_count = room->config->key_count;
	for (uint32_t i = 0; i < ready->key_count; i++)
		ready->keys[i] = room->keys[i].shown;
	return HM_OK;
}

static hm_result say_ready(const struct room *room, struct token_failure *why)
{
	static struct token_ready ready;
	static uint8_t payload[sizeof ready + 16 * HM_KEYS_MAX];
	HM_TRY(describe(room, &ready, why));
	struct hm_writer w = hm_writer(payload, sizeof payload);
	token_ready_put(&w, &ready);
	if (frame_send(HM_CHILD_FD, HM_TOKEN_READY, 0, payload, w.used, NULL, 0) != HM_OK)
		return fail(why, TOKEN_DEVICE, "mint is gone");
	return HM_OK;
}

static hm_result run_workers(const struct room *room, struct worker *workers, struct token_failure *why)
{
	for (unsigned i = 0; i < room->threads; i++)
		if (pthread_create(&workers[i].thread, NULL, worker_run, &workers[i]) != 0)
			return fail(why, TOKEN_PRESSURE, "pthread_create: no thread %u of %u", i + 1, room->threads);
	for (unsigned i = 0; i < room->threads; i++)
		pthread_join(workers[i].thread, NULL);
	return HM_OK;
}

/* Nothing more is signed: what was is told, so that nobody has to wonder. */
_Noreturn static void give_up_start(const struct room *room, const struct token_failure *why)
{
	(void)!worker_send_counts(room, 0);
	worker_end_process(why);
}

int serve_run(void)
{
	static struct token_config config;
	static struct room room;
	struct pin_parts parts = {0};
	struct token_failure why;
	if (!serve_receive_config(&config, &parts))
		return 1;
	if (room_open(&config, &parts, &room, &why) != HM_OK)
		give_up_start(&room, &why);
	struct worker *workers = calloc(room.threads, sizeof *workers);
	if (!workers)
		return 1;
	if (open_workers(&room, workers, &why) != HM_OK || say_ready(&room, &why) != HM_OK ||
		run_workers(&room, workers, &why) != HM_OK)
		worker_end_process(&why);
	free(workers);
	room_close(&room);
	return 0;
}
