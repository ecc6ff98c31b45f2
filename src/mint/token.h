/* SPDX-License-Identifier: Apache-2.0 */
/* One token as mint sees it: its process supervised, its queue, what it holds and how it does. */
#ifndef HSMINT_TOKEN_H
#define HSMINT_TOKEN_H

#include "pending.h"
#include "token_protocol.h"
#include <uv.h>

enum token_state {
	TOKEN_STARTING, /* its process looks for token and keys */
	TOKEN_READY,
	TOKEN_BACKOFF, /* its process ended; the next starts soon */
	TOKEN_STOPPED, /* it needs a person: see last_error */
	TOKEN_WAITING, /* for people to unlock it: nothing is tried meanwhile */
	TOKEN_ENDED    /* on purpose */
};
const char *token_state_name(enum token_state state);

enum token_life { LIFE_STARTED, LIFE_READY, LIFE_ENDED, LIFE_STOPPED, LIFE_WAITING, LIVES };
const char *token_life_name(enum token_life life); /* "started", … */

/* What a token tells its owner. `signed_` and `failed` hand the pending over: the owner releases it. */
struct token_events {
	void (*ready)(void *context, struct token *token);
	void (*stopped)(void *context, struct token *token);      /* it needs a person */
	void (*start_failed)(void *context, struct token *token); /* a process ended before it was ready */
	void (*signed_)(void *context, struct pending *pending, const uint8_t *signature, size_t length);
	void (*failed)(void *context, struct pending *pending, const char *code, const char *detail);
	/* Before a request is sent to its process, the first time and again. False: it may not be, and fails as
	 * ledger_unavailable. */
	bool (*sending)(void *context, struct pending *pending);
	/* Whether another token would serve it: then it is given up as token_unavailable when this one does not, at
	 * once. */
	bool (*may_move)(void *context, const struct pending *pending);
	/* A key that token_hold asked for while it was ready is held now; or, with `failure`, is not: forget it. */
	void (*learned)(void *context, struct token *token, uint16_t place, const struct token_failure *failure);
	/* What its process has signed since it started; token_counted still is what it told before. `final`: it signs
	 * no more. */
	void (*counted)(void *context, struct token *token, const struct token_counts *counts, bool final);
	void (*life)(void *context, struct token *token, enum token_life life); /* something befell its process */

	/* The answer to token_anchor_put, which has what is kept now, or to token_anchor_get: what is kept, of length 0
	 * when nothing is. Or, with `failure`, that it could not be had. */
	void (*anchored)(void *context, struct token *token, const struct token_failure *failure, const uint8_t *note,
		size_t length);
	void (*ended)(void *context, struct token *token); /* after token_end; the object is gone after this call */
	void *context;
};

struct token_facts {
	enum token_state state;
	const char *failing; /* the name of a key whose last request failed, NULL if none: then it signs */
	int pid;             /* 0: none */
	bool is_ending;      /* its process, because it was told to */
	unsigned restarts, threads, queued, outstanding;
	unsigned rate; /* signatures a second while somebody waits; before that was seen, what its probe promises */
	uint64_t signed_count, failed_count;
	int64_t shown_at;        /* when its process last showed its keys: seconds since 1970 */
	uint64_t last_signed_ms; /* on the loop's clock; 0: never */
	enum token_class class;  /* why it stopped */
	bool attended;           /* people log it in, */
	unsigned parts_missing;  /* and while it waits for them: so many parts of its PIN */
	const char *last_error;  /* "" if none */
};

/* Supervise the token that `config` describes (copied): start its process now, which is not ready without the keys that
 * are named there. NULL: no memory. */
struct token *token_start(uv_loop_t *loop, const struct token_config *config, struct pending_pool *pool,
	const struct token_events *events);

/*
 * Have it hold these keys and no others. Each keeps the place that it has, or gets one; what a process that is ready
 * does not hold it is told to learn, and `learned` follows. HM_UNAVAILABLE: no place is left for one of them; the
 * process is started anew, and `ready` follows.
 */
hm_result token_hold(
	struct token *token, const struct token_key_config *keys, unsigned count, struct hm_problem *why) HM_MUST_USE;

