/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The deciding process: one thread, one loop. service_run is all that the commands need; the rest is what the rooms of
 * mint (requests, control, metrics) share of it.
 */
#ifndef HSMINT_SERVICE_H
#define HSMINT_SERVICE_H

#include "config.h"
#include "fault.h"
#include "gate.h"
#include "issuing_key.h"
#include "pending.h"
#include "publication.h"
#include "token.h"
#include <uv.h>

struct agents;
struct api;
struct approvals;
struct nonces;
struct store;
struct clock_watch;
struct control;
struct engine;
struct key_life;
struct parked_lot;
struct revocations;
struct assertions;
struct exchanges;
struct status_lists;
struct status_publisher;
struct tasks;
struct anchors;
struct ledger_heads;
struct ledger_serve;
struct refusals;
struct trusts;  /* trust.h */
struct rates;   /* rate.h */
struct replays; /* replay.h */

enum { COUNTED_CODES = 128 };

struct counters {
	uint64_t minted[HM_PROFILES_MAX]; /* by the profile's place in the configuration; reset when that changes */
	uint64_t minted_total, replayed_total, refused_total, failed_total;
	uint64_t refused_by_code[COUNTED_CODES]; /* by the code's place in problem_kinds */
};

struct service {
	uv_loop_t loop;
	uv_prepare_t prepare;
	uv_timer_t tick, deadline, last_checkpoint;
	uv_signal_t terminate, interrupt, hang_up;
	uv_poll_t parent; /* `dev`: the process that started us */
	const char *config_path;
	struct config *config;
	struct config *started_with; /* what it says of the ledger holds for life */
	struct pending_pool *pool;
	struct pending_list unrecorded; /* signed, and waiting for their entries to be on stable storage */
	struct replays *replays;
	struct store *store;
	struct agents *agents;
	struct tasks *tasks;
	struct approvals *approvals;
	struct revocations *revocations;
	struct assertions *assertions;
	struct exchanges *exchanges;
	struct status_lists *status_lists;
	struct status_publisher *status_publisher;
	struct api *api;
	struct nonces *nonces;
	struct dpop *dpop;
	struct parked_lot *parked;
	struct engine *engine;     /* NULL: nobody else is asked */
	struct trusts *trusts;     /* NULL: the end has begun, and nobody calls any more */
	unsigned ticks;            /* seconds it has run */
	bool is_tidying;           /* rows that nothing needs are being deleted */
	bool has_bad_row;          /* the store holds what is not understood */
	bool links_due;            /* an agent changed: what it let others do is to be looked at */
	uint64_t store_began;      /* its sequence at the start */
	struct clock_watch *clock; /* clock_watch.h */
	struct ledger *ledger;
	struct ledger_heads *heads; /* ledger_heads.h */
	struct anchors *anchors;    /* anchors.h */
	struct ledger_serve *ledger_serve;
	struct refusals *refusals; /* record.h */
	unsigned configuration;    /* counts those that were in force */
	struct rates *caller_rates, *profile_rates;
	unsigned followers[HM_CALLERS_MAX]; /* that wait for another request's answer, by group modulo HM_CALLERS_MAX */
	struct token *tokens[HM_TOKENS_MAX]; /* in the configuration's order */
	unsigned token_count;
	struct key_records records;
	struct issuing_keys keys;
	struct key_life *life;   /* key_life.h */
	struct unlocks *unlocks; /* unlock.h */
	struct publications *publications;
	bool documents_due;                      /* they could not be published as they are */
	int64_t published_since[HM_ISSUERS_MAX]; /* an issuer's key set is out as it is since then; 0: it is not */
	struct gate *gate;
	struct gate_sockets sockets;
	struct gate_sockets before; /* the certificates of before a reload, until gate has taken the new ones */
	uint16_t port;              /* where TCP listens; 0: not */
	struct control *control;
	struct counters counters;
	struct fault fault; /* what a service for tests was told to do wrong */
	uint64_t started_ms;
	unsigned ending_tokens; /* tokens still to end */
	int lock;               /* held on state/lock */
	bool stopping, reported_ready;
	int exit_status;
	void (*on_ready)(void *context, struct service *service);
	void *on_ready_context;
};

struct service_options {
	const char *config_path;
	int tcp_listener; /* already listening, for `dev`; -1: listen as configured */
	int parent;       /* a pidfd: stop when that process ends; -1: none */
	bool faults;      /* operators may provoke faults: a service for tests */
	void (*on_ready)(void *context, struct service *service); /* once, when the first mint would succeed */
	void *on_ready_context;
};

/* Serve until SIGTERM or SIGINT. Returns the exit status: 0, or 1 when the start failed (said on standard error). */
int service_run(const struct service_options *options);

/* Make the state directory, and hold its lock: nobody else serves it then. `*lock` is the caller's to close, unless it
 * is -1. HM_REFUSED: it is held, or cannot be. */
hm_result service_lock_state(const char *state, int *lock, struct hm_problem *why) HM_MUST_USE;

/* True when a mint would succeed; else `reason` says why not. */
bool service_is_ready(const struct service *service, char *reason, size_t size);

/* Read the configuration and certificates again. With `why->code` reload_refused the one before stays in force; another
 * failure is one of ours, met while bringing the new one into force. */
hm_result service_reload(struct service *service, struct hm_problem *why) HM_MUST_USE;

void service_stop(struct service *service);

/* ---- for signing.c ---- */

/* End a start that cannot succeed, saying why on standard error. */
void service_fail_start(struct service *service, const char *detail);

/* Publish what the keys known so far allow. HM_UNAVAILABLE: the state directory cannot be written. */
hm_result service_publish_documents(struct service *service, struct hm_problem *why) HM_MUST_USE;

void service_update_readiness(struct service *service);
void service_end_ledger(
	struct service *service); /* every child has ended: write what is recorded, and let the loop end */

/* ---- for status_publish.c ---- */

void service_publish_status_list(struct service *service, const char *path, const char *token, size_t length);

/* ---- for ledger_heads.c ---- */

void service_publish_checkpoint(struct service *service, unsigned shard, const char *note, size_t length);

#endif
