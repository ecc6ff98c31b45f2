/* SPDX-License-Identifier: Apache-2.0 */
#include "revocation_api.h"

#include "api_query.h"
#include "delegation.h"
#include "humans.h"
#include "own_token.h"
#include "service.h"
#include "spiffe.h"
#include <stdlib.h>
#include <string.h>

static const char *const words[REVOCATION_KINDS] = {"credential", "subject", "key"};

static hm_result no_memory(struct hm_problem *why)
{
	return hm_broken(why, "no memory for a revocation");
}

/* ---- what is revoked ---- */

struct wanted {
	enum revocation_of of;
	const char *name; /* id, subject or kid */
	const char *reason;
	bool force;
	bool has_place;
	struct status_place place;
	int64_t expires; /* nothing it is about lives longer */
};

static hm_result check_members(const struct api_call *call, struct hm_problem *why)
{
	static const char *const known[] = {"issuer", "credential", "subject", "key", "token", "reason", "force"};
	const char *name;
	json_t *value;
	json_object_foreach(call->body, name, value)
	{
		size_t i = 0;
		while (i < sizeof known / sizeof *known && strcmp(known[i], name) != 0)
			i++;
		if (i == sizeof known / sizeof *known)
			return hm_refuse(why, "unknown_member", name,
				"issuer, one of credential, token, subject, key, and reason, force");
	}
	return HM_OK;
}

static unsigned issuer_index(const struct api_call *call)
{
	unsigned index = 0;
	while (strcmp(call->service->config->issuers[index].name, call->issuer) != 0)
		index++; /* api.c found it */
	return index;
}

/* The credential itself says more than its id. */
static hm_result read_token(const struct api_call *call, const char *text, struct own_token *token,
	struct wanted *wanted, struct hm_problem *why)
{
	HM_TRY(own_token_read(call->service, issuer_index(call), text, call->now, token, why));
	wanted->of = REVOKED_CREDENTIAL;
	wanted->name = token->id;
	wanted->expires = token->expires;
	wanted->has_place = token->has_place;
	wanted->place = token->place;
	return HM_OK;
}

static hm_result read_wanted(
	const struct api_call *call, struct own_token *token, struct wanted *wanted, struct hm_problem *why)
{
	static const size_t most[REVOCATION_KINDS] = {DELEGATION_FROM_MAX, HM_SPIFFE_ID_MAX, HM_KID_MAX};
	unsigned found = 0;
	const char *text;
	*wanted = (struct wanted){.expires = call->now + HM_LIFETIME_MAX};
	HM_TRY(check_members(call, why));
	HM_TRY(api_body_text(call, "reason", HM_REASON_MAX, &wanted->reason, why));
	wanted->force = json_is_true(json_object_get(call->body, "force"));
	for (enum revocation_of of = 0; of < REVOCATION_KINDS; of++) {
		HM_TRY(api_body_text(call, words[of], most[of], &text, why));
		if (!text)
			continue;
		wanted->of = of;
		wanted->name = text;
		found++;
	}
	HM_TRY(api_body_text(call, "token", HM_JWT_MAX, &text, why));
	if (found + !!text != 1)
		return hm_refuse(why, "missing_member", "credential", "exactly one of credential, token, subject, key");
	return text ? read_token(call, text, token, wanted, why) : HM_OK;
}

/* ---- revoking ---- */

static json_t *row_of(const struct api_call *call, const struct wanted *wanted)
{
	json_t *row = json_pack("{s:I, s:s, s:I, s:s*}", "at", (json_int_t)call->now, "by", call->actor.name, "expires",
		(json_int_t)wanted->expires, "reason", wanted->reason);
	if (row && wanted->has_place) {
		json_object_set_new(row, "list", json_integer(wanted->place.list));
		json_object_set_new(row, "index", json_integer(wanted->place.index));
	}
	return row;
}

/* Whose place was told once keeps it, though only its id is told now. */
static void keep_known(const struct api_call *call, struct wanted *wanted)
{
	const struct revocation *known =
		revocations_find(call->service->revocations, wanted->of, call->issuer, wanted->name);
	if (!known || !known->has_place)
		return;
	wanted->has_place = true;
	wanted->place = (struct status_place){known->list, known->index};
	wanted->expires = known->expires;
}

