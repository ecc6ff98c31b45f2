/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger_inside.h"

#include "base64url.h"
#include "clock.h"
#include "file.h"
#include "json_write.h"
#include "log.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BYTES_AUTO __attribute__((cleanup(free_bytes))) uint8_t
static void free_bytes(uint8_t **bytes)
{
	free(*bytes);
}

static hm_result contradiction(const struct ledger *ledger, unsigned number, const char *detail, struct hm_problem *why)
{
	return hm_refuse(why, "config", NULL,
		"%s/%u: %s. Nothing is struck on a record that may be false: bring back the newest copy, or see "
		"`hsmint ledger restore`",
		ledger->directory, number, detail);
}

/* ---- what the files have ---- */

static hm_result read_bundle(
	struct ledger *ledger, struct shard *shard, const struct tile_name *name, struct hm_problem *why)
{
	BYTES_AUTO *data = NULL;
	const uint8_t *at, *entry;
	size_t left, length;
	HM_TRY(shard_bundle(shard, name, &data, &left, why));
	at = data;
	while (tile_next_entry(&at, &left, &entry, &length))
		if (!ledger_take_entry(ledger, entry, length))
			return hm_unavailable(why, "system", "no memory for the ledger");
	return HM_OK;
}

/* The tree's edge from the tiles, then the entries that are in no bundle yet. */
static hm_result read_entries(struct ledger *ledger, struct shard *shard, struct hm_problem *why)
{
	struct merkle_source source = shard_source(shard);
	uint64_t size = shard_size(shard);
	ledger->bundled = shard_bundled(shard);
	HM_TRY(edge_begin(&ledger->edge, ledger->bundled, &source, why));
	while (ledger->edge.size < size) {
		uint64_t left = size - ledger->edge.size;
		const struct tile_name name = {
			TILE_ENTRIES, ledger->edge.size / TILE_WIDTH, left < TILE_WIDTH ? (unsigned)left : TILE_WIDTH};
		HM_TRY(read_bundle(ledger, shard, &name, why));
	}
	return HM_OK;
}

/* ---- what the newest checkpoint says of them ---- */

/* The first entry that is not what its tile has; or UINT64_MAX: bundles and tiles agree. */
static uint64_t find_false_entry(struct shard *shard)
{
	struct hm_problem why;
	static struct merkle_hash hashes[TILE_WIDTH];
	for (uint64_t number = 0; number < shard_bundled(shard) / TILE_WIDTH; number++) {
		const struct tile_name bundle = {TILE_ENTRIES, number, TILE_WIDTH}, tile = {0, number, TILE_WIDTH};
		BYTES_AUTO *data = NULL;
		const uint8_t *at, *entry;
		size_t left = 0, length;
		struct merkle_hash leaf;
		if (shard_bundle(shard, &bundle, &data, &left, &why) != HM_OK ||
			shard_tile(shard, &tile, hashes, &why) != HM_OK)
			return number * TILE_WIDTH;
		at = data;
		for (unsigned i = 0; i < TILE_WIDTH; i++) {
			if (!tile_next_entry(&at, &left, &entry, &length))
				return number * TILE_WIDTH + i;
			merkle_leaf(entry, length, &leaf);
			if (!merkle_equal(&leaf, &hashes[i]))
				return number * TILE_WIDTH + i;
		}
	}
	return UINT64_MAX;
}

static hm_result explain(const struct ledger *ledger, unsigned number, struct shard *shard,
	const struct checkpoint *checkpoint, struct hm_problem *why)
{
	char text[200];
	uint64_t entry = find_false_entry(shard);
	if (entry < checkpoint->size)
		snprintf(text, sizeof text, "entry %" PRIu64 " is not the one that was recorded", entry);
	else
		snprintf(text, sizeof text,
			"the entries up to %" PRIu64 " are not those of the newest checkpoint, though tiles and "
			"bundles agree",
			checkpoint->size - 1);
	return contradiction(ledger, number, text, why);
}

static hm_result check_checkpoint(
	const struct ledger *ledger, unsigned number, struct shard *shard, struct hm_problem *why)
{
	static char note[NOTE_MAX];
	char path[HM_PATH_MAX], origin[HM_ORIGIN_MAX + 1], text[200];
	struct checkpoint checkpoint;
	struct merkle_hash root;
	struct merkle_source source = shard_source(shard);
	size_t length;
	if (snprintf(path, sizeof path, "%s/%u/checkpoint", ledger->directory, number) >= (int)sizeof path)
		return hm_refuse(why, "config", NULL, "%s: path too long", ledger->directory);
	if (access(path, F_OK) < 0 && errno == ENOENT)
		return HM_OK;
	HM_TRY(shard_checkpoint(shard, note, &length, why));
	HM_TRY(checkpoint_read(note, length, &checkpoint, why));
	ledger_origin(ledger, number, origin);
	if (strcmp(checkpoint.origin, origin) != 0) {
		snprintf(text, sizeof text, "its checkpoint is of '%.64s', not of '%.64s'", checkpoint.origin, origin);
		return contradiction(ledger, number, text, why);
	}
	if (checkpoint.size > shard_size(shard)) {
		snprintf(text, sizeof text, "entry %" PRIu64 " is missing: the newest checkpoint has %" PRIu64,
			shard_size(shard), checkpoint.size);
		return contradiction(ledger, number, text, why);
	}
	HM_TRY(merkle_root(&source, checkpoint.size, &root, why));
	if (!merkle_equal(&root, &checkpoint.root))
		return explain(ledger, number, shard, &checkpoint, why);
	return HM_OK;
}

