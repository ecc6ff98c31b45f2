/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger_scan.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct scan {
	ledger_take *take;
	void *context;
	struct log_shard log;
	struct ledger_scanned scanned;
	char origin[HM_ORIGIN_MAX + 1];
	bool is_done;
};

static void free_bytes(uint8_t **data)
{
	free(*data);
}
#define BYTES_AUTO __attribute__((cleanup(free_bytes))) uint8_t *

static void keep_origin(struct scan *scan)
{
	struct hm_bytes text;
	if (scan->scanned.entry.type == ENTRY_OPEN && entry_string(scan->scanned.entry.members[ENTRY_ORIGIN], &text) &&
		text.length <= HM_ORIGIN_MAX)
		snprintf(scan->origin, sizeof scan->origin, "%.*s", (int)text.length, (const char *)text.data);
}

static hm_result scan_bundle(struct scan *scan, const struct tile_name *name, struct hm_problem *why)
{
	struct ledger_scanned *at = &scan->scanned;
	struct hm_problem fault;
	BYTES_AUTO data = NULL;
	size_t left;
	HM_TRY(scan->log.bundle(scan->log.context, name, &data, &left, why));
	const uint8_t *next = data;
	at->index = name->number * TILE_WIDTH;
	for (unsigned i = 0; i < name->width && !scan->is_done; i++, at->index++) {
		if (!tile_next_entry(&next, &left, &at->data, &at->length))
			return hm_refuse(why, "ledger", NULL, "shard %u: the bundle ends before entry %" PRIu64 " does",
				at->shard, at->index);
		if (entry_read(at->data, at->length, &at->entry, &fault) != HM_OK)
			return hm_refuse(why, "ledger", NULL, "shard %u, entry %" PRIu64 ": %s", at->shard, at->index,
				fault.detail);
		keep_origin(scan);
		scan->is_done = !scan->take(scan->context, at);
	}
	return HM_OK;
}

static hm_result scan_shard(struct scan *scan, struct hm_problem *why)
{
	uint64_t size = scan->log.size;
	scan->origin[0] = 0;
	for (uint64_t first = 0; first < size && !scan->is_done; first += TILE_WIDTH) {
		struct tile_name name = {.level = TILE_ENTRIES,
			.number = first / TILE_WIDTH,
			.width = size - first < TILE_WIDTH ? (unsigned)(size - first) : TILE_WIDTH};
		HM_TRY(scan_bundle(scan, &name, why));
	}
	return HM_OK;
}

hm_result ledger_scan(const struct log_ledger *ledger, ledger_take *take, void *context, struct hm_problem *why)
{
	struct scan scan = {.take = take, .context = context};
	hm_result result = HM_OK;
	scan.scanned.origin = scan.origin;
	for (unsigned number = ledger->first; number <= ledger->last && result == HM_OK && !scan.is_done; number++) {
		result = ledger->open(ledger->context, number, &scan.log, why);
		if (result == HM_UNAVAILABLE) { /* moved elsewhere */
			result = HM_OK;
			continue;
		}
		scan.scanned.shard = number;
		if (result == HM_OK)
			result = scan_shard(&scan, why);
		log_close(&scan.log);
	}
	return result;
}

bool ledger_print_scanned(const struct ledger_scanned *scanned)
{
	/* The origin stands as in the entry, escapes and all. */
	printf("{\"origin\":\"%s\",\"index\":%" PRIu64 ",\"entry\":", scanned->origin, scanned->index);
	fwrite(scanned->data, 1, scanned->length, stdout);
	return puts("}") >= 0;
}
