/* SPDX-License-Identifier: Apache-2.0 */
#include "anchor.h"

#include "anchor_store.h"
#include "anchor_witness.h"
#include "file.h"
#include "shard.h"
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct anchor {
	const struct config_ledger *ledger;
	struct witness *witness;      /* NULL: there is none */
	struct anchor_store *store;   /* the same */
	struct checkpoint remembered; /* of what was read, what tells most of the store */
	bool is_new;                  /* the ledger had no checkpoint when its anchor was read, and none was kept yet */
	pthread_mutex_t lock;
};

/* ---- opening ---- */

static const struct config_witness *witness_of(const struct config_ledger *ledger)
{
	return ledger->anchor ? ledger->anchor->witness : NULL;
}

static const char *file_of(const struct config_ledger *ledger)
{
	return ledger->anchor ? ledger->anchor->file : NULL;
}

static hm_result open_store(struct anchor *anchor, struct hm_problem *why)
{
	const struct config_ledger *ledger = anchor->ledger;
	if (!ledger->anchor || !ledger->anchor->store_url)
		return HM_OK;
	anchor->store = anchor_store_open(ledger->anchor->store_url, ledger->origin);
	return anchor->store ? HM_OK : hm_unavailable(why, "system", "no memory for the ledger's anchor");
}

hm_result anchor_open(const struct config_ledger *ledger, struct anchor **anchor, struct hm_problem *why)
{
	struct anchor *opened = *anchor = calloc(1, sizeof *opened);
	if (!opened)
		return hm_unavailable(why, "system", "no memory for the ledger's anchor");
	opened->ledger = ledger;
	pthread_mutex_init(&opened->lock, NULL);
	hm_result result = witness_of(ledger) ? witness_open(witness_of(ledger), &opened->witness, why) : HM_OK;
	if (result == HM_OK)
		result = open_store(opened, why);
	if (result == HM_OK)
		return HM_OK;
	anchor_close(opened);
	*anchor = NULL;
	return result;
}

void anchor_close(struct anchor *anchor)
{
	if (!anchor)
		return;
	witness_close(anchor->witness);
	anchor_store_close(anchor->store);
	pthread_mutex_destroy(&anchor->lock);
	free(anchor);
}

hm_result anchor_remember(const char *note, size_t length, struct anchor_memory *memory, struct hm_problem *why)
{
	*memory = (struct anchor_memory){.is_known = length > 0, .has_root = length > 0};
	return length ? checkpoint_read(note, length, &memory->newest, why) : HM_OK;
}

/* What was found when the directory is not as new as it must be. */
static hm_result judge(const struct anchor_finding *finding, struct hm_problem *why)
{
	if (finding->relation == ANCHOR_BEHIND || finding->relation == ANCHOR_CONTRADICTS)
		return hm_refuse(why, "ledger", NULL, "%s", finding->detail);
	return HM_OK;
}

/* The worse of two: what refuses tells more than what is away. */
static hm_result worse(hm_result first, hm_result second, const struct hm_problem *of_second, struct hm_problem *why)
{
	if (second == HM_OK || (first != HM_OK && (first != HM_UNAVAILABLE || second == HM_UNAVAILABLE)))
		return first;
	*why = *of_second;
	return second;
}

/* ---- file ---- */

/* Storage that is not mounted looks like an anchor that never was; it must not pass for one, nor be written beside. */
static hm_result check_presence(const struct anchor *anchor, const char *path, struct hm_problem *why)
{
	if (access(path, F_OK) == 0 || anchor->is_new)
		return HM_OK;
	return hm_unavailable(why, "ledger",
		"%s: %s; the ledger has been anchored elsewhere or not at all: mount what it is on, or, if this anchor "
		"is "
		"new, make an empty file there",
		path, strerror(errno));
}

static hm_result remember_file(
	const struct anchor *anchor, const char *path, struct anchor_memory *memory, struct hm_problem *why)
{
	char note[NOTE_MAX];
	size_t length = 0;
	struct hm_problem fault;
	*memory = (struct anchor_memory){.is_known = false};
	HM_TRY(check_presence(anchor, path, why));
	if (access(path, F_OK) < 0)
		return HM_OK;
	if (file_read(path, false, note, sizeof note, &length, &fault) != HM_OK)
		return hm_unavailable(why, "ledger", "the anchor cannot be read: %s", fault.detail);
	if (anchor_remember(note, length, memory, &fault) == HM_OK)
		return HM_OK;
	return hm_refuse(why, "ledger", NULL,
		"%s: %s: what the ledger's anchor knew is lost; `hsmint ledger restore` goes on "
		"without it",
		path, fault.detail);
}

/* What one place remembers, against the directory. */
static hm_result compare(
	struct anchor *anchor, const char *where, const struct anchor_memory *memory, struct hm_problem *why)
{
	struct anchor_finding finding;
	if (memory->is_known && memory->newest.store > anchor->remembered.store)
		anchor->remembered = memory->newest;
	HM_TRY(anchor_compare(anchor->ledger, where, memory, &finding, why));
	return judge(&finding, why);
}

