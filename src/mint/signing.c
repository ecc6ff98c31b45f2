/* SPDX-License-Identifier: Apache-2.0 */
#include "signing.h"

#include "anchors.h"
#include "key_life.h"
#include "ledger_heads.h"
#include "log.h"
#include "mint.h"
#include "record.h"
#include "record_token.h"
#include "unlock.h"
#include <stdio.h>
#include <string.h>

/* ---- keys ---- */

/* One issuer and one use a key, also when two tokens of the configuration turn out to be the same device. */
static hm_result check_distinct(struct service *service, struct issuing_key *learned, struct hm_problem *why)
{
	for (unsigned i = 0; i < service->keys.count; i++) {
		const struct issuing_key *other = &service->keys.items[i];
		if (other == learned || !other->known || strcmp(other->jwk.kid, learned->jwk.kid) != 0 ||
			(other->config->issuer_index == learned->config->issuer_index &&
				other->config->use == learned->config->use))
			continue;
		learned->known = false;
		return hm_refuse(why, "token", NULL, "keys %s and %s are the same key in the token: give each its own",
			other->config->name, learned->config->name);
	}
	return HM_OK;
}

static hm_result learn_key(struct service *service, struct issuing_key *issuing, struct hm_problem *why)
{
	const struct token_key_ready *shown = token_shown(issuing->token, issuing->place);
	if (!shown)
		return HM_OK;
	HM_TRY(issuing_key_learn(issuing, shown, why));
	return check_distinct(service, issuing, why);
}

/* Learn the keys of one token, or of all (NULL). One that is refused does not keep the others from signing; the first
 * refusal is told. */
static hm_result learn_keys(struct service *service, const struct token *only, struct hm_problem *why)
{
	struct hm_problem another;
	hm_result result = HM_OK;
	for (unsigned i = 0; i < service->keys.count; i++) {
		struct issuing_key *issuing = &service->keys.items[i];
		if (only && issuing->token != only)
			continue;
		hm_result learned = learn_key(service, issuing, result == HM_OK ? why : &another);
		if (result == HM_OK)
			result = learned;
	}
	hm_result noted = key_life_note(service, result == HM_OK ? why : &another);
	return result == HM_OK ? noted : result;
}

static void put_key(const struct service *service, const struct issuing_key *issuing, struct token_key_config *out)
{
	config_key_frame(service->config, issuing->config, issuing->version->label, issuing->version->id, out);
}

/* What this token is to hold; or of that, what it is to sign with. */
static void put_keys(const struct service *service, unsigned token, bool only_active, struct token_config *out)
{
	out->key_count = 0;
	for (unsigned i = 0; i < service->keys.count; i++) {
		const struct issuing_key *issuing = &service->keys.items[i];
		if (issuing->config->token_index == token && (!only_active || issuing->version->state == KEY_ACTIVE))
			put_key(service, issuing, &out->keys[out->key_count++]);
	}
}

static void find_places(struct service *service)
{
	struct token_key_config key;
	for (unsigned i = 0; i < service->keys.count; i++) {
		struct issuing_key *issuing = &service->keys.items[i];
		put_key(service, issuing, &key);
		issuing->token = service->tokens[issuing->config->token_index];
		issuing->place = token_place(issuing->token, &key);
	}
}

hm_result signing_hold(struct service *service, struct hm_problem *why)
{
	static struct token_config wanted;
	struct hm_problem another;
	hm_result result = HM_OK;
	for (unsigned i = 0; i < service->token_count; i++) {
		put_keys(service, i, false, &wanted);
		hm_result held =
			token_hold(service->tokens[i], wanted.keys, wanted.key_count, result == HM_OK ? why : &another);
		result = result == HM_OK ? held : result;
	}
	find_places(service);
	hm_result learned = learn_keys(service, NULL, result == HM_OK ? why : &another);
	return result == HM_OK ? learned : result;
}

static hm_result learn_and_publish(struct service *service, const struct token *token, struct hm_problem *why)
{
	struct hm_problem another;
	hm_result learned = learn_keys(service, token, why);
	if (ledger_heads_verify(service, &another) != HM_OK) /* what a false checkpoint covers is not gone on with */
		service_fail_start(service, another.detail);
	hm_result published = service_publish_documents(service, learned == HM_OK ? why : &another);
	return learned == HM_OK ? published : learned;
}

