/* SPDX-License-Identifier: Apache-2.0 */
#include "record.h"

#include "base64url.h"
#include "canonical.h"
#include "clock.h"
#include "evidence.h"
#include "json_write.h"
#include "jwt.h"
#include "ledger.h"
#include "log.h"
#include "problem.h"
#include "store.h"
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HASH_TEXT = 43, SMALL_MAX = 4096 };

static hm_result hash_text(const void *data, size_t length, char text[HASH_TEXT + 1], struct hm_problem *why)
{
	uint8_t hash[32];
	if (EVP_Digest(data, length, hash, NULL, EVP_sha256(), NULL) != 1)
		return hm_broken(why, "SHA-256 failed");
	text[base64url_encode(hash, sizeof hash, text)] = 0;
	return HM_OK;
}

static void put_end(struct hm_json *json, const char *type)
{
	hm_json_member_number(json, "time", hm_time());
	hm_json_member_string(json, "type", type);
	hm_json_member_number(json, "v", RECORD_VERSION);
	hm_json_end(json, '}');
}

static void put_optional(struct hm_json *json, const char *name, const char *text)
{
	if (text && text[0])
		hm_json_member_string(json, name, text);
}

uint64_t record_add(struct service *service, const struct hm_json *json, bool quiet)
{
	if (json->out.failed) { /* every text in it has a limit */
		hm_log(HM_ERROR, "internal", "detail=\"no room for an entry of the ledger\"");
		return 0;
	}
	return ledger_add(service->ledger, json->out.data, json->out.used, quiet, NULL);
}

/* ---- credentials ---- */

static unsigned sorted_names(json_t *object, const char **names, unsigned most)
{
	const char *name;
	json_t *value;
	unsigned count = 0;
	json_object_foreach(object, name, value) if (count < most) names[count++] = name;
	qsort(names, count, sizeof *names, canonical_compare);
	return count;
}

static void put_texts(struct hm_json *json, const char *name, const char *const *texts, unsigned count)
{
	hm_json_key(json, name);
	hm_json_begin(json, '[');
	for (unsigned i = 0; i < count; i++)
		hm_json_string(json, texts[i]);
	hm_json_end(json, ']');
}

static void put_claims(struct hm_json *json, json_t *claims)
{
	const char *names[HM_CLAIMS_MAX];
	unsigned count = sorted_names(claims, names, HM_CLAIMS_MAX);
	if (count)
		put_texts(json, "claims", names, count);
}

/* Of those, what does not name a human: that stands among `humans`. */
static unsigned context_names(const struct config_profile *profile, json_t *context, const char **names)
{
	unsigned count = sorted_names(context, names, HM_CONTEXT_MAX), kept = 0;
	for (unsigned i = 0; i < count; i++)
		if (!humans_name(profile, names[i]))
			names[kept++] = names[i];
	return kept;
}

static void put_context(struct hm_json *json, const struct config_profile *profile, json_t *context)
{
	const char *names[HM_CONTEXT_MAX];
	unsigned count = context_names(profile, context, names);
	if (!count)
		return;
	hm_json_key(json, "context");
	hm_json_begin(json, '{');
	for (unsigned i = 0; i < count; i++) {
		json_t *value = json_object_get(context, names[i]);
		hm_json_key(json, names[i]);
		hm_json_text(json, json_string_value(value), json_string_length(value));
	}
	hm_json_end(json, '}');
}

static void put_humans(struct hm_json *json, const struct humans *humans)
{
	if (!humans->count)
		return;
	hm_json_key(json, "humans");
	hm_json_begin(json, '[');
	for (unsigned i = 0; i < humans->count; i++)
		hm_json_string(json, humans->items[i].commitment);
	hm_json_end(json, ']');
}

/* What is to be signed, by its hash; under the humans' salts where it names one. */
static hm_result hash_tbs(const struct pending *pending, char text[HASH_TEXT + 1], struct hm_problem *why)
{
	if (pending->humans.in_claims)
		return humans_hash(&pending->humans, pending->jwt, pending->tbs_length, text, why);
	return hash_text(pending->jwt, pending->tbs_length, text, why);
}

