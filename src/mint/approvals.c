/* SPDX-License-Identifier: Apache-2.0 */
#include "approvals.h"

#include "base64url.h"
#include "canonical.h"
#include "id.h"
#include "mint_request.h"
#include "pattern.h"
#include "policy.h"
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_SIZE = 64, FORM_MAX = 2 * HM_HTTP_MAX_BODY, KEPT_SECONDS = 24 * 60 * 60 };

/* Its texts are those of the row's JSON, which it owns. */
struct approval_entry {
	struct approval approval;
	json_t *row;
};

/* By id: approvals are few, and live for a day. */
struct approvals {
	struct approval_entry **items;
	unsigned count, size;
};

const char *approval_state_name(enum approval_state state)
{
	static const char *const names[] = {"pending", "granted", "denied", "used", "expired"};
	return names[state];
}

struct approvals *approvals_open(void)
{
	return calloc(1, sizeof(struct approvals));
}

static void free_entry(struct approval_entry *entry)
{
	json_decref(entry->row);
	free(entry);
}

void approvals_close(struct approvals *approvals)
{
	if (!approvals)
		return;
	for (unsigned i = 0; i < approvals->count; i++)
		free_entry(approvals->items[i]);
	free(approvals->items);
	free(approvals);
}

/* ---- the view ---- */

