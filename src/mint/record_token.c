/* SPDX-License-Identifier: Apache-2.0 */
#include "record_token.h"

#include "base64url.h"
#include "clock.h"
#include "json_write.h"
#include "record.h"
#include <string.h>

enum { HASH_TEXT = 43, EPOCH_TEXT = 22, LIFE_MAX = 1024, COUNT_MAX = 128 };

static void put_binary(struct hm_json *json, const char *name, const uint8_t *data, size_t length)
{
	char text[HASH_TEXT + 1];
	text[base64url_encode(data, length, text)] = 0;
	hm_json_member_string(json, name, text);
}

/* ---- counts ---- */

static uint64_t told_before(const struct token_counts *before, uint32_t key, int what)
{
	return key < before->count ? before->keys[key].counts[what] : 0; /* a key keeps its place */
}

static bool put_signed(struct hm_json *json, const struct token_counts *before, const struct token_counts *counts)
{
	bool has_any = false;
	hm_json_key(json, "signed");
	hm_json_begin(json, '[');
	for (uint32_t i = 0; i < counts->count; i++)
		for (int what = 0; what < SIGNED_WHATS; what++) {
			uint64_t more = counts->keys[i].counts[what] - told_before(before, i, what);
			if (!more)
				continue;
			has_any = true;
			hm_json_begin(json, '{');
			hm_json_member_number(json, "count", (int64_t)more);
			hm_json_member_string(json, "kid", counts->keys[i].kid);
			hm_json_member_string(json, "what", signed_what_name(what));
			hm_json_end(json, '}');
		}
	hm_json_end(json, ']');
	return has_any;
}

void record_counts(struct service *service, const struct token *token, const struct token_counts *counts, bool final)
{
	static char text[HM_TALLIES_MAX * SIGNED_WHATS * COUNT_MAX];
	struct hm_json json = hm_json(text, sizeof text);
	hm_json_begin(&json, '{');
	put_binary(&json, "epoch", counts->epoch, sizeof counts->epoch);
	if (final) {
		hm_json_key(&json, "final");
		hm_json_bool(&json, true);
	}
	bool has_any = put_signed(&json, token_counted(token), counts);
	hm_json_member_number(&json, "time", hm_time());
	hm_json_member_string(&json, "token", token_configuration(token)->name);
	hm_json_member_string(&json, "type", "counts");
	hm_json_member_number(&json, "v", RECORD_VERSION);
	hm_json_end(&json, '}');
	if (has_any || final)
		(void)record_add(service, &json, true);
}

/* ---- lives ---- */

static const char *reason(const struct token *token, enum token_life life)
{
	struct token_facts facts = token_facts(token);
	if (life == LIFE_ENDED)
		return facts.is_ending ? "ended" : "died";
	return life == LIFE_STOPPED && facts.class < TOKEN_CLASSES ? token_class_name(facts.class) : NULL;
}

void record_life(struct service *service, const struct token *token, enum token_life life)
{
	char text[LIFE_MAX];
	const struct token_ready *ready = life == LIFE_READY ? token_holdings(token) : NULL;
	const char *why = reason(token, life);
	struct hm_json json = hm_json(text, sizeof text);
	hm_json_begin(&json, '{');
	if (token_has_counts(token))
		put_binary(&json, "epoch", token_counted(token)->epoch, HM_EPOCH);
	hm_json_member_string(&json, "event", token_life_name(life));
	if (ready)
		put_binary(&json, "module", ready->module_sha256, sizeof ready->module_sha256);
	hm_json_member_string(&json, "name", token_configuration(token)->name);
	if (why)
		hm_json_member_string(&json, "reason", why);
	if (ready)
		hm_json_member_string(&json, "serial", ready->serial);
	hm_json_member_number(&json, "time", hm_time());
	hm_json_member_string(&json, "type", "token");
	hm_json_member_number(&json, "v", RECORD_VERSION);
	hm_json_end(&json, '}');
	(void)record_add(service, &json, false);
}

/* ---- from one shard to the next ---- */

/* What must have an entry of its own; a key signs either the one or the other. */
static uint64_t recorded(const struct token_counts *counts, const char *kid)
{
	for (uint32_t i = 0; i < counts->count; i++)
		if (strcmp(counts->keys[i].kid, kid) == 0)
			return counts->keys[i].counts[SIGNED_CREDENTIAL] + counts->keys[i].counts[SIGNED_STATUS_LIST];
	return 0;
}

/* Of all tokens: two may turn out to be the same device. */
static uint64_t uncounted(const struct service *service, const char *kid)
{
	uint64_t sent = 0, counted = 0;
	for (unsigned i = 0; i < service->token_count; i++) {
		sent += recorded(token_sent(service->tokens[i]), kid);
		counted += recorded(token_counted(service->tokens[i]), kid);
	}
	return sent > counted ? sent - counted : 0;
}

static bool is_first(const struct service *service, unsigned token, const char *kid)
{
	for (unsigned i = 0; i < token; i++)
		if (recorded(token_sent(service->tokens[i]), kid))
			return false;
	return true;
}

size_t record_carried(const struct service *service, char *text, size_t size)
{
	struct hm_json json = hm_json(text, size);
	hm_json_begin(&json, '[');
	for (unsigned i = 0; i < service->token_count; i++) {
		const struct token_counts *sent = token_sent(service->tokens[i]);
		for (uint32_t k = 0; k < sent->count; k++) {
			const char *kid = sent->keys[k].kid;
			uint64_t count = is_first(service, i, kid) ? uncounted(service, kid) : 0;
			if (!count)
				continue;
			hm_json_begin(&json, '{');
			hm_json_member_number(&json, "count", (int64_t)count);
			hm_json_member_string(&json, "kid", kid);
			hm_json_end(&json, '}');
		}
	}
	hm_json_end(&json, ']');
	hm_put_u8(&json.out, 0);
	return json.out.failed ? 0 : json.out.used - 1;
}