static const char *tbs_name(const struct pending *pending)
{
	return pending->humans.in_claims ? "tbs_hmac" : "tbs";
}

static void put_place(struct hm_json *json, const struct status_place *place)
{
	hm_json_key(json, "status");
	hm_json_begin(json, '{');
	hm_json_member_number(json, "index", place->index);
	hm_json_member_number(json, "list", place->list);
	hm_json_end(json, '}');
}

/* A member whose value has always the same length, so that another may take its place; returns where it begins. */
static size_t put_fixed(struct hm_json *json, const char *name, const char *text)
{
	hm_json_member_string(json, name, text);
	return json->out.used - HASH_TEXT - 1;
}

/* The newest first. */
static void put_actors(struct hm_json *json, const struct mint_request *request)
{
	hm_json_key(json, "actors");
	hm_json_begin(json, '[');
	hm_json_string(json, request->subject);
	for (const json_t *act = request->delegation->act; act; act = json_object_get(act, "act"))
		hm_json_string(json, json_string_value(json_object_get(act, "sub")));
	hm_json_end(json, ']');
}

hm_result record_prepare(struct pending *pending, const char *state, const struct decision *decision,
	const struct mint_request *request, const char *idempotency_key, struct hm_problem *why)
{
	char tbs[HASH_TEXT + 1];
	struct hm_json json = hm_json(pending->entry, sizeof pending->entry);
	HM_TRY(humans_find(state, decision->profile, request, &pending->humans, why));
	HM_TRY(hash_tbs(pending, tbs, why));
	hm_json_begin(&json, '{');
	if (request->delegation)
		put_actors(&json, request);
	if (decision->agent)
		hm_json_member_string(&json, "agent", decision->agent->id);
	if (decision->approval)
		hm_json_member_string(&json, "approval", decision->approval->id);
	put_texts(&json, "audience", request->audiences, request->audience_count);
	hm_json_member_string(&json, "caller", decision->caller->name);
	put_claims(&json, request->claims);
	jwt_put_cnf(&json, decision);
	put_context(&json, decision->profile, request->context);
	put_optional(&json, "decision", decision->decision_id);
	hm_json_member_number(&json, "expires", pending->expires);
	if (request->delegation)
		hm_json_member_string(&json, "from", request->delegation->from);
	put_optional(&json, "grant", request->grant);
	put_humans(&json, &pending->humans);
	hm_json_member_string(&json, "id", pending->id_text);
	put_optional(&json, "idempotency_key", idempotency_key);
	hm_json_member_number(&json, "issued", pending->issued);
	hm_json_member_string(&json, "issuer", decision->issuer->name);
	pending->entry_kid = put_fixed(&json, "kid", pending->kid);
	hm_json_member_string(&json, "kind", credential_kind_name(pending->kind));
	if (request->delegation && !delegation_is_of_person(request->delegation))
		hm_json_member_string(&json, "on_behalf_of", request->delegation->sub);
	hm_json_member_string(&json, "owner", decision->accountable->owner);
	hm_json_member_string(&json, "profile", pending->profile);
	put_optional(&json, "scope", request->scope);
	if (pending->has_place)
		put_place(&json, &pending->place);
	hm_json_member_string(&json, "subject", request->subject);
	put_optional(&json, "task", pending->task);
	pending->entry_tbs = put_fixed(&json, tbs_name(pending), tbs);
	put_end(&json, "credential");
	pending->entry_length = json.out.used;
	return json.out.failed ? hm_broken(why, "no room for the ledger's entry") : HM_OK;
}

