/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the rooms of a token share, and nobody else: token.c (its requests), token_frames.c (what its process says),
 * token_process.c (that process's life, and people who log it in), token_keys.c (its keys and their places),
 * token_counts.c (what it signed).
 */
#ifndef HSMINT_TOKEN_INSIDE_H
#define HSMINT_TOKEN_INSIDE_H

#include "child.h"
#include "fair.h"
#include "pace.h"
#include "parts.h"
#include "token.h"

enum { TOKEN_FAILING = 3 }; /* this many starts in vain: requests are refused instead of queued */

struct token {
	uv_loop_t *loop;
	uv_timer_t timer;
	struct child *child; /* NULL between two processes */
	struct pending_pool *pool;
	struct token_events events;
	struct token_config config;
	struct parts parts; /* what people gave to log in with */
	struct token_ready holdings;
	enum token_state state;
	bool was_ready, ending, probing, unlatch;
	bool was_of_use;                         /* this process signed for a request */
	bool has_turn;                           /* this process holds the start lock, so its time counts */
	bool first[HM_KEYS_MAX];                 /* it cannot do without the key at this place, */
	bool asked[HM_KEYS_MAX];                 /* this process was given one for this place, */
	bool shown[HM_KEYS_MAX];                 /* and this one or one before it has shown it */
	bool looked_again[HM_KEYS_MAX];          /* a process that is newer than the key looked for it there */
	bool looking_again;                      /* this one ends for that */
	bool failing[HM_KEYS_MAX];               /* the key's last request failed, by the token's doing */
	unsigned signature_lengths[HM_KEYS_MAX]; /* of each key, in bytes */
	uint32_t given;                          /* how many places this process was started with */
	unsigned learning;                       /* keys that it was asked to learn and has not answered for, */
	uint64_t learning_ms;                    /* since then */
	bool anchoring;                          /* it has not answered about the ledger's anchor, */
	uint64_t anchoring_ms;                   /* since then */
	uint16_t probe_key;                      /* signs the probe under way, or signed the last */
	unsigned vain_starts;                    /* processes in a row that never got ready */
	unsigned short_lives; /* processes in a row that got ready and ended before they were of use */
	unsigned restarts, outstanding;
	struct pace pace;
	int64_t shown_at; /* when it showed its keys, seconds since 1970 */
	uint64_t changed_ms, last_signed_ms, probed_ms, signed_count, failed_count;
	uint64_t stuck_ms;      /* a signature that takes longer has hung its thread */
	uint32_t slow_ms;       /* its workers wait so long before each signature, */
	uint32_t slowest_ms;    /* and the longest that those of this process were told to */
	uint64_t down_until_ms; /* no process is started before */
	struct fair *queue;
	struct pending_list at_work;
	struct token_counts sent;    /* requests that this process was given, as credentials, */
	struct token_counts counted; /* and what it told last that it had signed */
	uint64_t count_id;           /* of the last question for that, */
	uint64_t count_asked_ms;     /* asked then; 0: not since it started */
	bool counting;               /* it has not answered yet */
	bool uncounted;              /* it signed something since */
	bool winding_up;             /* nothing is sent to it any more but that question, and then it ends */
	bool asked_last, told_final;
	struct token_failure last; /* what the process said last, class TOKEN_CLASSES: nothing */
	enum token_class end;      /* why the process ends, by its own or our word; TOKEN_CLASSES: nobody said */
};

void token_enter(struct token *token, enum token_state state);

/* ---- token.c ---- */

/* Send what waits and has room at the process. */
void token_dispatch(struct token *token);

/* To be called whenever it may have changed whether somebody waits. */
void token_look_who_waits(struct token *token);

/* The request is the owner's from now on; given up with a code; all that wait; those of them that `goes` says of. */
void token_let_go(struct token *token, struct pending *pending);
void token_give_up(struct token *token, struct pending *pending, const char *code);
void token_give_up_queue(struct token *token);
void token_give_up_some(struct token *token, bool (*goes)(const struct token *token, const struct pending *pending));

/* The process no longer works on it: once more, or no more. */
void token_retry_or_give_up(struct token *token, struct pending *pending);

/* The request with this id, from the process that works on it; NULL: it was never given that. */
struct pending *token_take_back(struct token *token, uint64_t id);

/* Whether its process is there to be sent something. */
bool token_may_send(const struct token *token);

/* About how long a signature takes. */
uint64_t token_takes_us(const struct token *token);

/* ---- token_frames.c ---- */

hm_result token_take_frame(void *context, struct hm_frame *frame);
void token_send_slow(struct token *token);

/* Now and then: more at once, if there was no pressure for long. */
void token_ease(struct token *token);

/* ---- token_process.c ---- */

/* Whether its next process needs a person who logs it in. */
bool token_must_wait(const struct token *token);

/* The process ends by itself, or is killed. */
void token_hang_up(struct token *token);

/* ---- token_counts.c ---- */

void token_count_sent(struct token *token, const struct pending *pending);
void token_begin_counts(struct token *token, const uint8_t epoch[HM_EPOCH]); /* of a process that is ready */
void token_forget_counts(struct token *token);
hm_result token_take_counts(struct token *token, uint64_t id, struct hm_reader *reader) HM_MUST_USE;
bool token_wants_count(const struct token *token, uint64_t now);

/* End a process that is ready: what it has at hand is waited for, then what it says that it has signed; neither for
 * long. To be looked at whenever it has answered something. */
void token_wind_up(struct token *token);
void token_wind_up_look(struct token *token);

/* ---- token_anchor.c ---- */

hm_result token_take_anchor(struct token *token, struct hm_reader *reader) HM_MUST_USE;
hm_result token_take_not_anchored(struct token *token, struct hm_reader *reader) HM_MUST_USE;
void token_give_up_anchor(struct token *token);

/* ---- token_keys.c ---- */

hm_result token_check_key(struct token *token, uint32_t place, const struct token_key_ready *shown) HM_MUST_USE;
bool token_tells_of_tpm(const struct token *token, const struct token_key_ready *shown);
void token_ask_for_keys(struct token *token);
hm_result token_take_learned(struct token *token, struct hm_reader *reader) HM_MUST_USE;
hm_result token_take_not_learned(struct token *token, struct hm_reader *reader) HM_MUST_USE;

/* The next key after the one probed last that fails, or key_count. */
uint32_t token_failing_key(const struct token *token);
bool token_wants_probe(const struct token *token, uint64_t now);
void token_probe(struct token *token);

#endif
