/* SPDX-License-Identifier: Apache-2.0 */
/* A child process of mint and the socket to it: started, listened to, and buried. */
#ifndef HSMINT_CHILD_H
#define HSMINT_CHILD_H

#include "frame.h"
#include <sys/types.h>
#include <uv.h>

struct child; /* opaque; lives until `ended` was called */

struct child_events {
	/* A frame from the child. A result other than HM_OK ends the child. */
	hm_result (*take)(void *context, struct hm_frame *frame);
	/* The child is gone and reaped, every frame it sent was taken; `how` says "exit 1" or "signal 9". The child
	 * object is gone after this call. */
	void (*ended)(void *context, const char *how);
	void *context;
};

/*
 * Start `program` (an hsmint program's name) with one end of a SOCK_SEQPACKET pair as HM_CHILD_FD, standard output and
 * error on ours, and nothing of our environment but what it may need. HM_UNAVAILABLE: the system refused.
 */
hm_result child_start(uv_loop_t *loop, const char *program, const struct child_events *events, struct child **out,
	struct hm_problem *why) HM_MUST_USE;

/* Queue a frame; it leaves at the next child_flush. HM_UNAVAILABLE: the child does not read. */
hm_result child_queue(struct child *child, enum hm_frame_type type, uint64_t id, const void *payload, size_t length,
	const int *fds, unsigned fd_count) HM_MUST_USE;

/* Send what is queued; what the socket does not take now goes when it can. True: nothing is left. NULL is fine. */
bool child_flush(struct child *child);

pid_t child_pid(const struct child *child);
void child_kill(struct child *child);    /* SIGKILL; `ended` follows */
void child_let_end(struct child *child); /* it was asked to end: closing its socket is no reason to kill it any more */
void child_hang_up(struct child *child); /* close our end: the child ends by itself; `ended` follows */

#endif