hm_result record_prepare_status_list(struct pending *pending, const char *issuer, unsigned list, struct hm_problem *why)
{
	char tbs[HASH_TEXT + 1];
	struct hm_json json = hm_json(pending->entry, sizeof pending->entry);
	HM_TRY(hash_tbs(pending, tbs, why));
	hm_json_begin(&json, '{');
	hm_json_member_string(&json, "issuer", issuer);
	pending->entry_kid = put_fixed(&json, "kid", pending->kid);
	hm_json_member_number(&json, "list", list);
	pending->entry_tbs = put_fixed(&json, "tbs", tbs);
	put_end(&json, "status_list");
	pending->entry_length = json.out.used;
	return json.out.failed ? hm_broken(why, "no room for the ledger's entry") : HM_OK;
}

hm_result record_moved(struct pending *pending, struct hm_problem *why)
{
	char tbs[HASH_TEXT + 1];
	HM_TRY(hash_tbs(pending, tbs, why));
	memcpy(pending->entry + pending->entry_kid, pending->kid, HASH_TEXT);
	memcpy(pending->entry + pending->entry_tbs, tbs, HASH_TEXT);
	return HM_OK;
}

/* An entry of the open shard is named by its index alone. */
static void put_of(const struct service *service, struct hm_json *json, const struct pending *pending)
{
	hm_json_member_number(json, "of", (int64_t)pending->receipt.index);
	if (pending->receipt.shard == ledger_shard(service->ledger))
		return;
	char origin[HM_ORIGIN_MAX + 1];
	ledger_origin(service->ledger, pending->receipt.shard, origin);
	hm_json_member_string(json, "origin", origin);
}

static uint64_t add_retry(struct service *service, const struct pending *pending)
{
	char text[SMALL_MAX];
	struct hm_json json = hm_json(text, sizeof text);
	hm_json_begin(&json, '{');
	hm_json_member_string(&json, "kid", pending->kid);
	put_of(service, &json, pending);
	hm_json_key(&json, tbs_name(pending));
	hm_json_text(&json, pending->entry + pending->entry_tbs, HASH_TEXT);
	put_end(&json, "retry");
	return record_add(service, &json, false);
}

bool record_sending(struct service *service, struct pending *pending)
{
	uint64_t ticket = pending->ticket ? add_retry(service, pending)
					  : ledger_add(service->ledger, pending->entry, pending->entry_length, false,
						    &pending->receipt);
	if (ticket) /* else what was added before is still to be told of */
		pending->ticket = ticket;
	return ticket;
}

void record_void(struct service *service, const struct pending *pending, const char *reason)
{
	char text[SMALL_MAX];
	struct hm_json json = hm_json(text, sizeof text);
	hm_json_begin(&json, '{');
	put_of(service, &json, pending);
	hm_json_member_string(&json, "reason", reason);
	put_end(&json, "void");
	(void)record_add(service, &json, false);
}

/* ---- refusals ---- */

struct refusals {
	unsigned count, others; /* others: for those there was no place */
	struct refusal {
		const struct config_caller *caller;
		const struct problem_kind *kind;
		unsigned count;
	} items[HM_REFUSALS_MAX]; /* found by hashing; count 0: free */
};

struct refusals *refusals_open(void)
{
	return calloc(1, sizeof(struct refusals));
}

void refusals_close(struct refusals *refusals)
{
	free(refusals);
}

static struct refusal *find_refusal(
	struct refusals *refusals, const struct config_caller *caller, const struct problem_kind *kind)
{
	size_t at =
		((size_t)(uintptr_t)caller / sizeof *caller * 31 + (size_t)(kind - problem_kinds)) % HM_REFUSALS_MAX;
	for (unsigned tried = 0; tried < HM_REFUSALS_MAX; tried++, at = (at + 1) % HM_REFUSALS_MAX) {
		struct refusal *refusal = &refusals->items[at];
		if (!refusal->count || (refusal->caller == caller && refusal->kind == kind))
			return refusal;
	}
	return NULL;
}

static const struct config_caller *known_caller(const struct config *config, const struct gate_caller *caller)
{
	const struct config_caller *known = NULL;
	for (unsigned i = 0; i < config->issuers_count && !known; i++)
		known = policy_find_caller(config, i, caller);
	return known;
}