/* ---- what tokens tell ---- */

/* A start that cannot succeed ends the service, but not when people have come to log a token in. */
static bool is_running(const struct service *service, const struct token *token)
{
	return service->reported_ready || token_facts(token).attended;
}

static bool lacks_a_place(const struct service *service, const struct token *token)
{
	for (unsigned i = 0; i < service->keys.count; i++)
		if (service->keys.items[i].token == token && service->keys.items[i].place == HM_KEYS_MAX)
			return true;
	return false;
}

static void on_token_ready(void *context, struct token *token)
{
	struct service *service = context;
	struct hm_problem why, unheld;
	/* A new process has room for what the one before had none for. */
	if (lacks_a_place(service, token) && signing_hold(service, &unheld) != HM_OK)
		hm_log(HM_ERROR, "token_not_used", "token=%s detail=\"%s\"", token_configuration(token)->name,
			unheld.detail);
	hm_result result = learn_and_publish(service, token, &why);
	for (unsigned i = 0; i < service->token_count; i++)
		if (service->tokens[i] != token && token_facts(service->tokens[i]).state != TOKEN_READY)
			token_let_move(service->tokens[i]);
	unlock_ended(service, token);
	if (result == HM_OK)
		return;
	if (is_running(service, token)) /* what could not be learned is not signed with; all else goes on */
		hm_log(HM_ERROR, "token_not_used", "token=%s detail=\"%s\"", token_configuration(token)->name,
			why.detail);
	else
		service_fail_start(service, why.detail);
}

static void on_token_learned(void *context, struct token *token, uint16_t place, const struct token_failure *failure)
{
	struct service *service = context;
	struct hm_problem why;
	if (!failure && learn_and_publish(service, token, &why) != HM_OK)
		hm_log(HM_ERROR, "token_not_used", "token=%s detail=\"%s\"", token_configuration(token)->name,
			why.detail);
	key_life_learned(service, token, place, failure);
	service_update_readiness(service);
}

static void on_token_stopped(void *context, struct token *token)
{
	struct service *service = context;
	struct token_facts facts = token_facts(token);
	char text[512];
	service_update_readiness(service);
	/* A key that fails its custody check, before anything was ever minted: better no service than half of one. */
	if (!is_running(service, token) && facts.class != TOKEN_LATCH && !service->stopping) {
		snprintf(text, sizeof text, "token %s: %s", token_configuration(token)->name, facts.last_error);
		service_fail_start(service, text);
	}
}

static void on_start_failed(void *context, struct token *token)
{
	unlock_ended(context, token);
}

static void on_signed(void *context, struct pending *pending, const uint8_t *signature, size_t length)
{
	mint_signed(context, pending, signature, length);
}

static void on_failed(void *context, struct pending *pending, const char *code, const char *detail)
{
	mint_failed(context, pending, code, detail);
}

/* A checkpoint is of the ledger, not in it. */
static bool on_sending(void *context, struct pending *pending)
{
	struct service *service = context;
	struct hm_problem why;
	if (pending->what == PENDING_CHECKPOINT)
		return true;
	return ledger_heads_refusal(service, &why) == HM_OK && record_sending(service, pending);
}

static bool may_move(void *context, const struct pending *pending)
{
	return mint_may_move(context, pending);
}

static void on_counted(void *context, struct token *token, const struct token_counts *counts, bool final)
{
	record_counts(context, token, counts, final);
}

static void on_life(void *context, struct token *token, enum token_life life)
{
	record_life(context, token, life);
}

static void on_anchored(
	void *context, struct token *token, const struct token_failure *failure, const uint8_t *note, size_t length)
{
	(void)token; /* there is one that keeps it */
	anchors_answered(context, failure, note, length);
}

static void on_token_ended(void *context, struct token *token)
{
	struct service *service = context;
	(void)token;
	service->ending_tokens--;
	if (service->stopping && !service->gate && !service->ending_tokens)
		service_end_ledger(service);
}