static hm_result put_row(struct api_call *call, struct wanted *wanted, struct hm_problem *why)
{
	char key[HM_STORE_KEY_MAX + 1];
	uint64_t seen = revocations_version(call->service->revocations, wanted->of, call->issuer, wanted->name);
	keep_known(call, wanted);
	json_t *row = row_of(call, wanted);
	char *text = row ? json_dumps(row, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
	bool is_put = text && revocation_key(wanted->of, call->issuer, wanted->name, key) &&
		      changes_put(call->changes, RECORD_REVOCATION, key, seen, text, strlen(text));
	free(text);
	json_decref(row);
	return is_put ? HM_OK : no_memory(why);
}

/* A place that others share says of all of them that they have ended, or of none. */
static hm_result end_place(struct api_call *call, struct wanted *wanted, struct hm_problem *why)
{
	struct status_lists *lists = call->service->status_lists;
	if (!wanted->has_place || !status_lists_is_shared(lists, call->issuer, wanted->place))
		return HM_OK;
	if (!wanted->force)
		return hm_refuse(why, "revoke_task_instead", NULL,
			"the end of its task, or force: then all credentials of the task that are out end");
	wanted->has_place = false; /* it is the whole block's */
	return status_lists_put_ended(lists, call->issuer, wanted->place, call->changes) ? HM_OK : no_memory(why);
}

/* What was revoked before stays so from then on; a subject or key is revoked anew, for what came since, and a
 * credential whose id alone was known then, now that its place in a list is. */
static bool is_done(const struct api_call *call, const struct wanted *wanted)
{
	const struct revocation *known =
		revocations_find(call->service->revocations, wanted->of, call->issuer, wanted->name);
	if (!known || wanted->of != REVOKED_CREDENTIAL)
		return known && known->at >= call->now;
	return !wanted->has_place ||
	       status_lists_value(call->service->status_lists, call->issuer, wanted->place) == STATUS_INVALID;
}

/* The ledger is for ever: a person is a commitment there. */
static hm_result write_entry(struct api_call *call, const struct wanted *wanted, struct hm_problem *why)
{
	char person[COMMITMENT_MAX + 1] = "";
	bool is_person = wanted->of == REVOKED_SUBJECT && !spiffe_begins(wanted->name);
	if (is_person)
		HM_TRY(humans_commit(call->service->config->state, wanted->name, person, why));
	call->entry = json_pack("{s:s*, s:s*, s:b}", is_person ? "human" : words[wanted->of],
		is_person ? person : wanted->name, "reason", wanted->reason, "force", wanted->force);
	return call->entry ? HM_OK : no_memory(why);
}

static hm_result revoke_one(struct api_call *call, struct wanted *wanted, struct hm_problem *why)
{
	call->status = 200;
	call->answer = json_pack("{s:s, s:I}", words[wanted->of], wanted->name, "at", (json_int_t)call->now);
	if (!call->answer)
		return no_memory(why);
	if (is_done(call, wanted) && !wanted->force)
		return HM_OK;
	call->changes = changes_open();
	call->entry_type = "revocation";
	if (!call->changes)
		return no_memory(why);
	HM_TRY(write_entry(call, wanted, why));
	HM_TRY(end_place(call, wanted, why));
	return put_row(call, wanted, why);
}

hm_result revocation_of_credential(struct api_call *call, const char *id, const struct status_place *place,
	int64_t expires, const char *reason, bool force, struct hm_problem *why)
{
	struct wanted wanted = {
		.of = REVOKED_CREDENTIAL, .name = id, .reason = reason, .force = force, .expires = expires};
	wanted.has_place = place != NULL;
	if (place)
		wanted.place = *place;
	return revoke_one(call, &wanted, why);
}

hm_result revocation_api_add(struct api_call *call, struct hm_problem *why)
{
	struct wanted wanted;
	OWN_TOKEN_AUTO token = {.payload = NULL};
	HM_TRY(read_wanted(call, &token, &wanted, why));
	return revoke_one(call, &wanted, why);
}

/* ---- list ---- */

hm_result revocation_api_list(struct api_call *call, struct hm_problem *why)
{
	const char *after;
	unsigned limit;
	HM_TRY(api_query_page(call, NULL, &after, &limit, why));
	const struct revocation *found[HM_LIST_MAX];
	unsigned count = revocations_list(call->service->revocations, call->issuer, after, found, limit);
	json_t *shown = json_array();
	char key[HM_STORE_KEY_MAX + 1] = "";
	for (unsigned i = 0; i < count; i++) {
		(void)json_array_append_new(
			shown, json_pack("{s:s, s:I, s:I}", words[found[i]->of], found[i]->name, "at",
				       (json_int_t)found[i]->at, "expires", (json_int_t)found[i]->expires));
		(void)!revocation_key(found[i]->of, found[i]->issuer, found[i]->name, key);
	}
	call->status = 200;
	call->answer = json_pack("{s:o, s:s*}", "revocations", shown, "next", count == limit ? key : NULL);
	return call->answer ? HM_OK : no_memory(why);
}
