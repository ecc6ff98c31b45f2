/* SPDX-License-Identifier: Apache-2.0 */
#include "anchor.h"

#include "entry.h"
#include "ledger_restore.h"
#include "shard.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* What mends a directory that is not the newest one. */
#define MEND "bring back the newest copy, or accept this one with `hsmint ledger restore`"

/* ---- the directory ---- */

static hm_result note_of_shard(
	const char *directory, unsigned number, char note[NOTE_MAX], size_t *length, struct hm_problem *why)
{
	SHARD_AUTO *shard = NULL;
	HM_TRY(shard_open(directory, number, &shard, why));
	hm_result result = shard_checkpoint(shard, note, length, why);
	return result == HM_UNAVAILABLE && *length == 0 ? HM_OK : result;
}

hm_result anchor_newest(const struct config_ledger *ledger, unsigned *shard, char note[NOTE_MAX], size_t *length,
	struct hm_problem *why)
{
	unsigned first, last;
	*shard = 0;
	*length = 0;
	HM_TRY(shard_numbers(ledger->directory, &first, &last, why));
	/* The last one may have none yet; the one before it was closed by one. */
	for (unsigned number = last; number >= first && number && number + 1 >= last; number--) {
		HM_TRY(note_of_shard(ledger->directory, number, note, length, why));
		if (*length) {
			*shard = number;
			return HM_OK;
		}
	}
	return HM_OK;
}

/* ---- when the last entry was written ---- */

static int64_t time_of_last(const uint8_t *bundle, size_t left)
{
	const uint8_t *text = NULL;
	size_t length = 0;
	struct entry entry;
	struct hm_problem fault;
	while (tile_next_entry(&bundle, &left, &text, &length))
		;
	return text && entry_read(text, length, &entry, &fault) == HM_OK ? entry.time : 0;
}

/* It is there to help a person; when it cannot be told, nothing else changes. */
static int64_t last_time(struct shard *shard)
{
	uint64_t size = shard_size(shard);
	struct tile_name name = {.level = TILE_ENTRIES, .number = size ? (size - 1) / TILE_WIDTH : 0};
	uint8_t *bundle = NULL;
	size_t length = 0;
	struct hm_problem fault;
	name.width = (unsigned)(size - name.number * TILE_WIDTH);
	if (!size || shard_bundle(shard, &name, &bundle, &length, &fault) != HM_OK)
		return 0;
	int64_t time = time_of_last(bundle, length);
	free(bundle);
	return time;
}

static void write_since(int64_t since, char text[64])
{
	struct tm date;
	time_t time = (time_t)since;
	if (!since || !gmtime_r(&time, &date) || !strftime(text, 64, ", since %Y-%m-%dT%H:%M:%SZ", &date))
		text[0] = 0;
}

/* ---- comparing ---- */

struct comparison {
	const struct config_ledger *ledger;
	const char *where;
	const struct checkpoint *newest;
	struct anchor_finding *finding;
};

static hm_result find_behind(const struct comparison *of, struct shard *shard)
{
	struct anchor_finding *finding = of->finding;
	char since[64];
	finding->relation = ANCHOR_BEHIND;
	finding->behind = of->newest->size - shard_size(shard);
	finding->since = last_time(shard);
	write_since(finding->since, since);
	snprintf(finding->detail, sizeof finding->detail,
		"the ledger is an old copy: %.60s remembers %" PRIu64 " entries of %.50s, %.40s has %" PRIu64
		" of them: "
		"%" PRIu64 " are missing%.30s; " MEND,
		of->where, of->newest->size, of->newest->origin, of->ledger->directory, shard_size(shard),
		finding->behind, since);
	return HM_OK;
}

static hm_result find_without_shard(const struct comparison *of, unsigned first)
{
	struct anchor_finding *finding = of->finding;
	unsigned number = checkpoint_shard(of->ledger->origin, of->newest->origin);
	bool was_moved = first && number < first;
	finding->relation = ANCHOR_BEHIND;
	snprintf(finding->detail, sizeof finding->detail,
		"the ledger is %s: %.80s remembers %.80s, and %.60s has no shard "
		"%u; " MEND,
		was_moved ? "not whole" : "an old copy", of->where, of->newest->origin, of->ledger->directory, number);
	return HM_OK;
}

static hm_result find_contradiction(const struct comparison *of, const char *what)
{
	of->finding->relation = ANCHOR_CONTRADICTS;
	snprintf(of->finding->detail, sizeof of->finding->detail,
		"the ledger is not the one that %.80s remembers: %s (%.80s, %" PRIu64 " entries); " MEND, of->where,
		what, of->newest->origin, of->newest->size);
	return HM_OK;
}

static hm_result compare_shard(const struct comparison *of, struct shard *shard, bool has_root, struct hm_problem *why)
{
	struct merkle_source source = shard_source(shard);
	struct merkle_hash root;
	if (of->newest->size > shard_size(shard))
		return find_behind(of, shard);
	if (has_root) {
		HM_TRY(merkle_root(&source, of->newest->size, &root, why));
		if (!merkle_equal(&root, &of->newest->root))
			return find_contradiction(of, "their entries differ");
	}
	of->finding->relation = of->newest->size == shard_size(shard) ? ANCHOR_SAME : ANCHOR_AHEAD;
	return HM_OK;
}

hm_result anchor_compare(const struct config_ledger *ledger, const char *where, const struct anchor_memory *memory,
	struct anchor_finding *finding, struct hm_problem *why)
{
	const struct comparison of = {ledger, where, &memory->newest, finding};
	unsigned first, last;
	*finding = (struct anchor_finding){.relation = ANCHOR_NONE};
	if (!memory->is_known)
		return HM_OK;
	unsigned number = checkpoint_shard(ledger->origin, memory->newest.origin);
	if (!number)
		return find_contradiction(&of, "it has another origin");
	HM_TRY(shard_numbers(ledger->directory, &first, &last, why));
	if (ledger_was_restored(ledger, &memory->newest, memory->has_root)) {
		finding->relation = ANCHOR_AHEAD; /* its end was given up, and an entry says so */
		return HM_OK;
	}
	if (number < first || number > last)
		return find_without_shard(&of, first);
	SHARD_AUTO *shard = NULL;
	HM_TRY(shard_open(ledger->directory, number, &shard, why));
	HM_TRY(compare_shard(&of, shard, memory->has_root, why));
	if (finding->relation == ANCHOR_SAME && number < last)
		finding->relation = ANCHOR_AHEAD;
	return HM_OK;
}
