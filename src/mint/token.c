/* SPDX-License-Identifier: Apache-2.0 */
#include "token.h"

#include "child.h"
#include "clock.h"
#include "fair.h"
#include "jwk.h"
#include "log.h"
#include "pace.h"
#include "parts.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	QUICK_US = 1000,  /* a token that signs within this is quick: */
	DEPTH_QUICK = 32, /* its threads have this many requests at hand, so that mint may let frames gather, */
	SLOW_US = 10000,  /* above it a token has what its threads work on, below one request more: that is worth the */
			  /* time between two; all others wait here, by turns, where they can be given up */
	GATHER_ABOVE = 4, /* this many each last a quick token's threads while frames gather, */
	GATHER_MAX_US = 1000, /* half as long as all of them take, but not longer */
	TRIES_MAX = 2,
	START_MS = 120 * 1000, /* module, login and keys must be found within this, once it holds the start lock */
	END_MS = 10 * 1000,    /* a process that was hung up on ends within this, or is killed */
	PROBE_MS = 60 * 1000,  /* an idle token signs a probe this often, with each key in turn, */
	PROBE_FAILING_MS = 5 * 1000, /* and one with a key that failed this often */
	BACKOFF_FIRST_MS = 100,      /* after a process that never became ready; doubles */
	BACKOFF_MAX_MS = 10 * 1000,
	LASTS_MS = 10 * 1000, /* a process that was ready for so long is no vain start, though it signed nothing */
	FAILING = 3,          /* this many starts in vain: requests are refused instead of queued */
	CONFIG_FRAME_MAX = 256 * 1024
};

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
	struct token_failure last; /* what the process said last, class TOKEN_CLASSES: nothing */
	enum token_class end;      /* why the process ends, by its own or our word; TOKEN_CLASSES: nobody said */
};

const char *token_state_name(enum token_state state)
{
	static const char *const names[] = {"starting", "ready", "backoff", "stopped", "waiting_for_operator", "ended"};
	return names[state];
}

static void enter(struct token *token, enum token_state state)
{
	token->state = state;
	token->changed_ms = uv_now(token->loop);
}

/* ---- requests ---- */

/* The request is the owner's from now on. */
static void let_go(struct token *token, struct pending *pending)
{
	fair_leave(token->queue, pending);
	pending->token = NULL;
}

static void give_up(struct token *token, struct pending *pending, const char *code)
{
	token->failed_count++;
	let_go(token, pending);
	token->events.failed(token->events.context, pending, code, token->last.detail);
}

static void give_up_queue(struct token *token)
{
	struct pending *pending;
	while ((pending = fair_next(token->queue)))
		give_up(token, pending, "token_unavailable");
}

static hm_result send_request(struct token *token, struct pending *pending)
{
	uint8_t payload[HM_JWT_TBS_MAX + 16];
	struct hm_writer w = hm_writer(payload, sizeof payload);
	token_sign_put(&w, pending->key, pending->jwt, pending->tbs_length);
	return child_queue(token->child, HM_TOKEN_SIGN, pending->id, payload, w.used, NULL, 0);
}

static uint64_t takes_us(const struct token *token)
{
	uint64_t told_us = token->slow_ms * UINT64_C(1000);
	return told_us > token->holdings.probe_us ? told_us : token->holdings.probe_us;
}

static unsigned room_at_token(const struct token *token)
{
	unsigned threads = token->holdings.threads;
	if (token->pace.at_once < threads)
		return token->pace.at_once;
	if (takes_us(token) < QUICK_US)
		return threads * DEPTH_QUICK;
	return takes_us(token) < SLOW_US ? threads + 1 : threads;
}

/* Signatures a second: as measured, or as its first probe promises. */
static double rate_of(const struct token *token)
{
	double promised = token->holdings.threads * 1e6 / (double)(takes_us(token) ? takes_us(token) : 1);
	return token->pace.rate > 0 ? token->pace.rate : promised;
}

static void look_who_waits(struct token *token)
{
	pace_look(&token->pace, token->state == TOKEN_READY && fair_waiting(token->queue), uv_hrtime());
}

static void dispatch(struct token *token)
{
	struct pending *pending;
	bool may_send = token->state == TOKEN_READY && !pace_is_paused(&token->pace, uv_now(token->loop));
	while (may_send && token->outstanding < room_at_token(token) && (pending = fair_next(token->queue))) {
		if (send_request(token, pending) != HM_OK) {
			fair_wait_first(token->queue, pending);
			break; /* the process does not read; the tick ends it if that lasts */
		}
		TAILQ_INSERT_TAIL(&token->at_work, pending, at_token);
		token->outstanding++;
		pending->at_work = true;
		pending->tries++;
		pending->sent_ms = uv_now(token->loop);
	}
	look_who_waits(token);
}

