/* SPDX-License-Identifier: Apache-2.0 */
/* What the threads of a token process share: the module, the keys, and how sessions are opened. */
#ifndef HSMINT_ROOM_H
#define HSMINT_ROOM_H

#include "checkpoint.h"
#include "jose.h"
#include "key.h"
#include "module.h"
#include "pin.h"
#include <pthread.h>
#include <stdatomic.h>

struct room {
	struct token_config *config;
	struct module module;
	CK_SESSION_HANDLE login; /* idle, open for life: closing the last session logs out */
	struct key keys[HM_KEYS_MAX];
	struct jose jose[HM_KEYS_MAX];                   /* of those that sign JWTs */
	struct checkpoint_last checkpoints[HM_KEYS_MAX]; /* of those that sign checkpoints, */
	pthread_mutex_t heads;                           /* one at a time */
	atomic_bool holds[HM_KEYS_MAX];                  /* whether a key was found, checked and tried at this place */
	pthread_mutex_t learning;                        /* held to look for one more */
	struct tallies tallies;
	unsigned threads;
	uint32_t probe_us;            /* the quickest probe with the slowest key, at the start */
	pthread_mutex_t sessions;     /* held to open and close one: not every module locks its table of sessions */
	atomic_uint open;             /* sessions of threads */
	atomic_uint_fast64_t signed_; /* since the start, for sampled self-checks */
	atomic_uint_fast32_t slow_ms; /* each worker waits so long before it signs for a request */
};

/*
 * Load the module, find the token and log in, under the start lock, which mint is told of; then find and check every
 * key and sign a probe with each. All of it happens before any thread is made. The parts of the PIN are closed.
 */
hm_result room_open(
	struct token_config *config, struct pin_parts *parts, struct room *room, struct token_failure *why) HM_MUST_USE;

/* Find and check one more key on a session of the caller's own, and sign a probe with it; threads may sign with it
 * after HM_OK. HM_BROKEN: its place held a key already. */
hm_result room_learn_key(struct room *room, CK_SESSION_HANDLE session, const struct token_learn *learn,
	struct token_failure *why) HM_MUST_USE;

/* Open a session that is logged in. TOKEN_LOGIN: the login was lost. */
hm_result room_open_session(struct room *room, CK_SESSION_HANDLE *session, struct token_failure *why) HM_MUST_USE;
void room_close_session(struct room *room, CK_SESSION_HANDLE *session);

/* Open one that may write, for a moment: it is counted with none of the threads'. */
hm_result room_open_writing(struct room *room, CK_SESSION_HANDLE *session, struct token_failure *why) HM_MUST_USE;
void room_close_writing(struct room *room, CK_SESSION_HANDLE *session);

/* After every thread has ended. */
void room_close(struct room *room);

#endif
