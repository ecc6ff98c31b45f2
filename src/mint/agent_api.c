/* SPDX-License-Identifier: Apache-2.0 */
#include "agent_api.h"

#include "agent_row.h"
#include "api_query.h"
#include "base64url.h"
#include "changes.h"
#include "id.h"
#include "registration.h"
#include "service.h"
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char entry_type[] = "agent";

static hm_result no_memory(struct hm_problem *why)
{
	return hm_broken(why, "no memory");
}

static const char *trust_domain_of(const struct api_call *call)
{
	const struct config *config = call->service->config;
	for (unsigned i = 0; i < config->issuers_count; i++)
		if (strcmp(config->issuers[i].name, call->issuer) == 0)
			return config->issuers[i].trust_domain;
	return ""; /* of which there is no SPIFFE ID */
}

static hm_result check_review(int64_t review, int64_t now, struct hm_problem *why)
{
	if (review <= now)
		return hm_refuse(why, "invalid_member", "review", "a time that is still to come");
	return HM_OK;
}

/* ---- adding ---- */

/* The same as the known one was registered with: then they would have the same row. */
static bool is_same(const struct agent *known, const struct agent *wanted)
{
	char known_body[HM_STORE_BODY_MAX + 1], wanted_body[HM_STORE_BODY_MAX + 1];
	struct agent other = *wanted;
	memcpy(other.id, known->id, sizeof other.id);
	other.status = known->status;
	other.created = known->created;
	agent_row_write(known, known_body);
	agent_row_write(&other, wanted_body);
	return strcmp(known_body, wanted_body) == 0;
}

/* `*known` is the agent if it is there already, else NULL: then the changes have the new one. */
static hm_result register_one(const struct api_call *call, struct agent *agent, struct changes *changes,
	const struct agent **known, struct hm_problem *why)
{
	*known = agents_find(call->service->agents, call->issuer, agent->spiffe_id);
	if (*known && is_same(*known, agent))
		return HM_OK;
	if (*known)
		return hm_refuse(why, "agent_exists", "spiffe_id", "what it is registered with, or another SPIFFE ID");
	HM_TRY(check_review(agent->review, call->now, why));
	agent->created = call->now;
	if (!id_make(agent->id) || !agent_row_put(changes, agent))
		return no_memory(why);
	return HM_OK;
}

static json_t *entry_of(const struct agent *agent, const char *act, const char *reason)
{
	json_t *entry = json_pack("{s:s,s:s,s:b,s:s,s:s,s:I,s:s}", "act", act, "agent", agent->spiffe_id, "class",
		agent->is_class, "id", agent->id, "owner", agent->owner, "review", (json_int_t)agent->review, "status",
		agent_status_name(agent->status));
	if (reason && json_object_set_new(entry, "reason", json_string(reason)) != 0) {
		json_decref(entry);
		return NULL;
	}
	return entry;
}

/* What changes an agent is committed, recorded and answered with the agent as it is then. */
static hm_result answer(struct api_call *call, int status, const struct agent *agent, const char *act,
	const char *reason, struct hm_problem *why)
{
	call->status = status;
	call->answer = agent_json(agent);
	if (act) {
		call->entry_type = entry_type;
		call->entry = entry_of(agent, act, reason);
	}
	return call->answer && (!act || call->entry) ? HM_OK : no_memory(why);
}

hm_result agent_api_add(struct api_call *call, struct hm_problem *why)
{
	struct registration registration;
	const struct agent *known;
	HM_TRY(registration_read(call->body, call->issuer, trust_domain_of(call), &registration, why));
	call->changes = changes_open();
	if (!call->changes)
		return no_memory(why);
	HM_TRY(register_one(call, &registration.agent, call->changes, &known, why));
	if (!known)
		return answer(call, 201, &registration.agent, "add", NULL, why);
	changes_close(call->changes);
	call->changes = NULL;
	return answer(call, 200, known, NULL, NULL, why);
}

/* ---- importing ---- */

struct import {
	struct changes *changes;
	json_t *seen;       /* SPIFFE IDs */
	json_t *ids;        /* of those that are new, */
	EVP_MD_CTX *digest; /* and of their rows */
	unsigned added, unchanged;
};

static void import_cleanup(struct import *import)
{
	changes_close(import->changes);
	json_decref(import->seen);
	json_decref(import->ids);
	EVP_MD_CTX_free(import->digest);
}