/* The token no longer works on it: once more, or no more. */
static void retry_or_give_up(struct token *token, struct pending *pending)
{
	if (pending->tries >= TRIES_MAX || token->ending || uv_now(token->loop) >= pending->wanted_until_ms ||
		!token->config.keys[pending->key].name[0] || token->events.may_move(token->events.context, pending))
		give_up(token, pending, "token_unavailable");
	else
		fair_wait_first(token->queue, pending);
}

static struct pending *take_back(struct token *token, uint64_t id)
{
	struct pending *pending = pending_find(token->pool, id);
	if (!pending || pending->token != token || !pending->at_work)
		return NULL; /* the process names what it was never given */
	TAILQ_REMOVE(&token->at_work, pending, at_token);
	pending->at_work = false;
	token->outstanding--;
	return pending;
}

/* What would have to wait longer than it has time is refused now rather than then; who is refused is told how long
 * those that wait will take. */
static hm_result check_wait(const struct token *token, const struct pending *pending, struct hm_problem *why)
{
	double wait_s = fair_turns_until(token->queue, &pending->who) / rate_of(token);
	uint64_t now = uv_now(token->loop), until = pending->wanted_until_ms;
	double left_s = until > now ? (double)(until - now) / 1000 : 0;
	if (token->state != TOKEN_READY || token->outstanding < room_at_token(token) || wait_s <= left_s)
		return HM_OK;
	return hm_overload(why, wait_s, "requests before it would take longer than it has time");
}

bool token_takes_requests(const struct token *token)
{
	return token->state != TOKEN_STOPPED && token->state != TOKEN_WAITING && !token->ending &&
	       token->vain_starts < FAILING;
}

bool token_would_take(const struct token *token, const struct pending *pending)
{
	struct hm_problem why;
	return check_wait(token, pending, &why) == HM_OK &&
	       fair_has_room(token->queue, &pending->who, pending_free(token->pool));
}

bool token_can_sign(const struct token *token, uint16_t key)
{
	return token->state == TOKEN_READY && !token->ending && !token->failing[key];
}

double token_wait_s(const struct token *token)
{
	return fair_waiting(token->queue) / rate_of(token);
}

hm_result token_submit(struct token *token, uint16_t key, struct pending *pending, struct hm_problem *why)
{
	if (!token_takes_requests(token))
		return hm_unavailable(
			why, "token_unavailable", "token %s is %s", token->config.name, token_state_name(token->state));
	HM_TRY(check_wait(token, pending, why));
	if (!fair_join(token->queue, pending, pending_free(token->pool)))
		return hm_overload(why, token_wait_s(token), "its share of what may wait is used");
	pending->token = token;
	pending->was_with = token;
	pending->key = key;
	fair_wait(token->queue, pending);
	dispatch(token);
	return HM_OK;
}

bool token_forget(struct token *token, struct pending *pending)
{
	if (pending->at_work)
		return false; /* its place is needed until the token answers */
	fair_take_out(token->queue, pending);
	let_go(token, pending);
	return true;
}

/* ---- what the process says ---- */

/* A key's identity is its public key: what was published must stay what signs, and kid is what the key makes it. */
static hm_result check_key(struct token *token, uint32_t place, const struct token_key_ready *shown)
{
	struct hm_problem why;
	struct jwk jwk;
	const char *name = token->config.keys[place].name;
	bool is_whole = jwk_from_spki(shown->spki, shown->spki_length, &jwk, &why) == HM_OK &&
			strcmp(jwk.kid, shown->kid) == 0 && jwk_is_for(jwk.type, token->config.keys[place].algorithm);
	if (is_whole && (!token->shown[place] || strcmp(jwk.kid, token->holdings.keys[place].kid) == 0)) {
		token->signature_lengths[place] = jwk.signature_length;
		token->shown[place] = true;
		return HM_OK;
	}
	token->last = (struct token_failure){.class = TOKEN_CUSTODY};
	token->end = TOKEN_CUSTODY;
	if (!is_whole)
		snprintf(token->last.detail, sizeof token->last.detail,
			"key %s: its public key is not of its kid or not for its algorithm", name);
	else
		snprintf(token->last.detail, sizeof token->last.detail,
			"key %s is another one since the token came back: kid %s was %s", name, jwk.kid,
			token->holdings.keys[place].kid);
	return HM_REFUSED;
}

/* When it is to ask a TPM, and only then. */
static bool tells_of_tpm(const struct token *token, const struct token_key_ready *shown)
{
	return !shown->tpm_name_length == !token->config.tpm_parent;
}

static void send_slow(struct token *token)
{
	if (child_queue(token->child, HM_TOKEN_SLOW, 0, &token->slow_ms, sizeof token->slow_ms, NULL, 0) != HM_OK)
		child_kill(token->child);
	if (token->slow_ms > token->slowest_ms)
		token->slowest_ms = token->slow_ms;
}