/* ---- starting and ending ---- */

static void end_token(struct service *service, struct token *token)
{
	service->ending_tokens++;
	unlock_ended(service, token);
	token_end(token);
}

static struct token *start_token(struct service *service, const struct token_config *config)
{
	struct token_events events = {on_token_ready, on_token_stopped, on_start_failed, on_signed, on_failed,
		on_sending, may_move, on_token_learned, on_counted, on_life, on_anchored, on_token_ended, service};
	return token_start(&service->loop, config, service->pool, &events);
}

static bool same_configuration(const struct token_config *a, const struct token_config *b)
{
	static uint8_t first[256 * 1024], second[sizeof first];
	struct hm_writer one = hm_writer(first, sizeof first), other = hm_writer(second, sizeof second);
	token_config_put(&one, a);
	token_config_put(&other, b);
	return !one.failed && one.used == other.used && memcmp(first, second, one.used) == 0;
}

/* The running token that is configured just so but for its keys, taken out of `old`; or NULL. */
static struct token *take_same(struct token *old[HM_TOKENS_MAX], const struct token_config *config)
{
	static struct token_config running, wanted;
	wanted = *config;
	wanted.key_count = 0;
	for (unsigned i = 0; i < HM_TOKENS_MAX; i++) {
		struct token *token = old[i];
		if (!token)
			continue;
		running = *token_configuration(token);
		running.key_count = 0;
		if (same_configuration(&running, &wanted)) {
			old[i] = NULL;
			return token;
		}
	}
	return NULL;
}

/* What its custodians gave to a token stays with it when something else about it changes. */
static bool has_same_custodians(const struct token_config *a, const struct token_config *b)
{
	static struct token_config old, new;
	old = *a;
	new = *b;
	old.key_count = new.key_count = 0;
	old.threads = new.threads;
	old.self_check = new.self_check;
	old.read_write = new.read_write;
	old.waived = new.waived;
	return old.login == LOGIN_CUSTODIANS && same_configuration(&old, &new);
}

static void inherit_unlock(struct token *const old[HM_TOKENS_MAX], struct token *token)
{
	for (unsigned i = 0; i < HM_TOKENS_MAX; i++)
		if (old[i] && has_same_custodians(token_configuration(old[i]), token_configuration(token)))
			token_inherit_unlock(token, old[i]);
}

hm_result signing_adopt(struct service *service, struct hm_problem *why)
{
	struct config *config = service->config;
	struct token *old[HM_TOKENS_MAX] = {0};
	bool is_kept[HM_TOKENS_MAX] = {0};
	static struct token_config wanted;

	memcpy(old, service->tokens, sizeof(struct token *) * service->token_count);
	memset(service->tokens, 0, sizeof service->tokens);
	service->token_count = config->tokens_count;
	for (unsigned i = 0; i < config->tokens_count; i++) {
		config_token_frame(config, i, &wanted);
		put_keys(service, i, true, &wanted); /* those that are missed later do not keep it from signing */
		service->tokens[i] = take_same(old, &wanted);
		is_kept[i] = service->tokens[i];
		if (!is_kept[i])
			service->tokens[i] = start_token(service, &wanted);
		if (!service->tokens[i])
			return hm_broken(why, "no memory for a token");
		token_set_stuck_after(service->tokens[i], config->tokens[i].stuck_after);
	}
	hm_result result = signing_hold(service, why);
	for (unsigned i = 0; i < config->tokens_count; i++)
		if (is_kept[i])
			token_retry(service->tokens[i], false); /* one that stopped may find another PIN or key now */
		else
			inherit_unlock(old, service->tokens[i]);
	for (unsigned i = 0; i < HM_TOKENS_MAX; i++) /* last: what they had looks for other keys */
		if (old[i])
			end_token(service, old[i]);
	return result;
}

void signing_end(struct service *service)
{
	for (unsigned i = 0; i < service->keys.count; i++) /* no request moves any more */
		service->keys.items[i].known = false;
	for (unsigned i = 0; i < service->token_count; i++)
		end_token(service, service->tokens[i]);
	service->token_count = 0;
}
