/* SPDX-License-Identifier: Apache-2.0 */
#include "report.h"

#include "base64url.h"
#include "clock.h"
#include "clock_watch.h"
#include "json_write.h"
#include "ledger_heads.h"
#include "policy.h"
#include "problem.h"
#include "replay.h"
#include "trust.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- status ---- */

/* What its process has told that it signed since it started. */
static void put_counted(const struct token *token, struct hm_json *json)
{
	const struct token_counts *counted = token_counted(token);
	char epoch[HM_ID_MAX + 1];
	if (!token_has_counts(token))
		return;
	epoch[base64url_encode(counted->epoch, sizeof counted->epoch, epoch)] = 0;
	hm_json_member_string(json, "epoch", epoch);
	hm_json_key(json, "counted");
	hm_json_begin(json, '{');
	for (int what = 0; what < SIGNED_WHATS; what++) {
		uint64_t sum = 0;
		for (uint32_t i = 0; i < counted->count; i++)
			sum += counted->keys[i].counts[what];
		hm_json_member_number(json, signed_what_name(what), (int64_t)sum);
	}
	hm_json_end(json, '}');
}

static void put_token(const struct service *service, const struct token *token, struct hm_json *json)
{
	struct token_facts facts = token_facts(token);
	hm_json_begin(json, '{');
	hm_json_member_string(json, "name", token_configuration(token)->name);
	hm_json_member_string(json, "state", token_state_name(facts.state));
	hm_json_member_string(json, "login", token_login_name(token_configuration(token)->login));
	if (facts.parts_missing)
		hm_json_member_number(json, "parts_missing", facts.parts_missing);
	hm_json_member_number(json, "pid", facts.pid);
	hm_json_member_number(json, "restarts", facts.restarts);
	hm_json_member_number(json, "threads", facts.threads);
	hm_json_member_number(json, "rate", facts.rate);
	hm_json_member_number(json, "queued", facts.queued);
	hm_json_member_number(json, "outstanding", facts.outstanding);
	hm_json_member_number(json, "signed", (int64_t)facts.signed_count);
	hm_json_member_number(json, "failed", (int64_t)facts.failed_count);
	put_counted(token, json);
	hm_json_member_string(json, "last_error", facts.last_error);
	if (facts.class < TOKEN_CLASSES)
		hm_json_member_string(json, "last_class", token_class_name(facts.class));
	if (facts.last_signed_ms)
		hm_json_member_number(
			json, "last_signed_s_ago", (int64_t)(uv_now(&service->loop) - facts.last_signed_ms) / 1000);
	hm_json_end(json, '}');
}

static void put_issuer(const struct service *service, unsigned index, struct hm_json *json)
{
	const struct config *config = service->config;
	hm_json_begin(json, '{');
	hm_json_member_string(json, "name", config->issuers[index].name);
	hm_json_member_string(json, "url", config->issuers[index].url);
	hm_json_member_string(json, "trust_domain", config->issuers[index].trust_domain);
	hm_json_key(json, "keys");
	hm_json_begin(json, '[');
	for (unsigned i = 0; i < service->keys.count; i++) {
		const struct issuing_key *key = &service->keys.items[i];
		if (key->config->issuer_index != index)
			continue;
		hm_json_begin(json, '{');
		hm_json_member_string(json, "name", key->config->name);
		hm_json_member_number(json, "version", key->version->number);
		hm_json_member_string(json, "state", key_state_name(key->version->state));
		hm_json_member_string(json, "use", key_use_name(key->config->use));
		hm_json_member_string(json, "token", key->config->token);
		hm_json_member_string(json, "kid", key->jwk.kid);
		hm_json_end(json, '}');
	}
	hm_json_end(json, ']');
	hm_json_end(json, '}');
}

static void put_gate(const struct service *service, struct hm_json *json)
{
	struct gate_facts facts = gate_facts(service->gate);
	hm_json_key(json, "gate");
	hm_json_begin(json, '{');
	hm_json_member_string(json, "state", facts.ready ? "ready" : "starting");
	hm_json_member_number(json, "pid", facts.pid);
	hm_json_member_number(json, "restarts", facts.restarts);
	hm_json_member_string(json, "sandbox", facts.sandbox);
	hm_json_end(json, '}');
}

static void put_ledger(const struct service *service, struct hm_json *json)
{
	struct ledger_heads_facts facts = ledger_heads_facts(service);
	const char *unwritable = ledger_fault(service->ledger);
	char origin[HM_ORIGIN_MAX + 1];
	ledger_origin(service->ledger, facts.shard, origin);
	hm_json_key(json, "ledger");
	hm_json_begin(json, '{');
	hm_json_member_string(json, "origin", origin);
	hm_json_member_string(json, "state", unwritable ? "unavailable" : "ready");
	hm_json_member_number(json, "size", (int64_t)facts.size);
	hm_json_member_number(json, "checkpoint_size", (int64_t)facts.signed_size);
	hm_json_member_number(json, "checkpoint_at", facts.signed_at);
	hm_json_member_string(json, "anchor", facts.anchor);
	hm_json_member_string(json, "last_error", unwritable ? unwritable : facts.fault);
	hm_json_end(json, '}');
}