/* ---- what begins and ends a shard ---- */

json_t *ledger_load_entry(struct shard *shard, uint64_t index)
{
	struct hm_problem why;
	BYTES_AUTO *data = NULL;
	const struct tile_name name = {TILE_ENTRIES, index / TILE_WIDTH, (unsigned)(index % TILE_WIDTH) + 1};
	const uint8_t *at, *entry = NULL;
	size_t left, length = 0;
	if (index >= shard_size(shard) || shard_bundle(shard, &name, &data, &left, &why) != HM_OK)
		return NULL;
	at = data;
	for (unsigned i = 0; i < name.width; i++)
		if (!tile_next_entry(&at, &left, &entry, &length))
			return NULL;
	return json_loadb((const char *)entry, length, JSON_REJECT_DUPLICATES, NULL);
}

static void read_last(struct ledger *ledger, struct shard *shard, bool *is_closed)
{
	json_t *last = ledger_load_entry(shard, shard_size(shard) - 1);
	const char *type = json_string_value(json_object_get(last, "type"));
	*is_closed = type && strcmp(type, "close") == 0;
	ledger->last_time = json_integer_value(json_object_get(last, "time"));
	json_decref(last);
}

static bool has_checkpoint_of(struct shard *shard, uint64_t size)
{
	static char note[NOTE_MAX];
	struct hm_problem why;
	struct checkpoint checkpoint;
	size_t length;
	return shard_checkpoint(shard, note, &length, &why) == HM_OK &&
	       checkpoint_read(note, length, &checkpoint, &why) == HM_OK && checkpoint.size == size;
}

/* The shard before, as this one's first entry says that it ended: its files must say the same before that is signed. */
static hm_result check_closed(struct ledger *ledger, struct hm_problem *why)
{
	const struct ledger_head *closed = &ledger->closed;
	SHARD_AUTO *shard = NULL;
	struct merkle_hash root;
	struct hm_problem fault;
	if (shard_open(ledger->directory, closed->shard, &shard, &fault) != HM_OK)
		return HM_OK; /* it was archived */
	struct merkle_source source = shard_source(shard);
	HM_TRY(check_checkpoint(ledger, closed->shard, shard, why));
	if (shard_size(shard) != closed->size)
		return contradiction(
			ledger, closed->shard, "it does not end where the next shard says that it does", why);
	HM_TRY(merkle_root(&source, closed->size, &root, why));
	if (!merkle_equal(&root, &closed->root))
		return contradiction(ledger, closed->shard, "its entries are not those that the next shard cites", why);
	ledger->has_unsigned_close = !has_checkpoint_of(shard, closed->size);
	return HM_OK;
}

static hm_result read_previous(struct ledger *ledger, const json_t *previous, struct hm_problem *why)
{
	struct merkle_hash root;
	const char *text = json_string_value(json_object_get(previous, "root"));
	if (!text || base64url_decode(text, strlen(text), root.bytes, sizeof root.bytes) != sizeof root.bytes)
		return contradiction(ledger, ledger->shard, "entry 0 does not say how the shard before ended", why);
	ledger->closed.shard = ledger->shard - 1;
	ledger->closed.size = (uint64_t)json_integer_value(json_object_get(previous, "size"));
	ledger->closed.root = root;
	return check_closed(ledger, why);
}

static hm_result read_first(struct ledger *ledger, struct shard *shard, struct hm_problem *why)
{
	json_t *first = ledger_load_entry(shard, 0);
	if (!first)
		return contradiction(ledger, ledger->shard, "entry 0 is missing", why);
	ledger->began = json_integer_value(json_object_get(first, "time"));
	const json_t *previous = json_object_get(first, "previous");
	hm_result result = HM_OK;
	if (previous && !json_object_get(first, "restored"))
		result = read_previous(ledger, previous, why);
	json_decref(first);
	return result;
}

/* ---- opening ---- */

/* One that a crash left before anything was in it; it is made again. */
static bool is_bare(const char *directory, unsigned number)
{
	static const char *const names[] = {"segment", "checkpoint", "tile"};
	char path[HM_PATH_MAX];
	for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
		if (snprintf(path, sizeof path, "%s/%u/%s", directory, number, names[i]) >= (int)sizeof path ||
			access(path, F_OK) == 0)
			return false;
	return true;
}