/* Where it stands, or would. */
static unsigned place_of(const struct approvals *approvals, const char *id)
{
	unsigned low = 0, high = approvals->count;
	while (low < high) {
		unsigned middle = low + (high - low) / 2;
		if (strcmp(approvals->items[middle]->approval.id, id) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool is_at(const struct approvals *approvals, unsigned place, const char *id)
{
	return place < approvals->count && strcmp(approvals->items[place]->approval.id, id) == 0;
}

const struct approval *approvals_find(const struct approvals *approvals, const char *id)
{
	unsigned place = place_of(approvals, id);
	return is_at(approvals, place, id) ? &approvals->items[place]->approval : NULL;
}

const struct approval *approvals_pending(const struct approvals *approvals, const char *issuer, const char *caller,
	const char *hash, int64_t now, unsigned *waiting)
{
	const struct approval *same = NULL;
	*waiting = 0;
	for (unsigned i = 0; i < approvals->count; i++) {
		const struct approval *approval = &approvals->items[i]->approval;
		if (strcmp(approval->issuer, issuer) != 0 || strcmp(approval->caller, caller) != 0 ||
			approval_state(approval, now) != APPROVAL_PENDING)
			continue;
		++*waiting;
		if (strcmp(approval->hash, hash) == 0)
			same = approval;
	}
	return same;
}

unsigned approvals_list(const struct approvals *approvals, const char *issuer, const char *after,
	const struct approval **found, unsigned most)
{
	unsigned count = 0, place = after ? place_of(approvals, after) : 0;
	if (after && is_at(approvals, place, after))
		place++;
	for (; place < approvals->count && count < most; place++)
		if (strcmp(approvals->items[place]->approval.issuer, issuer) == 0)
			found[count++] = &approvals->items[place]->approval;
	return count;
}

static void remove_at(struct approvals *approvals, unsigned place)
{
	free_entry(approvals->items[place]);
	approvals->count--;
	memmove(approvals->items + place, approvals->items + place + 1,
		(approvals->count - place) * sizeof *approvals->items);
}

static bool has_room(struct approvals *approvals)
{
	if (approvals->count < approvals->size)
		return true;
	unsigned size = approvals->size ? 2 * approvals->size : FIRST_SIZE;
	struct approval_entry **items = realloc(approvals->items, size * sizeof(struct approval_entry *));
	if (!items)
		return false;
	approvals->items = items;
	approvals->size = size;
	return true;
}

static bool insert(struct approvals *approvals, struct approval_entry *entry)
{
	unsigned place = place_of(approvals, entry->approval.id);
	if (is_at(approvals, place, entry->approval.id)) {
		free_entry(approvals->items[place]);
		approvals->items[place] = entry;
		return true;
	}
	if (!has_room(approvals))
		return false;
	memmove(approvals->items + place + 1, approvals->items + place,
		(approvals->count - place) * sizeof *approvals->items);
	approvals->items[place] = entry;
	approvals->count++;
	return true;
}

/* ---- rows ---- */

static hm_result fault(const struct store_row *row, const char *what, struct hm_problem *why)
{
	return hm_broken(why, "the store's row of approval '%.64s': %s", row->key, what);
}

static hm_result read_approvers(
	const struct store_row *row, const json_t *approvers, struct approval *out, struct hm_problem *why)
{
	if (!json_is_array(approvers) || json_array_size(approvers) > HM_APPROVERS_MAX)
		return fault(row, "approvers", why);
	for (; out->granted < json_array_size(approvers); out->granted++)
		if (!(out->approvers[out->granted] = json_string_value(json_array_get(approvers, out->granted))))
			return fault(row, "approvers", why);
	return HM_OK;
}

static hm_result read_row(const struct store_row *row, json_t *body, struct approval *out, struct hm_problem *why)
{
	json_error_t error;
	json_t *approvers = NULL, *request = NULL;
	json_int_t asked = 0, expires = 0, wanted = 0;
	int used = 0;
	const char *hash = "", *denied_by = "";
	if (json_unpack_ex(body, &error, 0, "{s:o, s:I, s:s, s?s, s:I, s:s, s:s, s:o, s?b, s:I !}", "approvers",
		    &approvers, "asked", &asked, "caller", &out->caller, "denied_by", &denied_by, "expires", &expires,
		    "hash", &hash, "issuer", &out->issuer, "request", &request, "used", &used, "wanted", &wanted) != 0)
		return fault(row, error.text, why);
	if (strlen(row->key) != HM_ID_MAX || strlen(hash) != sizeof out->hash - 1 || wanted < 1 ||
		wanted > HM_APPROVERS_MAX || !json_is_object(request))
		return fault(row, "id, hash, request or wanted", why);
	memcpy(out->id, row->key, sizeof out->id);
	memcpy(out->hash, hash, sizeof out->hash);
	out->version = row->version;
	out->wanted = (unsigned)wanted;
	out->denied_by = denied_by;
	out->used = used;
	out->asked = asked;
	out->expires = expires;
	out->request = request;
	return read_approvers(row, approvers, out, why);
}

hm_result approvals_take(struct approvals *approvals, const struct store_row *row, struct hm_problem *why)
{
	json_error_t error;
	if (!row->body) {
		unsigned place = place_of(approvals, row->key);
		if (is_at(approvals, place, row->key))
			remove_at(approvals, place);
		return HM_OK;
	}
	struct approval_entry *entry = calloc(1, sizeof *entry);
	if (!entry)
		return hm_broken(why, "no memory for an approval");
	entry->row = json_loadb(row->body, row->length, JSON_REJECT_DUPLICATES, &error);
	hm_result result = json_is_object(entry->row) ? read_row(row, entry->row, &entry->approval, why)
						      : fault(row, "no JSON object", why);
	if (result == HM_OK && !insert(approvals, entry))
		result = hm_broken(why, "no memory for an approval");
	if (result != HM_OK)
		free_entry(entry);
	return result;
}

static bool put(struct changes *changes, const char *id, uint64_t seen, json_t *row)
{
	char *text = row ? json_dumps(row, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
	bool is_put = text && changes_put(changes, RECORD_APPROVAL, id, seen, text, strlen(text));
	free(text);
	json_decref(row);
	return is_put;
}

bool approvals_put(struct changes *changes, const struct decision *decision, json_t *form, const char *hash,
	unsigned wanted, int64_t now, unsigned within, char id[HM_ID_MAX + 1])
{
	return id_make(id) &&
	       put(changes, id, 0,
		       json_pack("{s:[], s:I, s:s, s:I, s:s, s:s, s:O, s:i}", "approvers", "asked", (json_int_t)now,
			       "caller", decision->caller->name, "expires", (json_int_t)now + within, "hash", hash,
			       "issuer", decision->issuer->name, "request", form, "wanted", (int)wanted));
}

/* Its row as it is, to be changed. */
static json_t *copy_row(const struct approval *approval)
{
	return json_deep_copy(((const struct approval_entry *)approval)->row);
}

/* Without what was to be changed it is not written. */
static bool put_changed(struct changes *changes, const struct approval *approval, json_t *row, bool is_changed)
{
	if (is_changed)
		return put(changes, approval->id, approval->version, row);
	json_decref(row);
	return false;
}

bool approvals_put_used(struct changes *changes, const struct approval *approval)
{
	json_t *row = copy_row(approval);
	bool is_set = json_object_set_new(row, "used", json_true()) == 0;
	return put_changed(changes, approval, row, is_set);
}

bool approvals_put_granted(struct changes *changes, const struct approval *approval, const char *approver)
{
	json_t *row = copy_row(approval);
	bool is_set = json_array_append_new(json_object_get(row, "approvers"), json_string(approver)) == 0;
	return put_changed(changes, approval, row, is_set);
}

bool approvals_put_denied(struct changes *changes, const struct approval *approval, const char *approver)
{
	json_t *row = copy_row(approval);
	bool is_set = json_object_set_new(row, "denied_by", json_string(approver)) == 0;
	return put_changed(changes, approval, row, is_set);
}

unsigned approvals_expire(const struct approvals *approvals, int64_t now, unsigned most, struct changes *changes)
{
	unsigned count = 0;
	for (unsigned i = 0; i < approvals->count && count < most; i++) {
		const struct approval *approval = &approvals->items[i]->approval;
		if (now > approval->expires + KEPT_SECONDS &&
			changes_delete(changes, RECORD_APPROVAL, approval->id, approval->version))
			count++;
	}
	return count;
}

/* ---- what is approved ---- */

static bool is_sensitive_scope(const struct config_approve *approve, const char *scopes)
{
	for (const char *scope = scopes; scope;) {
		size_t length = strcspn(scope, " ");
		for (unsigned i = 0; i < approve->scopes_count; i++)
			if (strlen(approve->scopes[i]) == length && memcmp(approve->scopes[i], scope, length) == 0)
				return true;
		scope = scope[length] ? scope + length + 1 : NULL;
	}
	return false;
}

static bool is_sensitive_audience(const struct config_approve *approve, const struct mint_request *request)
{
	for (unsigned i = 0; i < request->audience_count; i++)
		for (unsigned k = 0; k < approve->audiences_count; k++)
			if (pattern_matches(
				    approve->audiences[k], request->audiences[i], strlen(request->audiences[i])))
				return true;
	return false;
}

unsigned approvals_wanted(const struct config_profile *profile, const struct mint_request *request, unsigned *within)
{
	const struct config_approve *approve = profile->approve;
	if (!approve || (!is_sensitive_scope(approve, request->scope) && !is_sensitive_audience(approve, request)))
		return 0;
	*within = approve->within;
	return approve->by;
}

/* The rest of it, as far as the request has it. False: no memory, and then it must not be approved. */
static bool put_asked(json_t *form, const struct mint_request *request)
{
	json_t *audience = json_object_get(form, "audience");
	bool failed = false;
	for (unsigned i = 0; i < request->audience_count; i++)
		failed |= json_array_append_new(audience, json_string(request->audiences[i])) != 0;
	if (request->lifetime)
		failed |= json_object_set_new(form, "lifetime", json_integer(request->lifetime)) != 0;
	if (request->task_id)
		failed |= json_object_set_new(form, "task", json_string(request->task_id)) != 0;
	return !failed;
}

/* Who acts for whom it is, the newest first. */
static bool put_actors(json_t *form, const struct mint_request *request)
{
	return !request->delegation ||
	       json_object_set_new(form, "actors", delegation_actors(request->delegation, request->subject)) == 0;
}

static bool put_key(json_t *form, const struct decision *decision)
{
	return !decision->thumbprint || json_object_set_new(form, "key", json_string(decision->thumbprint)) == 0;
}

json_t *approvals_form(const struct decision *decision, const struct mint_request *request)
{
	json_t *form = json_pack("{s:s, s:s, s:s, s:s, s:s, s:[], s:s*, s:O*, s:O*}", "issuer", decision->issuer->name,
		"caller", decision->caller->name, "profile", decision->profile->name, "kind",
		credential_kind_name(decision->profile->kind), "subject",
		request->delegation ? request->delegation->sub : request->subject, "audience", "scope", request->scope,
		"task", request->task, "claims", request->claims);
	if (form && put_asked(form, request) && put_actors(form, request) && put_key(form, decision))
		return form;
	json_decref(form);
	return NULL;
}

hm_result approvals_hash(const json_t *form, char hash[44], struct hm_problem *why)
{
	uint8_t digest[32];
	char *text = malloc(FORM_MAX);
	struct hm_json json = hm_json(text, text ? FORM_MAX : 0);
	canonical_write(&json, form);
	bool is_hashed = !json.out.failed && EVP_Digest(text, json.out.used, digest, NULL, EVP_sha256(), NULL) == 1;
	free(text);
	if (!is_hashed)
		return hm_refuse(
			why, "wrong_type", NULL, "numbers that are integers, where a request must be approved");
	hash[base64url_encode(digest, sizeof digest, hash)] = 0;
	return HM_OK;
}

/* ---- what became of it ---- */

enum approval_state approval_state(const struct approval *approval, int64_t now)
{
	if (approval->used)
		return APPROVAL_USED;
	if (approval->denied_by[0])
		return APPROVAL_DENIED;
	if (now >= approval->expires)
		return APPROVAL_EXPIRED;
	return approval->granted >= approval->wanted ? APPROVAL_GRANTED : APPROVAL_PENDING;
}

hm_result approvals_check(const struct approval *approval, const char *issuer, const char *caller, const char *hash,
	int64_t now, struct hm_problem *why)
{
	static const char *const codes[] = {
		"approval_pending", NULL, "approval_denied", "approval_used", "approval_expired"};
	static const char *const mends[] = {"one that all its approvers have granted", NULL,
		"one that nobody has denied", "one that was not used before", "one whose time is not over"};
	if (!approval || strcmp(approval->issuer, issuer) != 0 || strcmp(approval->caller, caller) != 0)
		return hm_refuse(
			why, "unknown_approval", "approval", "the id of an approval that this caller asked for");
	if (strcmp(approval->hash, hash) != 0)
		return hm_refuse(why, "approval_mismatch", "approval", "the request exactly as it was approved");
	enum approval_state state = approval_state(approval, now);
	return codes[state] ? hm_refuse(why, codes[state], "approval", "%s", mends[state]) : HM_OK;
}

json_t *approval_json(const struct approval *approval, int64_t now)
{
	json_t *approvers = json_array();
	for (unsigned i = 0; i < approval->granted; i++)
		json_array_append_new(approvers, json_string(approval->approvers[i]));
	json_t *json = json_pack("{s:s, s:s, s:s, s:s, s:O, s:i, s:o, s:s, s:I, s:I}", "id", approval->id, "hash",
		approval->hash, "issuer", approval->issuer, "caller", approval->caller, "request", approval->request,
		"wanted", (int)approval->wanted, "approvers", approvers, "state",
		approval_state_name(approval_state(approval, now)), "asked", (json_int_t)approval->asked, "expires",
		(json_int_t)approval->expires);
	if (json && approval->denied_by[0])
		json_object_set_new(json, "denied_by", json_string(approval->denied_by));
	return json;
}