static hm_result import_one(const struct api_call *call, struct import *import, json_t *item, struct hm_problem *why)
{
	struct registration registration;
	struct agent *agent = &registration.agent;
	const struct agent *known;
	HM_TRY(registration_read(item, call->issuer, trust_domain_of(call), &registration, why));
	if (json_object_get(import->seen, agent->spiffe_id))
		return hm_refuse(why, "invalid_member", "spiffe_id", "each agent once");
	if (json_object_set_new_nocheck(import->seen, agent->spiffe_id, json_null()) != 0)
		return no_memory(why);
	HM_TRY(register_one(call, agent, import->changes, &known, why));
	if (known) {
		import->unchanged++;
		return HM_OK;
	}
	import->added++;
	const struct change *row = &import->changes->items[import->changes->count - 1];
	return EVP_DigestUpdate(import->digest, row->body, row->length) == 1 &&
			       json_array_append_new(import->ids, json_string(agent->id)) == 0
		       ? HM_OK
		       : no_memory(why);
}

/* "owner" becomes "agents[17].owner". */
static void name_item(size_t index, struct hm_problem *why)
{
	char field[sizeof why->field + 32]; /* what is too long for a problem is cut there */
	snprintf(field, sizeof field, "agents[%zu]%s%s", index, why->field[0] ? "." : "", why->field);
	field[sizeof why->field - 1] = 0;
	memcpy(why->field, field, sizeof why->field);
}

/* The ids tell which, and the digest as what: the agents themselves can be more than an entry holds. */
static json_t *import_entry(const struct import *import)
{
	uint8_t hash[32];
	char digest[64];
	if (EVP_DigestFinal_ex(import->digest, hash, NULL) != 1)
		return NULL;
	digest[base64url_encode(hash, sizeof hash, digest)] = 0;
	return json_pack("{s:s,s:s,s:O}", "act", "import", "digest", digest, "ids", import->ids);
}

static hm_result check_import(json_t *body, json_t **agents, struct hm_problem *why)
{
	const char *name;
	json_t *value;
	*agents = json_object_get(body, "agents");
	json_object_foreach(body, name, value)
	{
		if (strcmp(name, "agents") != 0)
			return hm_refuse(why, "unknown_member", name, "agents");
	}
	if (!*agents)
		return hm_refuse(why, "missing_member", "agents", "1 to %d agents", HM_IMPORT_MAX);
	if (!json_is_array(*agents))
		return hm_refuse(why, "wrong_type", "agents", "an array of agents");
	if (json_array_size(*agents) == 0 || json_array_size(*agents) > HM_IMPORT_MAX)
		return hm_refuse(why, "invalid_member", "agents", "1 to %d agents", HM_IMPORT_MAX);
	return HM_OK;
}

hm_result agent_api_import(struct api_call *call, struct hm_problem *why)
{
	json_t *agents;
	HM_TRY(check_import(call->body, &agents, why));
	__attribute__((cleanup(import_cleanup))) struct import import = {
		changes_open(), json_object(), json_array(), EVP_MD_CTX_new(), 0, 0};
	if (!import.changes || !import.seen || !import.ids || !import.digest ||
		EVP_DigestInit_ex(import.digest, EVP_sha256(), NULL) != 1)
		return no_memory(why);
	for (size_t i = 0; i < json_array_size(agents); i++) {
		hm_result result = import_one(call, &import, json_array_get(agents, i), why);
		if (result == HM_REFUSED)
			name_item(i, why);
		HM_TRY(result);
	}
	call->status = 200;
	call->answer = json_pack("{s:i,s:i}", "added", import.added, "unchanged", import.unchanged);
	if (import.added) {
		call->entry_type = entry_type;
		call->entry = import_entry(&import);
		call->changes = import.changes;
		import.changes = NULL; /* handed over */
	}
	return call->answer && (!import.added || call->entry) ? HM_OK : no_memory(why);
}

/* ---- showing ---- */

/* What belongs to another issuer is as if it was not there. */
static hm_result find(const struct api_call *call, const struct agent **out, struct hm_problem *why)
{
	*out = agents_by_id(call->service->agents, call->id);
	if (!*out || strcmp((*out)->issuer, call->issuer) != 0)
		return hm_refuse(why, "no_agent", "id", "the id of an agent");
	return HM_OK;
}