/* Tell it to learn the keys that it was not started with. */
static void ask_for_keys(struct token *token)
{
	uint8_t payload[sizeof(struct token_key_config) + 64];
	for (uint32_t i = 0; i < token->config.key_count; i++) {
		struct hm_writer w = hm_writer(payload, sizeof payload);
		if (token->asked[i] || !token->config.keys[i].name[0])
			continue;
		token->asked[i] = true;
		token->learning++;
		token->learning_ms = uv_now(token->loop);
		token_learn_put(&w, (uint16_t)i, &token->config.keys[i]);
		if (child_queue(token->child, HM_TOKEN_KEY, 0, payload, w.used, NULL, 0) != HM_OK)
			child_kill(token->child);
	}
}

/* What it says of a place that it was asked to learn the key of: that is answered once. */
static bool take_lesson(struct token *token, uint16_t place)
{
	if (!token->learning || !token->asked[place] || token->shown[place])
		return false;
	token->learning--;
	token->learning_ms = uv_now(token->loop); /* the next may take as long */
	return true;
}

static hm_result take_learned(struct token *token, struct hm_reader *reader)
{
	struct token_key_ready shown;
	uint16_t place;
	if (!token_learned_get(reader, &place, &shown) || !tells_of_tpm(token, &shown) || !take_lesson(token, place))
		return HM_REFUSED;
	if (!token->config.keys[place].name[0])
		return HM_OK; /* it is no longer wanted */
	if (check_key(token, place, &shown) != HM_OK) {
		token->events.learned(token->events.context, token, place, &token->last);
		return HM_REFUSED;
	}
	token->holdings.keys[place] = shown;
	token->shown_at = hm_time();
	hm_log(HM_INFO, "token_key", "token=%s key=%s kid=%s", token->config.name, token->config.keys[place].name,
		shown.kid);
	token->events.learned(token->events.context, token, place, NULL);
	return HM_OK;
}

/* Some modules (tpm2-pkcs11) look at their token when they start, and never see what is made in it later: another
 * process looks once more. Not where somebody would have to come to a PIN pad for it. */
static bool look_again(struct token *token, uint16_t place, const struct token_failure *failure)
{
	if (failure->class != TOKEN_ABSENT || token->looked_again[place] || !token->config.keys[place].name[0] ||
		token->config.login == LOGIN_PROTECTED_PATH)
		return false;
	token->looked_again[place] = token->looking_again = true;
	token->was_of_use = true; /* its end is not of its own doing */
	child_kill(token->child);
	return true;
}

static hm_result take_not_learned(struct token *token, struct hm_reader *reader)
{
	struct token_failure failure;
	uint16_t place;
	if (!token_not_learned_get(reader, &place, &failure) || !take_lesson(token, place))
		return HM_REFUSED;
	token->asked[place] = false;
	hm_log(HM_WARNING, "token_key_refused", "token=%s key=%s class=%s ckr=0x%" PRIx64 " detail=\"%s\"",
		token->config.name, token->config.keys[place].name, token_class_name(failure.class), failure.ckr,
		failure.detail);
	if (look_again(token, place, &failure))
		return HM_OK;
	if (token->config.keys[place].name[0])
		token->events.learned(token->events.context, token, place, &failure);
	return HM_OK;
}

static hm_result take_ready(struct token *token, struct hm_reader *reader)
{
	struct token_ready ready;
	if (token->state != TOKEN_STARTING || !token_ready_get(reader, &ready) || ready.key_count != token->given ||
		ready.threads < 1)
		return HM_REFUSED;
	for (uint32_t i = 0; i < ready.key_count; i++) {
		if (!token->asked[i] || !token->config.keys[i].name[0])
			continue;
		if (!tells_of_tpm(token, &ready.keys[i]))
			return HM_REFUSED;
		HM_TRY(check_key(token, i, &ready.keys[i]));
	}
	token->holdings = ready;
	pace_begin(&token->pace, ready.threads);
	token->was_ready = true;
	token->shown_at = hm_time();
	token->vain_starts = 0;
	token->unlatch = false;
	token->last.class = TOKEN_CLASSES;
	token->last_signed_ms = uv_now(token->loop); /* it signed with every key to get here */
	hm_log(HM_INFO, "token_ready", "token=%s pid=%d model=\"%s\" serial=\"%s\" threads=%u ms=%" PRIu64,
		token->config.name, (int)child_pid(token->child), ready.model, ready.serial, ready.threads,
		uv_now(token->loop) - token->changed_ms);
	enter(token, TOKEN_READY);
	if (token->slow_ms)
		send_slow(token);
	for (uint32_t i = 0; i < HM_KEYS_MAX; i++)
		token->looked_again[i] = !token->asked[i] && token->config.keys[i].name[0];
	ask_for_keys(token);
	token->events.ready(token->events.context, token);
	dispatch(token);
	return HM_OK;
}