void record_refused(
	struct service *service, const struct config_caller *client, const struct gate_caller *caller, const char *code)
{
	struct refusals *refusals = service->refusals;
	const struct config_caller *known = client ? client : known_caller(service->config, caller);
	if (!known)
		return;
	struct refusal *refusal = find_refusal(refusals, known, problem_kind(code));
	if (!refusal) {
		refusals->others++;
		return;
	}
	refusal->caller = known;
	refusal->kind = problem_kind(code);
	refusals->count += !refusal->count++;
}

static void add_refused(struct service *service, const struct refusal *refusal)
{
	char text[SMALL_MAX];
	struct hm_json json = hm_json(text, sizeof text);
	hm_json_begin(&json, '{');
	if (refusal->caller)
		hm_json_member_string(&json, "caller", refusal->caller->name);
	if (refusal->kind)
		hm_json_member_string(&json, "code", refusal->kind->code);
	hm_json_member_number(&json, "count", refusal->count);
	if (refusal->caller)
		hm_json_member_string(&json, "issuer", refusal->caller->issuer);
	put_end(&json, "refused");
	(void)record_add(service, &json, false);
}

void record_tick(struct service *service)
{
	struct refusals *refusals = service->refusals;
	if (ledger_fault(service->ledger))
		return; /* they go on being counted: what cannot be written must not grow */
	for (unsigned i = 0; i < HM_REFUSALS_MAX && refusals->count; i++) {
		if (!refusals->items[i].count)
			continue;
		add_refused(service, &refusals->items[i]);
		refusals->items[i].count = 0;
		refusals->count--;
	}
	if (refusals->others)
		add_refused(service, &(struct refusal){.count = refusals->others});
	refusals->others = 0;
}

/* ---- what governs ---- */

static void put_configuration(const struct service *service, struct hm_json *json, const char *name)
{
	char text[HASH_TEXT + 1];
	text[base64url_encode(service->config->sha256, sizeof service->config->sha256, text)] = 0;
	hm_json_member_string(json, name, text);
}

static void add_start(struct service *service, const char *type)
{
	char text[SMALL_MAX];
	struct hm_json json = hm_json(text, sizeof text);
	hm_json_begin(&json, '{');
	put_configuration(service, &json, "configuration");
	hm_json_member_number(&json, "sequence", (int64_t)store_sequence(service->store));
	hm_json_member_number(&json, "time", hm_time());
	hm_json_member_string(&json, "type", type);
	hm_json_member_number(&json, "v", RECORD_VERSION);
	hm_json_member_string(&json, "version", HSMINT_VERSION);
	hm_json_end(&json, '}');
	(void)record_add(service, &json, false);
}

void record_start(struct service *service)
{
	add_start(service, "start");
}

void record_stop(struct service *service)
{
	record_tick(service);
	add_start(service, "stop");
}

void record_configuration(struct service *service)
{
	char text[SMALL_MAX];
	struct hm_json json = hm_json(text, sizeof text);
	hm_json_begin(&json, '{');
	put_configuration(service, &json, "sha256");
	put_end(&json, "configuration");
	(void)record_add(service, &json, false);
}

/* What a command is about: texts with a limit, or it was refused for them. */
static void put_named(struct hm_json *json, const char *name, const json_t *request)
{
	const char *text = json_string_value(json_object_get(request, name));
	if (text && strlen(text) <= HM_NAME_MAX)
		hm_json_member_string(json, name, text);
}

