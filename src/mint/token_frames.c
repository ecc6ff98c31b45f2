/* SPDX-License-Identifier: Apache-2.0 */
#include "token_inside.h"

#include "clock.h"
#include "log.h"
#include <inttypes.h>
#include <string.h>

void token_send_slow(struct token *token)
{
	if (child_queue(token->child, HM_TOKEN_SLOW, 0, &token->slow_ms, sizeof token->slow_ms, NULL, 0) != HM_OK)
		child_kill(token->child);
	if (token->slow_ms > token->slowest_ms)
		token->slowest_ms = token->slow_ms;
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
		if (!token_tells_of_tpm(token, &ready.keys[i]))
			return HM_REFUSED;
		HM_TRY(token_check_key(token, i, &ready.keys[i]));
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
	token_enter(token, TOKEN_READY);
	token_begin_counts(token, ready.epoch);
	token->events.life(token->events.context, token, LIFE_READY);
	if (token->slow_ms)
		token_send_slow(token);
	for (uint32_t i = 0; i < HM_KEYS_MAX; i++)
		token->looked_again[i] = !token->asked[i] && token->config.keys[i].name[0];
	token_ask_for_keys(token);
	token->events.ready(token->events.context, token);
	token_dispatch(token);
	return HM_OK;
}

static hm_result take_signed(struct token *token, const struct hm_frame *frame)
{
	token->uncounted = true;
	token->last_signed_ms = uv_now(token->loop);
	if (frame->id == 0) {
		token->probing = false;
		token->failing[token->probe_key] = false;
		return HM_OK;
	}
	struct pending *pending = token_take_back(token, frame->id);
	if (!pending)
		return HM_REFUSED;
	if (frame->length != token->signature_lengths[pending->key]) {
		token_give_up(token, pending, "token_unavailable");
		return HM_REFUSED;
	}
	token->signed_count += pending->what == PENDING_CREDENTIAL;
	token->was_of_use = true;
	token->short_lives = 0;
	token->failing[pending->key] = false;
	pace_count(&token->pace);
	token_let_go(token, pending);
	token->events.signed_(token->events.context, pending, frame->payload, frame->length);
	token_dispatch(token);
	return HM_OK;
}

static void on_pause_over(uv_timer_t *timer)
{
	token_dispatch(timer->data);
}

/* It had `at_hand` when it refused one of them. */
static void relieve(struct token *token, unsigned at_hand)
{
	unsigned char random = 0;
	(void)uv_random(NULL, NULL, &random, sizeof random, 0, NULL);
	unsigned pause_ms = pace_relieve(&token->pace, at_hand, random, uv_now(token->loop));
	if (token_may_send(token))
		uv_timer_start(&token->timer, on_pause_over, pause_ms, 0);
}

void token_ease(struct token *token)
{
	if (token->state == TOKEN_READY && pace_ease(&token->pace, uv_now(token->loop)))
		token_dispatch(token);
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
	token->uncounted = true; /* it may have, and then been of no use */
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
	struct pending *pending = token_take_back(token, id);
	if (!pending)
		return HM_REFUSED;
	note_failure(token, pending->key, failure.class != TOKEN_REFUSED); /* of that the token knows nothing */
	if (failure.class == TOKEN_PRESSURE)
		relieve(token, token->outstanding + 1);
	if (failure.class == TOKEN_PERMANENT || failure.class == TOKEN_REFUSED)
		token_give_up(token, pending, "internal");
	else
		token_retry_or_give_up(token, pending);
	token_dispatch(token);
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

static hm_result take_frame(struct token *token, const struct hm_frame *frame)
{
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
		return token_take_learned(token, &reader);
	case HM_TOKEN_NOT_LEARNED:
		return token_take_not_learned(token, &reader);
	case HM_TOKEN_COUNTS:
		return token_take_counts(token, frame->id, &reader);
	case HM_TOKEN_ANCHOR:
		return token_take_anchor(token, &reader);
	case HM_TOKEN_NOT_ANCHORED:
		return token_take_not_anchored(token, &reader);
	default:
		return HM_REFUSED;
	}
}

hm_result token_take_frame(void *context, struct hm_frame *frame)
{
	struct token *token = context;
	HM_TRY(take_frame(token, frame));
	token_wind_up_look(token);
	return HM_OK;
}