static hm_result take_signed(struct token *token, const struct hm_frame *frame)
{
	token->last_signed_ms = uv_now(token->loop);
	if (frame->id == 0) {
		token->probing = false;
		token->failing[token->probe_key] = false;
		return HM_OK;
	}
	struct pending *pending = take_back(token, frame->id);
	if (!pending)
		return HM_REFUSED;
	if (frame->length != token->signature_lengths[pending->key]) {
		give_up(token, pending, "token_unavailable");
		return HM_REFUSED;
	}
	token->signed_count++;
	token->was_of_use = true;
	token->short_lives = 0;
	token->failing[pending->key] = false;
	pace_count(&token->pace);
	let_go(token, pending);
	token->events.signed_(token->events.context, pending, frame->payload, frame->length);
	dispatch(token);
	return HM_OK;
}

static void on_pause_over(uv_timer_t *timer)
{
	dispatch(timer->data);
}

/* It had `at_hand` when it refused one of them. */
static void relieve(struct token *token, unsigned at_hand)
{
	unsigned char random = 0;
	(void)uv_random(NULL, NULL, &random, sizeof random, 0, NULL);
	unsigned pause_ms = pace_relieve(&token->pace, at_hand, random, uv_now(token->loop));
	if (!token->ending)
		uv_timer_start(&token->timer, on_pause_over, pause_ms, 0);
}

static void ease(struct token *token)
{
	if (token->state == TOKEN_READY && pace_ease(&token->pace, uv_now(token->loop)))
		dispatch(token);
}

/* What the request has just shown needs no probe to show it again. */
static void note_failure(struct token *token, uint16_t key, bool is_failing)
{
	if (is_failing && !token->failing[key] && !token->probing)
		token->probed_ms = uv_now(token->loop);
	token->failing[key] = is_failing;
}

static hm_result take_failed(struct token *token, uint64_t id, struct hm_reader *reader)
{
	struct token_failure failure;
	if (!token_failure_get(reader, &failure))
		return HM_REFUSED;
	token->last = failure;
	hm_log(HM_WARNING, "token_failed", "token=%s class=%s ckr=0x%" PRIx64 " detail=\"%s\"", token->config.name,
		token_class_name(failure.class), failure.ckr, failure.detail);
	if (id == 0) {
		token->probing = false;
		token->failing[token->probe_key] = true;
		return HM_OK;
	}
	struct pending *pending = take_back(token, id);
	if (!pending)
		return HM_REFUSED;
	note_failure(token, pending->key, failure.class != TOKEN_REFUSED); /* of that the token knows nothing */
	if (failure.class == TOKEN_PRESSURE)
		relieve(token, token->outstanding + 1);
	if (failure.class == TOKEN_PERMANENT || failure.class == TOKEN_REFUSED)
		give_up(token, pending, "internal");
	else
		retry_or_give_up(token, pending);
	dispatch(token);
	return HM_OK;
}

static hm_result take_ending(struct token *token, struct hm_reader *reader)
{
	struct token_failure failure;
	if (!token_failure_get(reader, &failure))
		return HM_REFUSED;
	token->last = failure;
	token->end = failure.class;
	return HM_OK;
}

static hm_result take_turn(struct token *token)
{
	if (token->state != TOKEN_STARTING || token->has_turn)
		return HM_REFUSED;
	token->has_turn = true;
	token->changed_ms = uv_now(token->loop);
	return HM_OK;
}

static hm_result take_frame(void *context, struct hm_frame *frame)
{
	struct token *token = context;
	struct hm_reader reader = hm_reader(frame->payload, frame->length);
	switch (frame->type) {
	case HM_TOKEN_TURN:
		return take_turn(token);
	case HM_TOKEN_READY:
		return take_ready(token, &reader);
	case HM_TOKEN_SIGNED:
		return take_signed(token, frame);
	case HM_TOKEN_FAILED:
		return take_failed(token, frame->id, &reader);
	case HM_TOKEN_ENDING:
		return take_ending(token, &reader);
	case HM_TOKEN_LEARNED:
		return take_learned(token, &reader);
	case HM_TOKEN_NOT_LEARNED:
		return take_not_learned(token, &reader);
	default:
		return HM_REFUSED;
	}
}

/* ---- its process ---- */

static void start_process(struct token *token);

static void on_timer(uv_timer_t *timer)
{
	start_process(timer->data);
}

static uint64_t down_for(const struct token *token)
{
	uint64_t now = uv_now(token->loop);
	return token->down_until_ms > now ? token->down_until_ms - now : 0;
}