static void put_clock(const struct service *service, struct hm_json *json)
{
	hm_json_key(json, "clock");
	hm_json_begin(json, '{');
	hm_json_member_string(json, "state", clock_watch_is_stepped(service) ? "stepped" : "steady");
	if (clock_watch_by_ms(service))
		hm_json_member_number(json, "by_ms", clock_watch_by_ms(service));
	hm_json_key(json, "synchronised");
	hm_json_bool(json, hm_time_is_synchronised());
	hm_json_end(json, '}');
}

/* Of keys that are asked for. */
static void put_trust(const struct service *service, struct hm_json *json)
{
	const struct config *config = service->config;
	hm_json_key(json, "trust");
	hm_json_begin(json, '[');
	for (unsigned i = 0; i < config->trust_count && service->trusts; i++) {
		struct trust_facts facts = trust_facts(service->trusts, i);
		if (!facts.is_url)
			continue;
		hm_json_begin(json, '{');
		hm_json_member_string(json, "issuer", config->trust[i].issuer);
		hm_json_member_string(json, "name", config->trust[i].name);
		hm_json_member_number(json, "keys", facts.keys);
		if (facts.age_ms >= 0)
			hm_json_member_number(json, "age_s", facts.age_ms / 1000);
		hm_json_member_string(json, "last_error", facts.fault);
		hm_json_end(json, '}');
	}
	hm_json_end(json, ']');
}

static void put_readiness(const struct service *service, struct hm_json *json)
{
	char reason[HM_NAME_MAX + 128];
	bool ready = service_is_ready(service, reason, sizeof reason);
	hm_json_key(json, "ready");
	hm_json_bool(json, ready);
	if (!ready)
		hm_json_member_string(json, "reason", reason);
#ifdef HSMINT_TEST_CLOCK
	hm_json_key(json, "test");
	hm_json_bool(json, true);
#endif
}

size_t report_status(const struct service *service, char *text, size_t size)
{
	struct hm_json json = hm_json(text, size);
	hm_json_begin(&json, '{');
	hm_json_key(&json, "ok");
	hm_json_bool(&json, true);
	hm_json_member_string(&json, "version", HSMINT_VERSION);
	hm_json_member_number(&json, "pid", getpid());
	hm_json_member_number(&json, "uptime_s", (int64_t)(uv_now(&service->loop) - service->started_ms) / 1000);
	put_readiness(service, &json);
	put_gate(service, &json);
	put_ledger(service, &json);
	put_clock(service, &json);
	hm_json_key(&json, "tokens");
	hm_json_begin(&json, '[');
	for (unsigned i = 0; i < service->token_count; i++)
		put_token(service, service->tokens[i], &json);
	hm_json_end(&json, ']');
	hm_json_key(&json, "issuers");
	hm_json_begin(&json, '[');
	for (unsigned i = 0; i < service->config->issuers_count; i++)
		put_issuer(service, i, &json);
	hm_json_end(&json, ']');
	put_trust(service, &json);
	hm_json_member_number(&json, "minted", (int64_t)service->counters.minted_total);
	hm_json_member_number(&json, "replayed", (int64_t)service->counters.replayed_total);
	hm_json_member_number(&json, "refused", (int64_t)service->counters.refused_total);
	hm_json_member_number(&json, "failed", (int64_t)service->counters.failed_total);
	hm_json_member_number(&json, "pending", pending_count(service->pool) - ledger_heads_facts(service).is_signing);
	hm_json_end(&json, '}');
	return json.out.failed ? 0 : json.out.used;
}

/* ---- readiness: public, so it names tokens and states, and nothing that helps an attacker ---- */

size_t report_ready(const struct service *service, char *text, size_t size)
{
	struct gate_facts gate = gate_facts(service->gate);
	struct hm_json json = hm_json(text, size);
	hm_json_begin(&json, '{');
	put_readiness(service, &json);
	hm_json_key(&json, "tokens");
	hm_json_begin(&json, '{');
	for (unsigned i = 0; i < service->token_count; i++)
		hm_json_member_string(&json, token_configuration(service->tokens[i])->name,
			token_state_name(token_facts(service->tokens[i]).state));
	hm_json_end(&json, '}');
	hm_json_key(&json, "sandbox");
	hm_json_begin(&json, '{');
	hm_json_member_string(&json, "gate", gate.sandbox);
	hm_json_end(&json, '}');
	hm_json_end(&json, '}');
	return json.out.failed ? 0 : json.out.used;
}

