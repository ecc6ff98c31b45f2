/* SPDX-License-Identifier: Apache-2.0 */
/* One thread with one session: receive a frame, check, sign, send; until mint hangs up. */
#ifndef HSMINT_WORKER_H
#define HSMINT_WORKER_H

#include "frame.h"
#include "room.h"

struct worker {
	struct room *room;
	CK_SESSION_HANDLE session;
	pthread_t thread;
	uint8_t buffer[HM_FRAME_HEADER + HM_FRAME_MAX_INLINE];
};

/* A thread's function; `worker` is a struct worker. Returns NULL at the end of the socket. */
void *worker_run(void *worker);

/* Tell mint what was signed so far. HM_UNAVAILABLE: it is gone. */
hm_result worker_send_counts(const struct room *room, uint64_t id) HM_MUST_USE;

/* Tell mint why this process cannot go on, and end it at once. */
_Noreturn void worker_end_process(const struct token_failure *why);

#endif