static void start_later(struct token *token)
{
	uint64_t wait = 0;
	unsigned failures = token->vain_starts + token->short_lives;
	if (failures) {
		unsigned doublings = failures > 8 ? 8 : failures - 1;
		wait = (uint64_t)BACKOFF_FIRST_MS << doublings;
	}
	enter(token, TOKEN_BACKOFF);
	wait = wait < BACKOFF_MAX_MS ? wait : BACKOFF_MAX_MS;
	uv_timer_start(&token->timer, on_timer, wait > down_for(token) ? wait : down_for(token), 0);
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct token *token = handle->data;
	enter(token, TOKEN_ENDED);
	token->events.ended(token->events.context, token);
	fair_close(token->queue);
	parts_forget(&token->parts);
	free(token);
}

static void finish(struct token *token)
{
	give_up_queue(token);
	uv_close((uv_handle_t *)&token->timer, on_timer_closed);
}

/* What one request met says nothing of the process: only why it ends counts. */
static bool needs_a_person(const struct token *token)
{
	return token->end == TOKEN_LATCH || token->end == TOKEN_CUSTODY || token->end == TOKEN_PERMANENT ||
	       token->end == TOKEN_ABSENT;
}

static void stop(struct token *token)
{
	enter(token, TOKEN_STOPPED);
	give_up_queue(token);
	token->events.stopped(token->events.context, token);
}

/* ---- people who log it in ---- */

static bool must_wait(const struct token *token)
{
	return token_is_attended(&token->config) && !parts_are_whole(&token->parts);
}

static void wait_for_operator(struct token *token)
{
	uv_timer_stop(&token->timer);
	if (token->state != TOKEN_WAITING)
		hm_log(HM_WARNING, "token_waiting", "token=%s login=%s", token->config.name,
			token_login_name(token->config.login));
	enter(token, TOKEN_WAITING);
	give_up_queue(token);
}

/* What the token refused is not tried again, and at its PIN pad nobody stands any more. */
static void spend_unlock(struct token *token)
{
	if (token->end == TOKEN_LATCH || token->config.login == LOGIN_PROTECTED_PATH)
		parts_forget(&token->parts);
}

static void forget_late_parts(struct token *token)
{
	if (!parts_are_late(&token->parts, uv_now(token->loop)))
		return;
	parts_forget(&token->parts);
	token->last = (struct token_failure){.class = TOKEN_CLASSES};
	snprintf(token->last.detail, sizeof token->last.detail,
		"parts of the PIN were missing after %d s, and those that were given are thrown away",
		HM_UNLOCK_SECONDS);
}

static hm_result check_unlockable(const struct token *token, struct hm_problem *why)
{
	if (!token_is_attended(&token->config))
		return hm_refuse(why, "unlock_refused", "token", "a token that people log in; %s has login: %s",
			token->config.name, token_login_name(token->config.login));
	if (token->ending || (token->state != TOKEN_WAITING && token->state != TOKEN_STOPPED))
		return hm_refuse(why, "unlock_refused", "token", "a token that waits for its operators; %s is %s",
			token->config.name, token_state_name(token->state));
	return HM_OK;
}

static hm_result take_part(struct token *token, uint32_t uid, int *part, bool *replaced, struct hm_problem *why)
{
	for (uint32_t i = 0; i < token->config.custodian_count; i++)
		if (token->config.custodians[i] == uid)
			return parts_take(&token->parts, i, part, uv_now(token->loop), replaced, why);
	return hm_refuse(why, "role_missing", NULL, "a custodian of token %s", token->config.name);
}

hm_result token_unlock(struct token *token, uint32_t uid, int *part, bool *replaced, struct hm_problem *why)
{
	*replaced = false;
	HM_TRY(check_unlockable(token, why));
	if (parts_are_whole(&token->parts)) /* it stopped with them for another reason */
		parts_forget(&token->parts);
	if (token->config.login == LOGIN_CUSTODIANS)
		HM_TRY(take_part(token, uid, part, replaced, why));
	else
		HM_TRY(parts_begin(&token->parts, uv_now(token->loop), why));
	if (must_wait(token))
		wait_for_operator(token);
	else
		token_retry(token, true);
	return HM_OK;
}

void token_inherit_unlock(struct token *token, struct token *from)
{
	parts_move(&token->parts, &from->parts);
	if (!must_wait(token))
		token_retry(token, false);
}

/* ---- its process's life ---- */

static void count_end(struct token *token)
{
	bool was_of_use = token->was_of_use || uv_now(token->loop) - token->changed_ms > LASTS_MS;
	if (token->state != TOKEN_READY)
		token->vain_starts++;
	else
		token->short_lives = was_of_use ? 0 : token->short_lives + 1;
}

