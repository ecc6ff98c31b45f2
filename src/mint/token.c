/* SPDX-License-Identifier: Apache-2.0 */
#include "token_inside.h"

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
};

const char *token_state_name(enum token_state state)
{
	static const char *const names[] = {"starting", "ready", "backoff", "stopped", "waiting_for_operator", "ended"};
	return names[state];
}

const char *token_life_name(enum token_life life)
{
	static const char *const names[LIVES] = {"started", "ready", "ended", "stopped", "waiting"};
	return names[life];
}

void token_enter(struct token *token, enum token_state state)
{
	token->state = state;
	token->changed_ms = uv_now(token->loop);
}

/* ---- requests ---- */

/* The request is the owner's from now on. */
void token_let_go(struct token *token, struct pending *pending)
{
	fair_leave(token->queue, pending);
	pending->token = NULL;
}

void token_give_up(struct token *token, struct pending *pending, const char *code)
{
	token->failed_count++;
	token_let_go(token, pending);
	token->events.failed(token->events.context, pending, code, token->last.detail);
}

void token_give_up_queue(struct token *token)
{
	struct pending *pending;
	while ((pending = fair_next(token->queue)))
		token_give_up(token, pending, "token_unavailable");
}

static hm_result send_request(struct token *token, struct pending *pending)
{
	uint8_t payload[HM_JWT_TBS_MAX + 16];
	struct hm_writer w = hm_writer(payload, sizeof payload);
	token_sign_put(&w, pending->key, pending->jwt, pending->tbs_length);
	return child_queue(token->child, HM_TOKEN_SIGN, pending->id, payload, w.used, NULL, 0);
}

uint64_t token_takes_us(const struct token *token)
{
	uint64_t told_us = token->slow_ms * UINT64_C(1000);
	return told_us > token->holdings.probe_us ? told_us : token->holdings.probe_us;
}

static unsigned room_at_token(const struct token *token)
{
	unsigned threads = token->holdings.threads;
	if (token->pace.at_once < threads)
		return token->pace.at_once;
	if (token_takes_us(token) < QUICK_US)
		return threads * DEPTH_QUICK;
	return token_takes_us(token) < SLOW_US ? threads + 1 : threads;
}

/* Signatures a second: as measured, or as its first probe promises. */
static double rate_of(const struct token *token)
{
	double promised = token->holdings.threads * 1e6 / (double)(token_takes_us(token) ? token_takes_us(token) : 1);
	return token->pace.rate > 0 ? token->pace.rate : promised;
}

bool token_may_send(const struct token *token)
{
	return token->state == TOKEN_READY && !token->ending && !token->winding_up;
}

void token_look_who_waits(struct token *token)
{
	pace_look(&token->pace, token->state == TOKEN_READY && fair_waiting(token->queue), uv_hrtime());
}

void token_dispatch(struct token *token)
{
	struct pending *pending;
	bool may_send = token_may_send(token) && !pace_is_paused(&token->pace, uv_now(token->loop));
	while (may_send && token->outstanding < room_at_token(token) && (pending = fair_next(token->queue))) {
		if (!token->events.sending(token->events.context, pending)) {
			token_give_up(token, pending, "ledger_unavailable");
			continue;
		}
		if (send_request(token, pending) != HM_OK) {
			fair_wait_first(token->queue, pending);
			break; /* the process does not read; the tick ends it if that lasts */
		}
		TAILQ_INSERT_TAIL(&token->at_work, pending, at_token);
		token->outstanding++;
		token_count_sent(token, pending);
		pending->at_work = true;
		pending->tries++;
		pending->sent_ms = uv_now(token->loop);
	}
	token_look_who_waits(token);
}

/* The token no longer works on it: once more, or no more. */
void token_retry_or_give_up(struct token *token, struct pending *pending)
{
	if (pending->tries >= TRIES_MAX || token->ending || uv_now(token->loop) >= pending->wanted_until_ms ||
		!token->config.keys[pending->key].name[0] || token->events.may_move(token->events.context, pending))
		token_give_up(token, pending, "token_unavailable");
	else
		fair_wait_first(token->queue, pending);
}

struct pending *token_take_back(struct token *token, uint64_t id)
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
	       token->vain_starts < TOKEN_FAILING;
}

bool token_would_take(const struct token *token, const struct pending *pending)
{
	struct hm_problem why;
	return check_wait(token, pending, &why) == HM_OK &&
	       fair_has_room(token->queue, &pending->who, pending_free(token->pool));
}

bool token_can_sign(const struct token *token, uint16_t key)
{
	return token_may_send(token) && !token->failing[key];
}

double token_wait_s(const struct token *token)
{
	return fair_waiting(token->queue) / rate_of(token);
}

static hm_result check_takes_requests(const struct token *token, struct hm_problem *why)
{
	if (token_takes_requests(token))
		return HM_OK;
	return hm_unavailable(
		why, "token_unavailable", "token %s is %s", token->config.name, token_state_name(token->state));
}

static void take(struct token *token, uint16_t key, struct pending *pending)
{
	pending->token = token;
	pending->was_with = token;
	pending->key = key;
}

hm_result token_submit(struct token *token, uint16_t key, struct pending *pending, struct hm_problem *why)
{
	HM_TRY(check_takes_requests(token, why));
	HM_TRY(check_wait(token, pending, why));
	if (!fair_join(token->queue, pending, pending_free(token->pool)))
		return hm_overload(why, token_wait_s(token), "its share of what may wait is used");
	take(token, key, pending);
	fair_wait(token->queue, pending);
	token_dispatch(token);
	return HM_OK;
}

hm_result token_submit_first(struct token *token, uint16_t key, struct pending *pending, struct hm_problem *why)
{
	HM_TRY(check_takes_requests(token, why));
	pending->who = (struct fair_who){.group = 0, .weight = 1}; /* no caller's number */
	if (!fair_join(token->queue, pending, HM_PENDING_MAX))
		return hm_unavailable(why, "token_unavailable", "too many wait for token %s", token->config.name);
	take(token, key, pending);
	fair_wait_first(token->queue, pending);
	token_dispatch(token);
	return HM_OK;
}

bool token_forget(struct token *token, struct pending *pending)
{
	if (pending->at_work)
		return false; /* its place is needed until the token answers */
	fair_take_out(token->queue, pending);
	token_let_go(token, pending);
	return true;
}

/* Give up those that wait and that `goes` says of. */
void token_give_up_some(struct token *token, bool (*goes)(const struct token *token, const struct pending *pending))
{
	struct pending *pending;
	struct pending_list stay = TAILQ_HEAD_INITIALIZER(stay);
	while ((pending = fair_next(token->queue)))
		if (goes(token, pending))
			token_give_up(token, pending, "token_unavailable");
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
	token_give_up_some(token, may_move);
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
	uint32_t failing = token_failing_key(token);
	return (struct token_facts){.state = token->state,
		.failing = failing < token->config.key_count ? token->config.keys[failing].name : NULL,
		.is_ending = token->ending || token->winding_up,
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