/* ---- metrics ---- */

static bool audits_issuer(const struct service *service, const struct gate_caller *caller, unsigned issuer)
{
	const struct config_caller *known = policy_find_caller(service->config, issuer, caller);
	return known && (known->roles & ROLE_AUDIT);
}

/* A key for checkpoints is of all issuers; who gets here audits one. */
static bool audits_key(const struct service *service, const struct gate_caller *caller, const struct config_key *key)
{
	return key->use == KEY_USE_CHECKPOINT || audits_issuer(service, caller, key->issuer_index);
}

/* A token is told of to those who audit an issuer with a key on it. */
static bool audits_token(const struct service *service, const struct gate_caller *caller, unsigned token)
{
	const struct config *config = service->config;
	for (unsigned i = 0; i < config->keys_count; i++)
		if (config->keys[i].token_index == token && audits_key(service, caller, &config->keys[i]))
			return true;
	return false;
}

static void HM_PRINTF(2, 3) line(struct hm_writer *w, const char *format, ...)
{
	char text[512];
	va_list args;
	va_start(args, format);
	int length = vsnprintf(text, sizeof text - 1, format, args);
	va_end(args);
	if (length < 0 || length >= (int)sizeof text - 1)
		return;
	text[length++] = '\n';
	hm_put_raw(w, text, (size_t)length);
}

static void family(struct hm_writer *w, const char *name, const char *type, const char *help)
{
	line(w, "# HELP %s %s", name, help);
	line(w, "# TYPE %s %s", name, type);
}

static void put_minted(const struct service *service, const struct gate_caller *caller, struct hm_writer *w)
{
	const struct config *config = service->config;
	family(w, "hsmint_minted_total", "counter", "Credentials released, by profile.");
	for (unsigned i = 0; i < config->profiles_count; i++) {
		if (audits_issuer(service, caller, config->profiles[i].issuer_index))
			line(w, "hsmint_minted_total{issuer=\"%s\",profile=\"%s\"} %" PRIu64,
				config->profiles[i].issuer, config->profiles[i].name, service->counters.minted[i]);
	}
	family(w, "hsmint_replayed_total", "counter", "Credentials given again for an Idempotency-Key.");
	line(w, "hsmint_replayed_total %" PRIu64, service->counters.replayed_total);
	family(w, "hsmint_idempotency_keys", "gauge", "Idempotency-Keys that are remembered.");
	line(w, "hsmint_idempotency_keys %u", replays_count(service->replays));
	family(w, "hsmint_refused_total", "counter", "Requests answered with a problem by mint, by code.");
	for (unsigned i = 0; problem_kinds[i].code && i < COUNTED_CODES; i++)
		if (service->counters.refused_by_code[i])
			line(w, "hsmint_refused_total{code=\"%s\"} %" PRIu64, problem_kinds[i].code,
				service->counters.refused_by_code[i]);
	family(w, "hsmint_pending", "gauge", "Mint requests that wait for a token.");
	line(w, "hsmint_pending %u", pending_count(service->pool) - ledger_heads_facts(service).is_signing);
}

static void put_token_metrics(const struct service *service, const struct gate_caller *caller, struct hm_writer *w)
{
	static const struct {
		const char *name, *type, *help;
	} families[] = {{"hsmint_token_ready", "gauge", "1 when the token signs."},
		{"hsmint_token_waiting_for_operator", "gauge", "1 when people have to unlock the token."},
		{"hsmint_token_signed_total", "counter", "Signatures received."},
		{"hsmint_token_failed_total", "counter", "Requests that the token could not serve."},
		{"hsmint_token_restarts_total", "counter", "Restarts of the token's process."},
		{"hsmint_token_threads", "gauge", "Sessions that sign."},
		{"hsmint_token_rate", "gauge", "Signatures a second that the token does."},
		{"hsmint_token_queued", "gauge", "Requests waiting for the token."},
		{"hsmint_token_outstanding", "gauge", "Requests the token works on."}};
	for (size_t f = 0; f < sizeof families / sizeof *families; f++) {
		family(w, families[f].name, families[f].type, families[f].help);
		for (unsigned i = 0; i < service->token_count; i++) {
			if (!audits_token(service, caller, i))
				continue;
			struct token_facts facts = token_facts(service->tokens[i]);
			uint64_t values[] = {facts.state == TOKEN_READY && !facts.failing, facts.state == TOKEN_WAITING,
				facts.signed_count, facts.failed_count, facts.restarts, facts.threads, facts.rate,
				facts.queued, facts.outstanding};
			line(w, "%s{token=\"%s\"} %" PRIu64, families[f].name,
				token_configuration(service->tokens[i])->name, values[f]);
		}
	}
}