/* Give up those that wait and that `goes` says of. */
static void give_up_some(struct token *token, bool (*goes)(const struct token *token, const struct pending *pending))
{
	struct pending *pending;
	struct pending_list stay = TAILQ_HEAD_INITIALIZER(stay);
	while ((pending = fair_next(token->queue)))
		if (goes(token, pending))
			give_up(token, pending, "token_unavailable");
		else
			TAILQ_INSERT_TAIL(&stay, pending, at_token);
	while ((pending = TAILQ_FIRST(&stay))) {
		TAILQ_REMOVE(&stay, pending, at_token);
		fair_wait(token->queue, pending);
	}
}

static bool may_move(const struct token *token, const struct pending *pending)
{
	return token->events.may_move(token->events.context, pending);
}

void token_let_move(struct token *token)
{
	give_up_some(token, may_move);
}

/* A process that ended while it looked at a key: another is not asked to, it may have been the key's doing. */
static void give_up_learning(struct token *token)
{
	static const struct token_failure ended = {
		.class = TOKEN_DEVICE, .detail = "the token's process ended while it looked at the key"};
	for (uint32_t i = 0; i < token->config.key_count && token->was_ready; i++)
		if (token->asked[i] && !token->shown[i] && token->config.keys[i].name[0]) {
			token->config.keys[i] = (struct token_key_config){.use = 0};
			token->events.learned(token->events.context, token, (uint16_t)i, &ended);
		}
}

static void on_process_ended(void *context, const char *how)
{
	struct token *token = context;
	struct pending *pending;

	hm_log(token->ending ? HM_INFO : HM_WARNING, "token_ended",
		"token=%s how=\"%s\" class=%s ckr=0x%" PRIx64 " detail=\"%s\"", token->config.name, how,
		token->last.class < TOKEN_CLASSES ? token_class_name(token->last.class) : "none", token->last.ckr,
		token->last.detail);
	token->child = NULL;
	token->probing = false;
	token->learning = 0;
	bool was_ready = token->state == TOKEN_READY;
	count_end(token);
	spend_unlock(token);
	while ((pending = TAILQ_LAST(&token->at_work, pending_list))) { /* so that the oldest ends up first again */
		TAILQ_REMOVE(&token->at_work, pending, at_token);
		pending->at_work = false;
		retry_or_give_up(token, pending);
	}
	token->outstanding = 0;
	if (token->ending)
		finish(token);
	else if (must_wait(token))
		wait_for_operator(token);
	else if (needs_a_person(token) && !token->unlatch)
		stop(token);
	else
		start_later(token);
	if (token->vain_starts >= FAILING)
		give_up_queue(token);
	else if (!token->ending)
		token_let_move(token);
	/* At last: what is told of it may ask for other keys, of a process that is there. */
	if (!token->ending && !token->looking_again)
		give_up_learning(token);
	token->looking_again = false;
	if (!was_ready)
		token->events.start_failed(token->events.context, token);
}

/* What a process is started with: a key that was never shown could keep it from getting ready, and the first ones may.
 */
static void put_config(struct token *token, struct hm_writer *w)
{
	static struct token_config given;
	given = token->config;
	token->given = given.key_count;
	given.unlatch = token->unlatch;
	memcpy(given.unlock, token->parts.id, sizeof given.unlock);
	for (uint32_t i = 0; i < given.key_count; i++) {
		token->asked[i] = given.keys[i].name[0] && (token->shown[i] || (token->first[i] && !token->was_ready));
		if (!token->asked[i])
			given.keys[i] = (struct token_key_config){.use = 0};
	}
	token_config_put(w, &given);
}

static void start_process(struct token *token)
{
	static uint8_t payload[CONFIG_FRAME_MAX];
	struct hm_problem why;
	struct child_events events = {take_frame, on_process_ended, token};
	struct hm_writer w = hm_writer(payload, sizeof payload);

	if (must_wait(token)) {
		wait_for_operator(token);
		return;
	}
	put_config(token, &w);
	token->last = (struct token_failure){.class = TOKEN_CLASSES};
	token->end = TOKEN_CLASSES;
	token->was_of_use = token->has_turn = false;
	token->slowest_ms = 0;
	token->down_until_ms = 0;
	memset(token->failing, 0, sizeof token->failing);
	enter(token, TOKEN_STARTING);
	if (child_start(token->loop, "hsmint-token", &events, &token->child, &why) != HM_OK) {
		hm_log(HM_ERROR, "token_not_started", "token=%s detail=\"%s\"", token->config.name, why.detail);
		token->vain_starts++;
		start_later(token);
		return;
	}
	token->unlatch = false;
	token->restarts++;
	if (w.failed || child_queue(token->child, HM_TOKEN_CONFIG, 0, payload, w.used, token->parts.fds,
				token->config.custodian_count) != HM_OK)
		child_kill(token->child);
}

