/* SPDX-License-Identifier: Apache-2.0 */
#include "token_inside.h"

#include "clock.h"
#include "jwk.h"
#include "log.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
	PROBE_MS = 60 * 1000,        /* an idle token signs a probe this often, with each key in turn, */
	PROBE_FAILING_MS = 5 * 1000, /* and one with a key that failed this often */
};

/* A key's identity is its public key: what was published must stay what signs, and kid is what the key makes it. */
hm_result token_check_key(struct token *token, uint32_t place, const struct token_key_ready *shown)
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
bool token_tells_of_tpm(const struct token *token, const struct token_key_ready *shown)
{
	return !shown->tpm_name_length == !token->config.tpm_parent;
}

/* Tell it to learn the keys that it was not started with. */
void token_ask_for_keys(struct token *token)
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
	token->uncounted = true;
	if (!token->learning || !token->asked[place] || token->shown[place])
		return false;
	token->learning--;
	token->learning_ms = uv_now(token->loop); /* the next may take as long */
	return true;
}

hm_result token_take_learned(struct token *token, struct hm_reader *reader)
{
	struct token_key_ready shown;
	uint16_t place;
	if (!token_learned_get(reader, &place, &shown) || !token_tells_of_tpm(token, &shown) ||
		!take_lesson(token, place))
		return HM_REFUSED;
	if (!token->config.keys[place].name[0])
		return HM_OK; /* it is no longer wanted */
	if (token_check_key(token, place, &shown) != HM_OK) {
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
	token_wind_up(token);
	return true;
}

hm_result token_take_not_learned(struct token *token, struct hm_reader *reader)
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
	if (token_must_wait(token)) /* the next one would need a person to log in */
		return hm_unavailable(why, "token_unavailable",
			"token %s: its process was given %d keys, as many as it can: kill it and unlock the token",
			token->config.name, HM_KEYS_MAX);
	if (token->state == TOKEN_READY && token->child) {
		token->was_of_use = true; /* its end is not of its own doing */
		token_wind_up(token);
	}
	return hm_unavailable(why, "token_unavailable", "token %s: its process was given %d keys, and is started anew",
		token->config.name, HM_KEYS_MAX);
}

hm_result token_hold(struct token *token, const struct token_key_config *keys, unsigned count, struct hm_problem *why)
{
	for (unsigned i = 0; i < token->config.key_count; i++)
		if (token->config.keys[i].name[0] && !is_wanted(&token->config.keys[i], keys, count))
			drop(token, i);
	token_give_up_some(token, is_of_no_key);
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
	if (token_may_send(token))
		token_ask_for_keys(token);
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
uint32_t token_failing_key(const struct token *token)
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

void token_probe(struct token *token)
{
	uint32_t failing = token_failing_key(token);
	uint16_t key = (uint16_t)(failing < token->config.key_count ? failing : next_key(token));
	if (key == token->config.key_count)
		return;
	if (child_queue(token->child, HM_TOKEN_PROBE, 0, &key, sizeof key, NULL, 0) != HM_OK)
		return;
	token->probe_key = key;
	token->probing = true;
	token->probed_ms = uv_now(token->loop);
}

bool token_wants_probe(const struct token *token, uint64_t now)
{
	if (!token_may_send(token) || token->probing || !token->config.key_count)
		return false;
	if (token_failing_key(token) < token->config.key_count)
		return now - token->probed_ms > PROBE_FAILING_MS;
	return !token->outstanding && now - token->last_signed_ms > PROBE_MS;
}