static void put_key_metrics(const struct service *service, const struct gate_caller *caller, struct hm_writer *w)
{
	family(w, "hsmint_key_reserve", "gauge", "Versions of the key that can sign when it is rotated next.");
	for (unsigned i = 0; i < service->config->keys_count; i++) {
		const struct config_key *key = &service->config->keys[i];
		unsigned reserve = 0;
		for (unsigned k = 0; k < service->keys.count; k++) {
			const struct issuing_key *issuing = &service->keys.items[k];
			reserve += issuing->config == key && issuing->known &&
				   (issuing->version->state == KEY_CREATED || issuing->version->state == KEY_PUBLISHED);
		}
		if (audits_key(service, caller, key))
			line(w, "hsmint_key_reserve{issuer=\"%s\",key=\"%s\"} %u", key->issuer ? key->issuer : "",
				key->name, reserve);
	}
}

static void put_ledger_metrics(const struct service *service, struct hm_writer *w)
{
	struct ledger_heads_facts facts = ledger_heads_facts(service);
	family(w, "hsmint_ledger_ready", "gauge", "1 when the ledger can be written.");
	line(w, "hsmint_ledger_ready %d", !ledger_fault(service->ledger));
	family(w, "hsmint_ledger_entries", "gauge", "Entries of the open shard.");
	line(w, "hsmint_ledger_entries{shard=\"%u\"} %" PRIu64, facts.shard, facts.size);
	family(w, "hsmint_ledger_checkpoint_entries", "gauge", "Those of them that its newest checkpoint covers.");
	line(w, "hsmint_ledger_checkpoint_entries{shard=\"%u\"} %" PRIu64, facts.shard, facts.signed_size);
	family(w, "hsmint_ledger_checkpoint_seconds", "gauge",
		"When that was signed, seconds since 1970; 0: not since the start.");
	line(w, "hsmint_ledger_checkpoint_seconds %" PRId64, facts.signed_at);
}

static void put_trust_metrics(const struct service *service, const struct gate_caller *caller, struct hm_writer *w)
{
	const struct config *config = service->config;
	family(w, "hsmint_trust_keys_age_seconds", "gauge",
		"Since the keys of somebody trusted were asked for; -1: there are none.");
	for (unsigned i = 0; i < config->trust_count && service->trusts; i++) {
		struct trust_facts facts = trust_facts(service->trusts, i);
		if (facts.is_url && audits_issuer(service, caller, config->trust[i].issuer_index))
			line(w, "hsmint_trust_keys_age_seconds{issuer=\"%s\",name=\"%s\"} %" PRId64,
				config->trust[i].issuer, config->trust[i].name,
				facts.age_ms < 0 ? -1 : facts.age_ms / 1000);
	}
}

static void put_clock_metrics(const struct service *service, struct hm_writer *w)
{
	family(w, "hsmint_clock_stepped", "gauge", "1 while wall time is not believed, and nothing is struck.");
	line(w, "hsmint_clock_stepped %d", clock_watch_is_stepped(service));
}

static void put_gate_metrics(const struct service *service, struct hm_writer *w)
{
	static const struct {
		const char *name, *type, *help;
	} families[GATE_COUNTERS] = {{"hsmint_gate_connections", "gauge", "Connections open."},
		{"hsmint_gate_connections_total", "counter", "Connections accepted since the gate started."},
		{"hsmint_gate_requests_total", "counter", "HTTP requests since the gate started."},
		{"hsmint_gate_in_flight", "gauge", "Requests with mint."},
		{"hsmint_gate_guard_refused_total", "counter", "Malformed HTTP requests refused."},
		{"hsmint_gate_tls_refused_total", "counter", "Client certificates missing or refused."},
		{"hsmint_gate_overload_total", "counter", "Requests refused for overload."},
		{"hsmint_gate_timeouts_total", "counter", "Connections closed for being too slow."}};
	struct gate_facts facts = gate_facts(service->gate);
	for (int i = 0; i < GATE_COUNTERS; i++) {
		family(w, families[i].name, families[i].type, families[i].help);
		line(w, "%s %" PRIu64, families[i].name, facts.stats.counter[i]);
	}
	family(w, "hsmint_gate_restarts_total", "counter", "Restarts of the gate.");
	line(w, "hsmint_gate_restarts_total %u", facts.restarts);
}

size_t report_metrics(const struct service *service, const struct gate_caller *caller, char *text, size_t size)
{
	struct hm_writer w = hm_writer(text, size);
	put_minted(service, caller, &w);
	put_token_metrics(service, caller, &w);
	put_key_metrics(service, caller, &w);
	put_ledger_metrics(service, &w);
	put_trust_metrics(service, caller, &w);
	put_clock_metrics(service, &w);
	put_gate_metrics(service, &w);
	return w.failed ? 0 : w.used;
}