struct token *token_start(uv_loop_t *loop, const struct token_config *config, struct pending_pool *pool,
	const struct token_events *events)
{
	struct token *token = calloc(1, sizeof *token);
	struct fair *queue = fair_open();
	if (!token || !queue) {
		fair_close(queue);
		free(token);
		return NULL;
	}
	token->queue = queue;
	token->loop = loop;
	token->config = *config;
	token->parts.wanted = config->custodian_count;
	token->last.class = token->end = TOKEN_CLASSES;
	token->pool = pool;
	token->events = *events;
	TAILQ_INIT(&token->at_work);
	for (uint32_t i = 0; i < config->key_count; i++)
		token->first[i] = true;
	uv_timer_init(loop, &token->timer);
	token->timer.data = token;
	start_process(token);
	return token;
}

void token_retry(struct token *token, bool unlatch)
{
	if (token->state == TOKEN_READY || token->ending)
		return; /* and nothing stays behind that would open the latch at some later start */
	token->unlatch = token->unlatch || unlatch;
	if (token->child)
		return; /* it may be about to end for the latch */
	token->vain_starts = token->short_lives = 0;
	uv_timer_stop(&token->timer);
	start_process(token);
}

void token_set_stuck_after(struct token *token, unsigned seconds)
{
	token->stuck_ms = seconds * UINT64_C(1000);
}

void token_slow(struct token *token, uint32_t ms)
{
	token->slow_ms = ms;
	pace_forget_rate(&token->pace);
	if (token->state == TOKEN_READY && !token->ending)
		send_slow(token);
	dispatch(token); /* there may be more room at it now */
}

void token_down(struct token *token, uint64_t ms)
{
	if (token->state == TOKEN_STOPPED || token->state == TOKEN_WAITING || token->ending)
		return;
	token->down_until_ms = uv_now(token->loop) + ms;
	token->was_of_use = true; /* its end is not of its own doing */
	if (token->child)
		child_kill(token->child);
	else
		start_later(token);
}

void token_up(struct token *token)
{
	bool is_held = token->state == TOKEN_BACKOFF && !token->ending && down_for(token);
	token->down_until_ms = 0;
	if (is_held)
		start_later(token);
}

static void on_end_timer(uv_timer_t *timer)
{
	struct token *token = timer->data;
	if (token->child) /* a module that hangs keeps its process */
		child_kill(token->child);
}

void token_end(struct token *token)
{
	if (token->ending)
		return;
	token->ending = true;
	parts_forget(&token->parts);
	uv_timer_stop(&token->timer);
	if (!token->child) {
		finish(token);
		return;
	}
	child_hang_up(token->child);
	uv_timer_start(&token->timer, on_end_timer, END_MS, 0);
}

/* ---- its keys ---- */

static unsigned place_of(const struct token *token, const struct token_key_config *key)
{
	for (unsigned i = 0; i < token->config.key_count; i++)
		if (token_key_equals(&token->config.keys[i], key))
			return i;
	return HM_KEYS_MAX;
}

/* A place that its process holds no key at. */
static unsigned free_place(const struct token *token)
{
	unsigned place = 0;
	while (place < token->config.key_count && (token->config.keys[place].name[0] || token->asked[place]))
		place++;
	return place;
}

static void drop(struct token *token, unsigned place)
{
	token->config.keys[place] = (struct token_key_config){.use = 0};
	token->first[place] = token->shown[place] = token->looked_again[place] = token->failing[place] = false;
}

static bool is_of_no_key(const struct token *token, const struct pending *pending)
{
	return !token->config.keys[pending->key].name[0];
}

static bool is_wanted(const struct token_key_config *key, const struct token_key_config *keys, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (token_key_equals(key, &keys[i]))
			return true;
	return false;
}

/* A process keeps the place of each key that it was ever given: the next one has them again. */
static hm_result make_room(struct token *token, struct hm_problem *why)
{
	if (token->state == TOKEN_READY && token->child) {
		token->was_of_use = true; /* its end is not of its own doing */
		child_kill(token->child);
	}
	return hm_unavailable(why, "token_unavailable", "token %s: its process was given %d keys, and is started anew",
		token->config.name, HM_KEYS_MAX);
}

hm_result token_hold(struct token *token, const struct token_key_config *keys, unsigned count, struct hm_problem *why)
{
	for (unsigned i = 0; i < token->config.key_count; i++)
		if (token->config.keys[i].name[0] && !is_wanted(&token->config.keys[i], keys, count))
			drop(token, i);
	give_up_some(token, is_of_no_key);
	for (unsigned i = 0; i < count; i++) {
		if (place_of(token, &keys[i]) < HM_KEYS_MAX)
			continue;
		unsigned place = free_place(token);
		if (place == HM_KEYS_MAX)
			return make_room(token, why);
		token->config.keys[place] = keys[i];
		if (place == token->config.key_count)
			token->config.key_count++;
	}
	if (token->state == TOKEN_READY && !token->ending)
		ask_for_keys(token);
	return HM_OK;
}

