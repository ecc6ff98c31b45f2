/* SPDX-License-Identifier: Apache-2.0 */
#include "revocations.h"

#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEPT_SECONDS = 24 * 60 * 60 };

static const char *const words[REVOCATION_KINDS] = {"credential", "subject", "key"};

/* One allocation: the texts are behind it. */
struct revocation_entry {
	struct revocation revocation;
	uint64_t version;
	const char *key; /* of its row */
	char texts[];
};

struct revocations {
	void *tree;
	struct revocation_entry *removed; /* what revocations_take gave last is still there, until the next */
};

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct revocation_entry *)a)->key, ((const struct revocation_entry *)b)->key);
}

struct revocations *revocations_open(void)
{
	return calloc(1, sizeof(struct revocations));
}

void revocations_close(struct revocations *revocations)
{
	if (!revocations)
		return;
	tdestroy(revocations->tree, free);
	free(revocations->removed);
	free(revocations);
}

/* ---- rows ---- */

static hm_result fault(const struct store_row *row, const char *what, struct hm_problem *why)
{
	return hm_broken(why, "the store's row of revocation '%.200s': %s", row->key, what);
}

/* ISSUER " " WORD " " NAME: cut in place. */
static bool split(char *key, struct revocation *out)
{
	char *word = strchr(key, ' '), *name = word ? strchr(word + 1, ' ') : NULL;
	if (!name || word == key || !name[1])
		return false;
	*word++ = *name++ = 0;
	out->issuer = key;
	out->name = name;
	for (out->of = 0; out->of < REVOCATION_KINDS; out->of++)
		if (strcmp(words[out->of], word) == 0)
			return true;
	return false;
}

static hm_result read_body(const struct store_row *row, struct revocation *out, struct hm_problem *why)
{
	json_error_t error;
	json_t *body = json_loadb(row->body, row->length, JSON_REJECT_DUPLICATES, &error);
	json_int_t at = 0, expires = 0, list = -1, index = -1;
	const char *by = "", *reason = "";
	int result = body ? json_unpack_ex(body, &error, 0, "{s:I, s:s, s:I, s?I, s?I, s?s !}", "at", &at, "by", &by,
				    "expires", &expires, "index", &index, "list", &list, "reason", &reason)
			  : -1;
	json_decref(body);
	if (result != 0)
		return fault(row, error.text, why);
	if (at < 0 || expires < 0 || (list < 0) != (index < 0) || list > UINT16_MAX || index > UINT16_MAX)
		return fault(row, "a number out of its range", why);
	out->at = at;
	out->expires = expires;
	out->has_place = list >= 0;
	out->list = out->has_place ? (unsigned)list : 0;
	out->index = out->has_place ? (unsigned)index : 0;
	return HM_OK;
}

static struct revocation_entry *new_entry(const struct store_row *row)
{
	size_t length = strlen(row->key) + 1;
	struct revocation_entry *entry = calloc(1, sizeof *entry + 2 * length);
	if (!entry)
		return NULL;
	memcpy(entry->texts, row->key, length);
	memcpy(entry->texts + length, row->key, length);
	entry->key = entry->texts;
	entry->version = row->version;
	return entry;
}

static struct revocation_entry *find_row(const struct revocations *revocations, const char *key)
{
	const struct revocation_entry wanted = {.key = key};
	struct revocation_entry **found = tfind(&wanted, &revocations->tree, compare);
	return found ? *found : NULL;
}

static void remove_row(struct revocations *revocations, struct revocation_entry *entry)
{
	tdelete(entry, &revocations->tree, compare);
	free(revocations->removed);
	revocations->removed = entry;
}

static hm_result insert(struct revocations *revocations, struct revocation_entry *entry, struct hm_problem *why)
{
	struct revocation_entry *before = find_row(revocations, entry->key);
	if (before)
		remove_row(revocations, before);
	if (tsearch(entry, &revocations->tree, compare))
		return HM_OK;
	free(entry);
	return hm_broken(why, "no memory for a revocation");
}

