/* SPDX-License-Identifier: Apache-2.0 */
#include "token_inside.h"

#include "log.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	START_MS = 120 * 1000,  /* module, login and keys must be found within this, once it holds the start lock */
	END_MS = 10 * 1000,     /* a process that was hung up on ends within this, or is killed */
	BACKOFF_FIRST_MS = 100, /* after a process that never became ready; doubles */
	BACKOFF_MAX_MS = 10 * 1000,
	LASTS_MS = 10 * 1000, /* a process that was ready for so long is no vain start, though it signed nothing */
	CONFIG_FRAME_MAX = 256 * 1024
};

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
	token_enter(token, TOKEN_BACKOFF);
	wait = wait < BACKOFF_MAX_MS ? wait : BACKOFF_MAX_MS;
	uv_timer_start(&token->timer, on_timer, wait > down_for(token) ? wait : down_for(token), 0);
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct token *token = handle->data;
	token_enter(token, TOKEN_ENDED);
	token->events.ended(token->events.context, token);
	fair_close(token->queue);
	parts_forget(&token->parts);
	free(token);
}

static void finish(struct token *token)
{
	token_give_up_queue(token);
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
	token_enter(token, TOKEN_STOPPED);
	token_give_up_queue(token);
	token->events.life(token->events.context, token, LIFE_STOPPED);
	token->events.stopped(token->events.context, token);
}

/* ---- people who log it in ---- */

bool token_must_wait(const struct token *token)
{
	return token_is_attended(&token->config) && !parts_are_whole(&token->parts);
}

static void wait_for_operator(struct token *token)
{
	uv_timer_stop(&token->timer);
	bool is_new = token->state != TOKEN_WAITING;
	token_enter(token, TOKEN_WAITING);
	if (is_new) {
		hm_log(HM_WARNING, "token_waiting", "token=%s login=%s", token->config.name,
			token_login_name(token->config.login));
		token->events.life(token->events.context, token, LIFE_WAITING);
	}
	token_give_up_queue(token);
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

static hm_result find_custodian(const struct token *token, uint32_t uid, unsigned *place, struct hm_problem *why)
{
	for (*place = 0; *place < token->config.custodian_count; ++*place)
		if (token->config.custodians[*place] == uid)
			return HM_OK;
	return hm_refuse(why, "role_missing", NULL, "a custodian of token %s", token->config.name);
}

hm_result token_unlock(struct token *token, uint32_t uid, int *part, bool *replaced, struct hm_problem *why)
{
	bool has_parts = token->config.login == LOGIN_CUSTODIANS;
	unsigned place = 0;
	*replaced = false;
	HM_TRY(check_unlockable(token, why));
	if (has_parts)
		HM_TRY(find_custodian(token, uid, &place, why));
	if (parts_are_whole(&token->parts)) /* it stopped with them for another reason */
		parts_forget(&token->parts);
	if (has_parts)
		HM_TRY(parts_take(&token->parts, place, part, uv_now(token->loop), replaced, why));
	else
		HM_TRY(parts_begin(&token->parts, uv_now(token->loop), why));
	if (token_must_wait(token))
		wait_for_operator(token);
	else
		token_retry(token, true);
	return HM_OK;
}

void token_inherit_unlock(struct token *token, struct token *from)
{
	parts_move(&token->parts, &from->parts);
	if (!token_must_wait(token))
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
	token->events.life(token->events.context, token, LIFE_ENDED);
	token_forget_counts(token);
	token->winding_up = token->asked_last = false;
	uv_timer_stop(&token->timer);
	token->child = NULL;
	token->probing = false;
	token->learning = 0;
	bool was_ready = token->state == TOKEN_READY;
	count_end(token);
	spend_unlock(token);
	while ((pending = TAILQ_LAST(&token->at_work, pending_list))) { /* so that the oldest ends up first again */
		TAILQ_REMOVE(&token->at_work, pending, at_token);
		pending->at_work = false;
		token_retry_or_give_up(token, pending);
	}
	token->outstanding = 0;
	if (token->ending)
		finish(token);
	else if (token_must_wait(token))
		wait_for_operator(token);
	else if (needs_a_person(token) && !token->unlatch)
		stop(token);
	else
		start_later(token);
	if (token->vain_starts >= TOKEN_FAILING)
		token_give_up_queue(token);
	else if (!token->ending)
		token_let_move(token);
	/* At last: what is told of it may ask for other keys, of a process that is there. */
	if (!token->ending && !token->looking_again)
		give_up_learning(token);
	token->looking_again = false;
	token_give_up_anchor(token);
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
	struct child_events events = {token_take_frame, on_process_ended, token};
	struct hm_writer w = hm_writer(payload, sizeof payload);

	if (token_must_wait(token)) {
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
	token_enter(token, TOKEN_STARTING);
	if (child_start(token->loop, "hsmint-token", &events, &token->child, &why) != HM_OK) {
		hm_log(HM_ERROR, "token_not_started", "token=%s detail=\"%s\"", token->config.name, why.detail);
		token->vain_starts++;
		start_later(token);
		return;
	}
	token->unlatch = false;
	token->restarts++;
	token->events.life(token->events.context, token, LIFE_STARTED);
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
	if (token_may_send(token))
		token_send_slow(token);
	token_dispatch(token); /* there may be more room at it now */
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

void token_hang_up(struct token *token)
{
	child_hang_up(token->child);
	uv_timer_start(&token->timer, on_end_timer, END_MS, 0);
}

void token_end(struct token *token)
{
	if (token->ending)
		return;
	token->ending = true;
	parts_forget(&token->parts);
	if (!token->child) {
		uv_timer_stop(&token->timer);
		finish(token);
		return;
	}
	if (token->state != TOKEN_READY) {
		token_hang_up(token);
		return;
	}
	token_give_up_queue(token);
	token_wind_up(token);
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
	token_look_who_waits(token);
	pace_measure(&token->pace);
	token_ease(token);
	bool hung =
		(oldest && now - oldest->sent_ms > stuck_after_ms(token)) ||
		(token->probing && now - token->probed_ms > stuck_after_ms(token)) ||
		(token->learning && now - token->learning_ms > stuck_after_ms(token)) ||
		(token->counting && now - token->count_asked_ms > stuck_after_ms(token)) ||
		(token->anchoring && now - token->anchoring_ms > stuck_after_ms(token)) ||
		(token->state == TOKEN_STARTING && token->has_turn && now - token->changed_ms > start_limit_ms(token));
	forget_late_parts(token);
	if (token->child && hung) {
		hm_log(HM_ERROR, "token_stuck", "token=%s pid=%d", token->config.name, (int)child_pid(token->child));
		child_kill(token->child);
	} else if (token_wants_probe(token, now)) {
		token_probe(token);
	} else if (token_wants_count(token, now)) {
		token_count(token);
	}
}