uint16_t token_place(const struct token *token, const struct token_key_config *key)
{
	return (uint16_t)place_of(token, key);
}

const struct token_key_ready *token_shown(const struct token *token, uint16_t place)
{
	return place < HM_KEYS_MAX && token->shown[place] ? &token->holdings.keys[place] : NULL;
}

/* The next key after the one probed last that fails, or key_count. */
static uint32_t failing_key(const struct token *token)
{
	uint32_t count = token->config.key_count;
	for (uint32_t i = 1; i <= count; i++)
		if (token->failing[(token->probe_key + i) % count] && token->shown[(token->probe_key + i) % count])
			return (token->probe_key + i) % count;
	return count;
}

/* The next key after the one probed last that it has shown, or key_count. */
static uint32_t next_key(const struct token *token)
{
	uint32_t count = token->config.key_count;
	for (uint32_t i = 1; i <= count; i++)
		if (token->shown[(token->probe_key + i) % count])
			return (token->probe_key + i) % count;
	return count;
}

static void probe(struct token *token)
{
	uint32_t failing = failing_key(token);
	uint16_t key = (uint16_t)(failing < token->config.key_count ? failing : next_key(token));
	if (key == token->config.key_count)
		return;
	if (child_queue(token->child, HM_TOKEN_PROBE, 0, &key, sizeof key, NULL, 0) != HM_OK)
		return;
	token->probe_key = key;
	token->probing = true;
	token->probed_ms = uv_now(token->loop);
}

static bool wants_probe(const struct token *token, uint64_t now)
{
	if (token->state != TOKEN_READY || token->probing || !token->config.key_count)
		return false;
	if (failing_key(token) < token->config.key_count)
		return now - token->probed_ms > PROBE_FAILING_MS;
	return !token->outstanding && now - token->last_signed_ms > PROBE_MS;
}

/* What its workers were told to wait is not the module's doing; one may wait for another. */
static uint64_t stuck_after_ms(const struct token *token)
{
	return token->stuck_ms + UINT64_C(2) * token->slowest_ms;
}

static uint64_t start_limit_ms(const struct token *token)
{
	return token->config.login == LOGIN_PROTECTED_PATH ? HM_PROTECTED_PATH_SECONDS * UINT64_C(1000) : START_MS;
}

void token_tick(struct token *token)
{
	uint64_t now = uv_now(token->loop);
	struct pending *oldest = TAILQ_FIRST(&token->at_work);
	look_who_waits(token);
	pace_measure(&token->pace);
	ease(token);
	bool hung =
		(oldest && now - oldest->sent_ms > stuck_after_ms(token)) ||
		(token->probing && now - token->probed_ms > stuck_after_ms(token)) ||
		(token->learning && now - token->learning_ms > stuck_after_ms(token)) ||
		(token->state == TOKEN_STARTING && token->has_turn && now - token->changed_ms > start_limit_ms(token));
	forget_late_parts(token);
	if (token->child && hung) {
		hm_log(HM_ERROR, "token_stuck", "token=%s pid=%d", token->config.name, (int)child_pid(token->child));
		child_kill(token->child);
	} else if (wants_probe(token, now)) {
		probe(token);
	}
}

unsigned token_gather_us(const struct token *token)
{
	if (token->state != TOKEN_READY || token->outstanding < token->holdings.threads * GATHER_ABOVE)
		return 0;
	double us = token->outstanding / rate_of(token) * 1e6 / 2;
	return us < GATHER_MAX_US ? (unsigned)us : GATHER_MAX_US;
}

void token_flush(struct token *token)
{
	child_flush(token->child);
}

const struct token_config *token_configuration(const struct token *token)
{
	return &token->config;
}

const struct token_ready *token_holdings(const struct token *token)
{
	return token->was_ready ? &token->holdings : NULL;
}

struct token_facts token_facts(const struct token *token)
{
	uint32_t failing = failing_key(token);
	return (struct token_facts){.state = token->state,
		.failing = failing < token->config.key_count ? token->config.keys[failing].name : NULL,
		.pid = token->child ? (int)child_pid(token->child) : 0,
		.restarts = token->restarts ? token->restarts - 1 : 0,
		.threads = token->holdings.threads,
		.rate = token->was_ready ? (unsigned)rate_of(token) : 0,
		.queued = fair_waiting(token->queue),
		.outstanding = token->outstanding,
		.signed_count = token->signed_count,
		.failed_count = token->failed_count,
		.shown_at = token->shown_at,
		.last_signed_ms = token->last_signed_ms,
		.class = token->last.class,
		.attended = token_is_attended(&token->config),
		.parts_missing = token->state == TOKEN_WAITING ? parts_missing(&token->parts) : 0,
		.last_error = token->last.detail};
}