hm_result ledger_write_all(struct ledger *ledger, struct hm_problem *why)
{
	char fault[LEDGER_FAULT_MAX] = "";
	struct block all = {.used = 0};
	if (ledger->shard_fd < 0)
		ledger->shard_fd = ledger_make_shard(ledger->directory, ledger->shard, fault);
	if (ledger->shard_fd >= 0 && ledger_all_frames(ledger, &all))
		ledger->segment = ledger_write_fresh(ledger->shard_fd, ledger_make_room(ledger->shard_fd), &all, fault);
	ledger->segment_used = (off_t)all.used;
	free(all.data);
	if (ledger->segment < 0)
		return hm_unavailable(why, "system", "%s/%u/%s", ledger->directory, ledger->shard, fault);
	ledger->next_count = 0;
	ledger->durable = ledger->tickets;
	ledger->durable_size = ledger->edge.size;
	return HM_OK;
}

/* A crash came between the end of a shard and the beginning of the next. */
static hm_result begin_after_close(struct ledger *ledger, struct hm_problem *why)
{
	char fault[LEDGER_FAULT_MAX];
	const struct ledger_head closed = ledger_head(ledger);
	int shard_fd = ledger_make_shard(ledger->directory, ledger->shard + 1, fault);
	if (shard_fd < 0)
		return hm_unavailable(why, "system", "%s/%s", ledger->directory, fault);
	return ledger_begin_next(ledger, shard_fd, &closed, NULL, why) ? HM_OK : HM_UNAVAILABLE;
}

static hm_result open_shard(struct ledger *ledger, struct hm_problem *why)
{
	SHARD_AUTO *shard = NULL;
	bool is_closed;
	HM_TRY(shard_open(ledger->directory, ledger->shard, &shard, why));
	HM_TRY(read_first(ledger, shard, why));
	HM_TRY(check_checkpoint(ledger, ledger->shard, shard, why));
	HM_TRY(read_entries(ledger, shard, why));
	ledger->wants_checkpoint = true; /* nobody knows whether the last ones were under one */
	HM_TRY(ledger_write_all(ledger, why));
	read_last(ledger, shard, &is_closed);
	if (is_closed)
		HM_TRY(begin_after_close(ledger, why));
	hm_log(HM_INFO, "ledger_opened", "shard=%u size=%" PRIu64, ledger->shard, ledger->edge.size);
	return HM_OK;
}

hm_result ledger_begin(
	struct ledger *ledger, unsigned shard, const struct ledger_beginning *beginning, struct hm_problem *why)
{
	char entry[LEDGER_OPEN_MAX];
	ledger->shard = shard;
	ledger->began = hm_time();
	size_t length = ledger_write_open(ledger, beginning, entry, sizeof entry);
	if (!length || !ledger_add(ledger, entry, length, false, NULL))
		return hm_unavailable(why, "system", "no memory for the ledger");
	return ledger_write_all(ledger, why);
}

static hm_result open_newest(struct ledger *ledger, struct hm_problem *why)
{
	unsigned first, last;
	HM_TRY(file_make_directory(ledger->directory, why));
	HM_TRY(shard_numbers(ledger->directory, &first, &last, why));
	if (last && is_bare(ledger->directory, last))
		ledger_remove_shard(ledger->directory, last--);
	ledger->shard = last;
	const struct ledger_beginning first_of_all = {.previous = NULL};
	return last ? open_shard(ledger, why) : ledger_begin(ledger, 1, &first_of_all, why);
}

struct ledger *ledger_make(const char *directory, const char *origin)
{
	struct ledger *ledger = calloc(1, sizeof *ledger);
	if (!ledger)
		return NULL;
	ledger->shard_fd = ledger->segment = ledger->room = -1;
	ledger->write.ledger = ledger->flush.ledger = ledger;
	ledger->write.work.data = &ledger->write;
	ledger->flush.work.data = &ledger->flush;
	snprintf(ledger->directory, sizeof ledger->directory, "%s", directory);
	snprintf(ledger->origin, sizeof ledger->origin, "%s", origin);
	TAILQ_INIT(&ledger->bundles);
	STAILQ_INIT(&ledger->tiles);
	STAILQ_INIT(&ledger->flush.tiles);
	return ledger;
}

hm_result ledger_open(uv_loop_t *loop, const char *directory, const char *origin, const struct ledger_events *events,
	struct ledger **out, struct hm_problem *why)
{
	struct ledger *ledger = ledger_make(directory, origin);
	if (!ledger)
		return hm_unavailable(why, "system", "no memory for the ledger");
	ledger->loop = loop;
	ledger->events = *events;
	hm_result result = open_newest(ledger, why);
	if (result == HM_OK)
		*out = ledger;
	else
		ledger_close(ledger);
	return result;
}