static hm_result read_file(struct anchor *anchor, struct hm_problem *why)
{
	char where[HM_PATH_MAX + 8];
	struct anchor_memory memory;
	const char *path = file_of(anchor->ledger);
	if (!path)
		return HM_OK;
	snprintf(where, sizeof where, "file %s", path);
	HM_TRY(remember_file(anchor, path, &memory, why));
	return compare(anchor, where, &memory, why);
}

static hm_result keep_in_file(struct anchor *anchor, const char *note, size_t length, struct hm_problem *why)
{
	struct hm_problem fault;
	const char *path = file_of(anchor->ledger);
	if (!path)
		return HM_OK;
	HM_TRY(check_presence(anchor, path, why));
	if (file_replace(path, note, length, 0644, &fault) != HM_OK)
		return hm_unavailable(why, "ledger", "the anchor cannot be written: %s", fault.detail);
	anchor->is_new = false;
	return HM_OK;
}

/* ---- the store ---- */

/* Another database looks like an anchor that never was. */
static hm_result read_store(struct anchor *anchor, struct hm_problem *why)
{
	char note[NOTE_MAX];
	size_t length;
	bool is_there;
	struct anchor_memory memory;
	if (!anchor->store)
		return HM_OK;
	HM_TRY(anchor_store_read(anchor->store, note, &length, &is_there, why));
	if (!is_there && !anchor->is_new)
		return hm_unavailable(why, "ledger",
			"the store has no anchor of %.100s, which has been anchored elsewhere or not at all: if this "
			"one is "
			"new, INSERT INTO hsmint.anchor VALUES ('%.100s', '')",
			anchor->ledger->origin, anchor->ledger->origin);
	HM_TRY(anchor_remember(note, length, &memory, why));
	return compare(anchor, "the store", &memory, why);
}

/* ---- witness ---- */

/* It may be ahead of the newest checkpoint, when that was not written any more, but not of the entries. */
static hm_result compare_witness(
	const struct anchor *anchor, const char *note, size_t length, uint64_t knows, struct hm_problem *why)
{
	char where[HM_URL_MAX + 16];
	struct anchor_memory memory;
	struct anchor_finding finding;
	snprintf(where, sizeof where, "witness %s", witness_of(anchor->ledger)->url);
	HM_TRY(anchor_remember(note, length, &memory, why));
	memory.newest.size = knows;
	memory.has_root = false;
	HM_TRY(anchor_compare(anchor->ledger, where, &memory, &finding, why));
	return judge(&finding, why);
}

static hm_result read_witness(const struct anchor *anchor, struct hm_problem *why)
{
	char note[NOTE_MAX];
	size_t length;
	unsigned shard;
	uint64_t knows;
	if (!anchor->witness)
		return HM_OK;
	HM_TRY(anchor_newest(anchor->ledger, &shard, note, &length, why));
	if (!shard)
		return HM_OK; /* there is nothing that a witness could be asked about */
	hm_result result = witness_add(anchor->witness, anchor->ledger->directory, shard, note, &length, &knows, why);
	return knows ? compare_witness(anchor, note, length, knows, why) : result;
}

static hm_result keep_at_witness(
	const struct anchor *anchor, unsigned shard, char note[NOTE_MAX], size_t *length, struct hm_problem *why)
{
	uint64_t knows;
	return anchor->witness
		       ? witness_add(anchor->witness, anchor->ledger->directory, shard, note, length, &knows, why)
		       : HM_OK;
}

/* ---- all ---- */

/* A ledger that has no checkpoint yet may find no file; every other one must. */
static hm_result see_whether_new(struct anchor *anchor, struct hm_problem *why)
{
	char note[NOTE_MAX];
	size_t length;
	unsigned shard;
	HM_TRY(anchor_newest(anchor->ledger, &shard, note, &length, why));
	anchor->is_new = shard == 0;
	return HM_OK;
}

static hm_result read_all(struct anchor *anchor, struct hm_problem *why)
{
	struct hm_problem fault;
	HM_TRY(see_whether_new(anchor, why));
	hm_result result = read_file(anchor, why);
	result = worse(result, read_store(anchor, &fault), &fault, why);
	return worse(result, read_witness(anchor, &fault), &fault, why);
}

hm_result anchor_read(struct anchor *anchor, struct hm_problem *why)
{
	pthread_mutex_lock(&anchor->lock);
	hm_result result = read_all(anchor, why);
	pthread_mutex_unlock(&anchor->lock);
	return result;
}

hm_result anchor_keep(
	struct anchor *anchor, unsigned shard, char note[NOTE_MAX], size_t *length, struct hm_problem *why)
{
	struct hm_problem fault;
	pthread_mutex_lock(&anchor->lock);
	hm_result result = keep_in_file(anchor, note, *length, why);
	if (anchor->store)
		result = worse(result, anchor_store_keep(anchor->store, note, *length, &fault), &fault, why);
	result = worse(result, keep_at_witness(anchor, shard, note, length, &fault), &fault, why);
	pthread_mutex_unlock(&anchor->lock);
	return result;
}

const struct checkpoint *anchor_remembered(const struct anchor *anchor)
{
	return &anchor->remembered;
}