/* Where a key stands that token_start or token_hold were given, as token_submit wants it. */
uint16_t token_place(const struct token *token, const struct token_key_config *key);

/* What it showed of the key at this place; NULL: nothing yet. */
const struct token_key_ready *token_shown(const struct token *token, uint16_t place);

/* Ask its process what it has signed; `counted` follows. It is asked every ten seconds, and before it ends, anyway. */
void token_count(struct token *token);

/* What its process told last of what it has signed: nothing, until it has; and what it was given to sign, as
 * credentials (checkpoints are left out). Both are of this one process. */
const struct token_counts *token_counted(const struct token *token);
bool token_has_counts(const struct token *token); /* its process has told its epoch */
const struct token_counts *token_sent(const struct token *token);

/*
 * Keep the newest checkpoint of the ledger in the token, as a note; and ask what is kept there. Of a token that is
 * configured with the ledger's origin; `anchored` follows. False: not now, since it is not ready, or has not answered
 * the last one. Source: token_anchor.c
 */
bool token_anchor_put(struct token *token, const void *note, size_t length) HM_MUST_USE;
bool token_anchor_get(struct token *token) HM_MUST_USE;

/* A process that does not answer a request for so long is ended: to be set after token_start, and at each reload. */
void token_set_stuck_after(struct token *token, unsigned seconds);

/* Queue a request (its token and key are set here; whose turn it takes, `who`, by the caller). HM_UNAVAILABLE:
 * token_unavailable (it is stopped, or fails again and again), or overload, with the time that those who wait take. */
hm_result token_submit(struct token *token, uint16_t key, struct pending *pending, struct hm_problem *why) HM_MUST_USE;

/* The same, before all that wait, whatever their number. HM_UNAVAILABLE: token_unavailable. */
hm_result token_submit_first(
	struct token *token, uint16_t key, struct pending *pending, struct hm_problem *why) HM_MUST_USE;

/* Whether it is ready, and the key's last request did not fail; whether it takes requests at all, now or to wait;
 * whether it would take this one. */
bool token_can_sign(const struct token *token, uint16_t key);
bool token_takes_requests(const struct token *token);
bool token_would_take(const struct token *token, const struct pending *pending);

/* What waits for it goes where it can be signed now, if anywhere: called when another token can. */
void token_let_move(struct token *token);

/* How long those that wait for it will take at the rate at which it signs, in seconds. */
double token_wait_s(const struct token *token);

/* The deadline of `pending` passed and it was answered. True: the token does not have it, release it. */
bool token_forget(struct token *token, struct pending *pending);

/* For how long frames may gather: its threads have enough at hand meanwhile. 0: they have not. */
unsigned token_gather_us(const struct token *token);

void token_flush(struct token *token); /* send queued frames; called before the loop waits */
void token_tick(struct token *token);  /* each second: end what hangs, probe what is idle */
void token_end(struct token *token);   /* finish nothing more; `ended` follows */

/* Start a stopped or waiting token anew now; with `unlatch` the process forgets its latched PIN. */
void token_retry(struct token *token, bool unlatch);

/*
 * Take what the person with this uid gives to log an attended token in: a part of its PIN (`*part`, taken over), which
 * may take the place of one that they gave before (`*replaced`); or their word that somebody stands at its PIN pad
 * (`*part` is -1). With the last part its process starts: `ready` or `start_failed` follows. HM_REFUSED: not a part,
 * not their part, or not now.
 */
hm_result token_unlock(
	struct token *token, uint32_t uid, int *part, bool *replaced, struct hm_problem *why) HM_MUST_USE;

/* The custodians of this token are those of another, which ends: what they gave it holds here. */
void token_inherit_unlock(struct token *token, struct token *from);

/* Have its workers wait before each signature of a request, in this process and those after it; 0 ends that. */
void token_slow(struct token *token, uint32_t ms);

/* Kill its process and start the next after `ms`, unless token_up or token_retry comes first. What is stopped stays so.
 */
void token_down(struct token *token, uint64_t ms);
void token_up(struct token *token);

const struct token_config *token_configuration(const struct token *token);
const struct token_ready *token_holdings(const struct token *token); /* NULL: was never ready */
struct token_facts token_facts(const struct token *token);

#endif