hm_result revocations_take(struct revocations *revocations, const struct store_row *row,
	const struct revocation **taken, struct hm_problem *why)
{
	struct revocation_entry *before = find_row(revocations, row->key);
	*taken = NULL;
	if (!row->body) {
		if (before)
			remove_row(revocations, before);
		return HM_OK;
	}
	struct revocation_entry *entry = new_entry(row);
	if (!entry)
		return hm_broken(why, "no memory for a revocation");
	hm_result result = split(entry->texts + strlen(row->key) + 1, &entry->revocation)
				   ? read_body(row, &entry->revocation, why)
				   : fault(row, "its key is not an issuer, what is revoked, and its name", why);
	if (result != HM_OK) {
		free(entry);
		return result;
	}
	HM_TRY(insert(revocations, entry, why));
	*taken = &entry->revocation;
	return HM_OK;
}

/* ---- looking ---- */

bool revocation_key(enum revocation_of of, const char *issuer, const char *name, char key[HM_STORE_KEY_MAX + 1])
{
	return snprintf(key, HM_STORE_KEY_MAX + 1, "%s %s %s", issuer, words[of], name) <= HM_STORE_KEY_MAX;
}

static const struct revocation_entry *find(
	const struct revocations *revocations, enum revocation_of of, const char *issuer, const char *name)
{
	char key[HM_STORE_KEY_MAX + 1];
	return revocation_key(of, issuer, name, key) ? find_row(revocations, key) : NULL;
}

const struct revocation *revocations_find(
	const struct revocations *revocations, enum revocation_of of, const char *issuer, const char *name)
{
	const struct revocation_entry *entry = find(revocations, of, issuer, name);
	return entry ? &entry->revocation : NULL;
}

uint64_t revocations_version(
	const struct revocations *revocations, enum revocation_of of, const char *issuer, const char *name)
{
	const struct revocation_entry *entry = find(revocations, of, issuer, name);
	return entry ? entry->version : 0;
}

static bool covers(const struct revocation *revocation, int64_t issued)
{
	return revocation && issued <= revocation->at;
}

bool revocations_cover(const struct revocations *revocations, const char *issuer, const char *id, const char *subject,
	const char *kid, int64_t issued)
{
	if (!revocations->tree)
		return false;
	return revocations_find(revocations, REVOKED_CREDENTIAL, issuer, id) ||
	       covers(revocations_find(revocations, REVOKED_SUBJECT, issuer, subject), issued) ||
	       covers(revocations_find(revocations, REVOKED_KEY, issuer, kid), issued);
}

int64_t revocations_until(
	const struct revocations *revocations, const char *issuer, const char *subject, const char *kid)
{
	if (!revocations->tree)
		return -1;
	const struct revocation *of_subject = revocations_find(revocations, REVOKED_SUBJECT, issuer, subject);
	const struct revocation *of_key = revocations_find(revocations, REVOKED_KEY, issuer, kid);
	int64_t until = of_subject ? of_subject->at : -1;
	return of_key && of_key->at > until ? of_key->at : until;
}

/* ---- all of them ---- */

struct walk {
	const char *issuer, *after;
	const struct revocation **found;
	struct changes *changes; /* NULL: they are listed */
	int64_t now;
	unsigned count, most;
};

static void list_one(const void *node, VISIT visit, void *context)
{
	struct walk *walk = context;
	const struct revocation_entry *entry = *(struct revocation_entry *const *)node;
	if ((visit != postorder && visit != leaf) || walk->count == walk->most ||
		strcmp(entry->revocation.issuer, walk->issuer) != 0 ||
		(walk->after && strcmp(entry->key, walk->after) <= 0))
		return;
	walk->found[walk->count++] = &entry->revocation;
}

unsigned revocations_list(const struct revocations *revocations, const char *issuer, const char *after,
	const struct revocation **found, unsigned most)
{
	struct walk walk = {.issuer = issuer, .after = after, .found = found, .most = most};
	twalk_r(revocations->tree, list_one, &walk);
	return walk.count;
}

static void expire_one(const void *node, VISIT visit, void *context)
{
	struct walk *walk = context;
	const struct revocation_entry *entry = *(struct revocation_entry *const *)node;
	if ((visit != postorder && visit != leaf) || walk->count == walk->most ||
		walk->now - KEPT_SECONDS <= entry->revocation.expires)
		return;
	if (changes_delete(walk->changes, RECORD_REVOCATION, entry->key, entry->version))
		walk->count++;
}

unsigned revocations_expire(struct revocations *revocations, int64_t now, unsigned most, struct changes *changes)
{
	struct walk walk = {.changes = changes, .now = now, .most = most};
	twalk_r(revocations->tree, expire_one, &walk);
	return walk.count;
}
