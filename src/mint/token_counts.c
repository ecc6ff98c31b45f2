/* SPDX-License-Identifier: Apache-2.0 */
#include "token_inside.h"

#include <string.h>

enum {
	COUNT_MS = 10 * 1000,  /* a process that signs is asked this often, */
	WIND_UP_MS = 1000,     /* and one that is to end has so long to say what it has signed, */
	WIND_UP_SIGNATURES = 3 /* beside the time for what its threads have at hand */
};

/* ---- what its process is told to sign, and tells that it signed ---- */

static struct token_signed *find(struct token_counts *counts, const char *kid)
{
	for (uint32_t i = 0; i < counts->count; i++)
		if (strcmp(counts->keys[i].kid, kid) == 0)
			return &counts->keys[i];
	return NULL;
}

void token_count_sent(struct token *token, const struct pending *pending)
{
	struct token_counts *sent = &token->sent;
	const char *kid = token->holdings.keys[pending->key].kid;
	struct token_signed *key = find(sent, kid);
	enum signed_what what = pending->what == PENDING_STATUS_LIST ? SIGNED_STATUS_LIST : SIGNED_CREDENTIAL;
	if (pending->what == PENDING_CHECKPOINT)
		return;
	if (!key && sent->count < HM_TALLIES_MAX) {
		key = &sent->keys[sent->count++];
		*key = (struct token_signed){.counts = {0}};
		memcpy(key->kid, kid, sizeof key->kid);
	}
	if (key)
		key->counts[what]++;
}

void token_begin_counts(struct token *token, const uint8_t epoch[HM_EPOCH])
{
	token->counted = (struct token_counts){.count = 0};
	memcpy(token->counted.epoch, epoch, HM_EPOCH);
	token->uncounted = true; /* it signed probes to get here */
}

void token_forget_counts(struct token *token)
{
	token->sent.count = 0;
	token->counted = (struct token_counts){.count = 0};
	token->counting = token->told_final = token->uncounted = false;
	token->count_asked_ms = 0;
}

const struct token_counts *token_counted(const struct token *token)
{
	return &token->counted;
}

bool token_has_counts(const struct token *token)
{
	static const uint8_t none[HM_EPOCH];
	return memcmp(token->counted.epoch, none, sizeof none) != 0;
}

const struct token_counts *token_sent(const struct token *token)
{
	return &token->sent;
}

/* A key keeps its place, and counts rise. */
static bool goes_on(const struct token_counts *before, const struct token_counts *counts)
{
	if (counts->count < before->count)
		return false;
	for (uint32_t i = 0; i < before->count; i++) {
		if (strcmp(counts->keys[i].kid, before->keys[i].kid) != 0)
			return false;
		for (int what = 0; what < SIGNED_WHATS; what++)
			if (counts->keys[i].counts[what] < before->keys[i].counts[what])
				return false;
	}
	return true;
}

static void tell(struct token *token, const struct token_counts *counts, bool final)
{
	token->told_final = final;
	token->events.counted(token->events.context, token, counts, final);
	token->counted = *counts;
}

hm_result token_take_counts(struct token *token, uint64_t id, struct hm_reader *reader)
{
	static struct token_counts counts;
	bool is_of_start = token->state == TOKEN_STARTING && id == 0 && !token->told_final;
	bool is_answer = token->counting && id == token->count_id;
	if (!token_counts_get(reader, &counts) || (!is_of_start && !is_answer))
		return HM_REFUSED;
	if (is_answer &&
		(memcmp(counts.epoch, token->counted.epoch, HM_EPOCH) != 0 || !goes_on(&token->counted, &counts)))
		return HM_REFUSED;
	token->counting = false;
	tell(token, &counts, is_of_start || token->asked_last);
	return HM_OK;
}

static hm_result ask(struct token *token)
{
	HM_TRY(child_queue(token->child, HM_TOKEN_COUNT, ++token->count_id, NULL, 0, NULL, 0));
	token->counting = true;
	token->uncounted = false;
	token->count_asked_ms = uv_now(token->loop);
	return HM_OK;
}

void token_count(struct token *token)
{
	if (token_may_send(token) && !token->counting)
		(void)!ask(token); /* if it does not read, the next tick asks */
}

bool token_wants_count(const struct token *token, uint64_t now)
{
	return token_may_send(token) && token->uncounted && !token->counting && !token->learning &&
	       (!token->count_asked_ms || now - token->count_asked_ms >= COUNT_MS);
}

/* ---- the last counts of a process that is to end ---- */

/* What it has to say is said; or it has not said it in time, and nobody knows. */
static void end_process(struct token *token)
{
	if (token->ending)
		token_hang_up(token);
	else
		child_kill(token->child);
}

static void on_time_over(uv_timer_t *timer)
{
	end_process(timer->data);
}

/* When nothing is at hand any more that could sign, it is asked; when it has answered, it ends. */
void token_wind_up_look(struct token *token)
{
	if (!token->winding_up || token->outstanding || token->probing || token->learning || token->anchoring ||
		token->counting)
		return;
	if (token->told_final || ask(token) != HM_OK) { /* from the loop: its channel may be in use here */
		uv_timer_start(&token->timer, on_time_over, 0, 0);
		return;
	}
	token->asked_last = true;
	child_flush(token->child);
}

void token_wind_up(struct token *token)
{
	if (token->winding_up)
		return;
	token->winding_up = true;
	uv_timer_start(&token->timer, on_time_over, WIND_UP_MS + WIND_UP_SIGNATURES * token_takes_us(token) / 1000, 0);
	token_wind_up_look(token);
}