void record_command(
	struct service *service, uint32_t uid, const char *command, const json_t *request, const char *result)
{
	char text[SMALL_MAX];
	const struct gate_caller caller = {.kind = CALLER_UNIX, .uid = uid};
	const struct config_caller *known = known_caller(service->config, &caller);
	const json_t *version = json_object_get(request, "version");
	struct hm_json json = hm_json(text, sizeof text);
	hm_json_begin(&json, '{');
	if (known)
		hm_json_member_string(&json, "caller", known->name);
	hm_json_member_string(&json, "command", command);
	put_named(&json, "key", request);
	hm_json_member_string(&json, "result", result);
	hm_json_member_number(&json, "time", hm_time());
	put_named(&json, "token", request);
	hm_json_member_string(&json, "type", "command");
	hm_json_member_number(&json, "uid", uid);
	hm_json_member_number(&json, "v", RECORD_VERSION);
	if (json_is_integer(version) && json_integer_value(version) >= 0 &&
		json_integer_value(version) <= HM_INTEGER_MAX)
		hm_json_member_number(&json, "version", json_integer_value(version));
	hm_json_end(&json, '}');
	(void)record_add(service, &json, false);
}

void record_forgotten(struct service *service, const char *commitment)
{
	char text[SMALL_MAX];
	struct hm_json json = hm_json(text, sizeof text);
	hm_json_begin(&json, '{');
	hm_json_member_string(&json, "human", commitment);
	put_end(&json, "forgotten");
	(void)record_add(service, &json, false);
}

void record_clock(struct service *service, const char *event, int64_t by_ms)
{
	char text[SMALL_MAX];
	struct hm_json json = hm_json(text, sizeof text);
	hm_json_begin(&json, '{');
	if (by_ms)
		hm_json_member_number(&json, "by_ms", by_ms);
	hm_json_member_string(&json, "event", event);
	put_end(&json, "clock");
	(void)record_add(service, &json, false);
}

void record_unlock(struct service *service, const char *token, uint32_t uid, const char *event)
{
	char text[SMALL_MAX];
	struct hm_json json = hm_json(text, sizeof text);
	hm_json_begin(&json, '{');
	hm_json_member_string(&json, "event", event);
	hm_json_member_number(&json, "time", hm_time());
	hm_json_member_string(&json, "token", token);
	hm_json_member_string(&json, "type", "unlock");
	hm_json_member_number(&json, "uid", uid);
	hm_json_member_number(&json, "v", RECORD_VERSION);
	hm_json_end(&json, '}');
	(void)record_add(service, &json, false);
}

static void put_hash(struct hm_json *json, const char *name, const void *data, size_t length)
{
	char text[HASH_TEXT + 1];
	struct hm_problem why;
	if (hash_text(data, length, text, &why) == HM_OK)
		hm_json_member_string(json, name, text);
}

void record_key(struct service *service, const struct config_key *key, const struct key_version *version)
{
	static char text[SMALL_MAX], evidence[EVIDENCE_KEY_MAX];
	char spki[(HM_SPKI_MAX * 4 + 2) / 3 + 1];
	const struct issuing_key *issuing = issuing_keys_find(&service->keys, version);
	const struct token_key_ready *shown =
		issuing && issuing->known ? token_shown(issuing->token, issuing->place) : NULL;
	struct hm_json json = hm_json(text, sizeof text);
	hm_json_begin(&json, '{');
	hm_json_member_string(&json, "event", key_state_name(version->state));
	if (shown)
		put_hash(&json, "evidence", evidence, evidence_write_key(service, issuing, evidence, sizeof evidence));
	put_optional(&json, "id", version->id);
	hm_json_member_string(&json, "key", key->name);
	put_optional(&json, "kid", version->kid);
	put_optional(&json, "label", version->label);
	hm_json_member_number(&json, "number", version->number);
	if (shown) {
		spki[base64url_encode(shown->spki, shown->spki_length, spki)] = 0;
		hm_json_member_string(&json, "spki", spki);
	}
	hm_json_member_number(&json, "time", hm_time());
	hm_json_member_string(&json, "type", "key");
	hm_json_member_string(&json, "use", key_use_name(key->use));
	hm_json_member_number(&json, "v", RECORD_VERSION);
	hm_json_end(&json, '}');
	(void)record_add(service, &json, false);
}