hm_result agent_api_show(struct api_call *call, struct hm_problem *why)
{
	const struct agent *agent;
	HM_TRY(find(call, &agent, why));
	return answer(call, 200, agent, NULL, NULL, why);
}

/* One more than is asked for, to know whether there are more. */
static unsigned look_up(const struct api_call *call, const char *after, unsigned limit, const struct agent **found)
{
	const struct agents *agents = call->service->agents;
	const char *spiffe_id = json_string_value(json_object_get(call->query, "spiffe_id"));
	if (!spiffe_id)
		return agents_list(agents, call->issuer, after, found, limit + 1);
	found[0] = agents_find(agents, call->issuer, spiffe_id);
	return found[0] ? 1 : 0;
}

/* As many as asked for, or as go into one answer. */
static unsigned append(json_t *list, const struct agent *const *found, unsigned count, bool *failed)
{
	char body[HM_STORE_BODY_MAX + 1];
	size_t bytes = 0;
	unsigned i = 0;
	for (; i < count && bytes < HM_LIST_BYTES_MAX; i++) {
		bytes += agent_row_write(found[i], body);
		*failed |= json_array_append_new(list, agent_json(found[i])) != 0;
	}
	return i;
}

hm_result agent_api_list(struct api_call *call, struct hm_problem *why)
{
	const struct agent *found[HM_LIST_MAX + 1];
	const char *after;
	unsigned limit;
	bool failed = false;
	HM_TRY(api_query_page(call, "spiffe_id", &after, &limit, why));
	unsigned count = look_up(call, after, limit, found);
	json_t *list = json_array();
	unsigned shown = append(list, found, count < limit ? count : limit, &failed);
	call->status = 200;
	call->answer = json_pack("{s:o}", "agents", list);
	if (shown > 0 && shown < count)
		failed |= json_object_set_new(call->answer, "next", json_string(found[shown - 1]->spiffe_id)) != 0;
	return call->answer && !failed ? HM_OK : no_memory(why);
}

/* ---- acts ---- */

static hm_result not_possible(const struct agent *agent, struct hm_problem *why)
{
	return hm_refuse(why, "agent_state", NULL, "an agent that is not %s", agent_status_name(agent->status));
}

static hm_result change(
	struct api_call *call, const struct agent *agent, const char *act, const char *reason, struct hm_problem *why)
{
	call->changes = changes_open();
	if (!call->changes || !agent_row_put(call->changes, agent))
		return no_memory(why);
	return answer(call, 200, agent, act, reason, why);
}

static hm_result change_status(
	struct api_call *call, const char *act, unsigned from, enum agent_status to, struct hm_problem *why)
{
	const char *reason;
	const struct agent *agent;
	HM_TRY(api_body_reason(call, &reason, why));
	HM_TRY(find(call, &agent, why));
	if (!(from & 1U << agent->status))
		return not_possible(agent, why);
	struct agent changed = *agent;
	changed.status = to;
	return change(call, &changed, act, reason, why);
}

hm_result agent_api_suspend(struct api_call *call, struct hm_problem *why)
{
	return change_status(call, "suspend", 1U << AGENT_ACTIVE, AGENT_SUSPENDED, why);
}

hm_result agent_api_resume(struct api_call *call, struct hm_problem *why)
{
	return change_status(call, "resume", 1U << AGENT_SUSPENDED, AGENT_ACTIVE, why);
}

hm_result agent_api_retire(struct api_call *call, struct hm_problem *why)
{
	return change_status(call, "retire", 1U << AGENT_ACTIVE | 1U << AGENT_SUSPENDED, AGENT_RETIRED, why);
}

hm_result agent_api_transfer(struct api_call *call, struct hm_problem *why)
{
	struct transfer read;
	const struct agent *agent;
	HM_TRY(transfer_read(call->body, &read, why));
	if (read.review)
		HM_TRY(check_review(read.review, call->now, why));
	HM_TRY(find(call, &agent, why));
	if (agent->of)
		return hm_refuse(why, "agent_state", NULL, "its class, which has the owner");
	if (agent->status == AGENT_RETIRED)
		return not_possible(agent, why);
	struct agent changed = *agent;
	changed.owner = read.owner;
	changed.contact = read.contact ? read.contact : agent->contact;
	changed.review = read.review ? read.review : agent->review;
	return change(call, &changed, "transfer", NULL, why);
}
