/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger_inside.h"

#include "log.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void write_next(struct ledger *ledger);

/* ---- what an entry becomes part of ---- */

bool block_reserve(struct block *block, size_t more)
{
	size_t wanted = block->used + more, size = block->size ? block->size : 4096;
	while (size < wanted)
		size *= 2;
	if (size == block->size)
		return true;
	uint8_t *data = realloc(block->data, size);
	if (!data)
		return false;
	block->data = data;
	block->size = size;
	return true;
}

static struct bundle *last_bundle(struct ledger *ledger)
{
	struct bundle *bundle = TAILQ_LAST(&ledger->bundles, bundle_list);
	if (bundle && bundle->count < TILE_WIDTH)
		return bundle;
	bundle = calloc(1, sizeof *bundle);
	if (!bundle)
		return NULL;
	bundle->number = ledger->edge.size / TILE_WIDTH;
	TAILQ_INSERT_TAIL(&ledger->bundles, bundle, link);
	return bundle;
}

static void put_entry(uint8_t *at, const void *entry, size_t length)
{
	at[0] = (uint8_t)(length >> 8);
	at[1] = (uint8_t)length;
	memcpy(at + 2, entry, length);
}

static bool bundle_put(struct bundle *bundle, const void *entry, size_t length)
{
	size_t wanted = bundle->used + 2 + length, size = bundle->size ? bundle->size : 32 * 1024;
	while (size < wanted)
		size *= 2;
	uint8_t *data = size == bundle->size ? bundle->data : realloc(bundle->data, size);
	if (!data)
		return false;
	bundle->data = data;
	bundle->size = size;
	put_entry(data + bundle->used, entry, length);
	bundle->used = wanted;
	merkle_leaf(entry, length, &bundle->leaves[bundle->count++]);
	return true;
}

/* Without it the tree on disk would have a hole: better to end here, and to be recovered from the segment. */
static hm_result keep_tile(void *context, unsigned level, uint64_t number, const struct merkle_hash hashes[TILE_WIDTH],
	struct hm_problem *why)
{
	struct ledger *ledger = context;
	struct full_tile *tile = malloc(sizeof *tile);
	(void)why;
	if (!tile)
		abort();
	tile->name = (struct tile_name){(int)level, number, TILE_WIDTH};
	memcpy(tile->hashes, hashes, sizeof tile->hashes);
	STAILQ_INSERT_TAIL(&ledger->tiles, tile, link);
	return HM_OK;
}

bool ledger_take_entry(struct ledger *ledger, const void *entry, size_t length)
{
	struct hm_problem why;
	struct bundle *bundle = last_bundle(ledger);
	if (!bundle || !bundle_put(bundle, entry, length))
		return false;
	return edge_add(&ledger->edge, &bundle->leaves[bundle->count - 1], keep_tile, ledger, &why) == HM_OK;
}

/* ---- frames ---- */

static bool append_frame(struct block *block, const struct bundle *bundle)
{
	if (!block_reserve(block, bundle->used + SEGMENT_FRAME_MORE))
		return false;
	uint8_t *frame = block->data + block->used;
	memcpy(frame + SEGMENT_HEAD, bundle->data, bundle->used);
	segment_frame(frame, bundle->used, bundle->number * TILE_WIDTH, bundle->count, bundle->leaves);
	block->used += bundle->used + SEGMENT_FRAME_MORE;
	return true;
}

bool ledger_all_frames(const struct ledger *ledger, struct block *block)
{
	const struct bundle *bundle;
	TAILQ_FOREACH(bundle, &ledger->bundles, link)
	if (bundle->number * TILE_WIDTH >= ledger->bundled && !append_frame(block, bundle))
		return false;
	if (block->used)
		return true;
	if (!block_reserve(block, SEGMENT_FRAME_MORE))
		return false;
	segment_frame(block->data, 0, ledger->edge.size, 0, NULL);
	block->used = SEGMENT_FRAME_MORE;
	return true;
}

/* Room for one more entry in the frame that is being filled. */
static bool reserve_in_frame(struct ledger *ledger, size_t length)
{
	if (!ledger->next_count)
		ledger->next.used = SEGMENT_HEAD;
	if (ledger->next_count == ledger->next_leaves_size) {
		unsigned size = ledger->next_leaves_size ? 2 * ledger->next_leaves_size : 256;
		struct merkle_hash *leaves = realloc(ledger->next_leaves, size * sizeof *leaves);
		if (!leaves)
			return false;
		ledger->next_leaves = leaves;
		ledger->next_leaves_size = size;
	}
	return block_reserve(&ledger->next, 2 + length + SEGMENT_FRAME_MORE);
}

/* The entry that was taken last. */
static void add_to_frame(struct ledger *ledger, const void *entry, size_t length)
{
	const struct bundle *bundle = TAILQ_LAST(&ledger->bundles, bundle_list);
	if (!ledger->next_count)
		ledger->next_first = ledger->edge.size - 1;
	ledger->next_leaves[ledger->next_count++] = bundle->leaves[bundle->count - 1];
	put_entry(ledger->next.data + ledger->next.used, entry, length);
	ledger->next.used += 2 + length;
}

/* ---- what becomes durable ---- */

void ledger_set_fault(struct ledger *ledger, const char *fault)
{
	bool is_new = strcmp(ledger->fault, fault) != 0;
	snprintf(ledger->fault, sizeof ledger->fault, "%s", fault);
	if (!is_new)
		return;
	if (fault[0])
		hm_log(HM_ERROR, "ledger_unavailable", "shard=%u detail=\"%s\"", ledger->shard, fault);
	else
		hm_log(HM_INFO, "ledger_available", "shard=%u size=%" PRIu64, ledger->shard, ledger->edge.size);
	ledger->events.changed(ledger->events.context, ledger_fault(ledger));
}

static void look_whether_ended(struct ledger *ledger)
{
	if (!ledger->ended || ledger->is_writing || ledger->is_flushing ||
		(ledger->durable < ledger->tickets && !ledger->fault[0]))
		return;
	void (*ended)(void *context) = ledger->ended;
	ledger->ended = NULL;
	ended(ledger->ended_context);
}

static void drop_first_bundle(struct ledger *ledger)
{
	struct bundle *bundle = TAILQ_FIRST(&ledger->bundles);
	TAILQ_REMOVE(&ledger->bundles, bundle, link);
	free(bundle->data);
	free(bundle);
}

static void forget_bundles(struct ledger *ledger, uint64_t upto)
{
	const struct bundle *bundle;
	while ((bundle = TAILQ_FIRST(&ledger->bundles)) && (bundle->number + 1) * TILE_WIDTH <= upto)
		drop_first_bundle(ledger);
}

static void forget_tiles(struct full_tile_list *tiles)
{
	struct full_tile *tile;
	while ((tile = STAILQ_FIRST(tiles))) {
		STAILQ_REMOVE_HEAD(tiles, link);
		free(tile);
	}
}

static void flush_in_worker(uv_work_t *work)
{
	struct ledger_flush *flush = work->data;
	const struct full_tile *tile;
	for (unsigned i = 0; i < flush->count; i++)
		if (!ledger_write_bundle(flush->shard, flush->bundles[i], flush->fault))
			return;
	STAILQ_FOREACH(tile, &flush->tiles, link)
	if (!ledger_write_tile(flush->shard, tile, flush->fault))
		return;
	flush->room = ledger_make_room(flush->shard);
}

/* What failed is tried again each second; until then the segment has it. */
static void on_flushed(uv_work_t *work, int status)
{
	struct ledger_flush *flush = work->data;
	struct ledger *ledger = flush->ledger;
	(void)status;
	ledger->is_flushing = false;
	memcpy(ledger->flush_fault, flush->fault, sizeof ledger->flush_fault);
	if (flush->fault[0]) {
		hm_log(HM_WARNING, "ledger_not_flushed", "shard=%u detail=\"%s\"", ledger->shard, flush->fault);
		STAILQ_CONCAT(&flush->tiles, &ledger->tiles);
		STAILQ_CONCAT(&ledger->tiles, &flush->tiles); /* in their order */
	} else {
		ledger->bundled = flush->upto;
		ledger->wants_fresh = true;
		ledger->room = flush->room;
		forget_tiles(&flush->tiles);
		forget_bundles(ledger, flush->upto);
	}
	look_whether_ended(ledger);
}

static uint64_t complete_at(const struct tile_name *name)
{
	return (name->number + 1) << (TILE_HEIGHT * (name->level + 1));
}

static void start_flush(struct ledger *ledger)
{
	struct ledger_flush *flush = &ledger->flush;
	const struct bundle *bundle;
	struct full_tile *tile;
	flush->count = 0;
	flush->room = -1;
	flush->fault[0] = 0;
	flush->shard = ledger->shard_fd;
	TAILQ_FOREACH(bundle, &ledger->bundles, link)
	if ((bundle->number + 1) * TILE_WIDTH <= ledger->durable_size && flush->count < HM_LEDGER_FLUSH_MOST)
		flush->bundles[flush->count++] = bundle;
	if (!flush->count)
		return;
	flush->upto = (flush->bundles[flush->count - 1]->number + 1) * TILE_WIDTH;
	while ((tile = STAILQ_FIRST(&ledger->tiles)) && complete_at(&tile->name) <= flush->upto) {
		STAILQ_REMOVE_HEAD(&ledger->tiles, link);
		STAILQ_INSERT_TAIL(&flush->tiles, tile, link);
	}
	ledger->is_flushing = uv_queue_work(ledger->loop, &flush->work, flush_in_worker, on_flushed) == 0;
}

static bool wants_flush(const struct ledger *ledger)
{
	uint64_t full = ledger->durable_size / TILE_WIDTH - ledger->bundled / TILE_WIDTH;
	return !ledger->is_flushing && ledger->room < 0 && full &&
	       (full >= HM_LEDGER_FLUSH_BUNDLES || ledger->segment_used > HM_LEDGER_SEGMENT_BYTES);
}

static void write_in_worker(uv_work_t *work)
{
	struct ledger_write *write = work->data;
	if (write->is_fresh)
		write->segment = ledger_write_fresh(write->shard, write->room, &write->block, write->fault);
	else
		(void)ledger_write_block(write->segment, write->offset, &write->block, write->fault);
}

static void take_fresh(struct ledger *ledger, int segment)
{
	if (ledger->segment >= 0)
		close(ledger->segment);
	ledger->segment = segment;
	ledger->segment_used = 0;
	ledger->wants_fresh = false;
}

static void on_written(uv_work_t *work, int status)
{
	struct ledger_write *write = work->data;
	struct ledger *ledger = write->ledger;
	(void)status;
	ledger->is_writing = false;
	if (write->fault[0]) {
		ledger->wants_fresh = true; /* what failed once is not believed again: all goes to a new one */
		ledger_set_fault(ledger, write->fault);
	} else {
		if (write->is_fresh)
			take_fresh(ledger, write->segment);
		ledger->segment_used += (off_t)write->block.used;
		ledger->durable = write->ticket;
		ledger->durable_size = write->size;
		ledger_set_fault(ledger, "");
		ledger->events.durable(ledger->events.context, ledger->durable);
		if (wants_flush(ledger) && !ledger->flush_fault[0])
			start_flush(ledger);
		write_next(ledger);
	}
	look_whether_ended(ledger);
}

/* The frame that was filled is written, or all that is not in bundles; the one that was written before is filled next.
 */
static bool prepare(struct ledger *ledger, struct ledger_write *write)
{
	write->block.used = 0;
	write->is_fresh = ledger->wants_fresh || ledger->next.used > SEGMENT_BODY_MAX;
	write->room = -1;
	if (write->is_fresh) {
		if (!ledger_all_frames(ledger, &write->block))
			return false;
		write->room = ledger->room;
		ledger->room = -1;
	} else {
		struct block filled = ledger->next;
		size_t body = filled.used - SEGMENT_HEAD;
		ledger->next = write->block;
		segment_frame(filled.data, body, ledger->next_first, ledger->next_count, ledger->next_leaves);
		filled.used += SEGMENT_FRAME_MORE - SEGMENT_HEAD;
		write->block = filled;
	}
	ledger->next_count = 0;
	return true;
}

static void write_next(struct ledger *ledger)
{
	struct ledger_write *write = &ledger->write;
	if (ledger->is_writing || ledger->durable == ledger->tickets || !prepare(ledger, write))
		return;
	write->fault[0] = 0;
	write->shard = ledger->shard_fd;
	write->segment = ledger->segment;
	write->offset = ledger->segment_used;
	write->ticket = ledger->tickets;
	write->size = ledger->edge.size;
	ledger->is_writing = uv_queue_work(ledger->loop, &write->work, write_in_worker, on_written) == 0;
}

bool ledger_write_now(struct ledger *ledger)
{
	struct ledger_write *write = &ledger->write;
	if (ledger->durable == ledger->tickets)
		return true;
	if (!prepare(ledger, write))
		return false;
	write->fault[0] = 0;
	if (write->is_fresh ||
		!ledger_write_block(ledger->segment, ledger->segment_used, &write->block, write->fault)) {
		ledger->wants_fresh = true;
		if (write->fault[0])
			ledger_set_fault(ledger, write->fault);
		return false;
	}
	ledger->segment_used += (off_t)write->block.used;
	ledger->durable = ledger->tickets;
	ledger->durable_size = ledger->edge.size;
	return true;
}

/* ---- for the others ---- */

uint64_t ledger_add(struct ledger *ledger, const void *entry, size_t length, bool quiet, struct receipt *receipt)
{
	uint64_t index = ledger->edge.size;
	if (!reserve_in_frame(ledger, length) || !ledger_take_entry(ledger, entry, length))
		return 0;
	add_to_frame(ledger, entry, length);
	ledger->wants_checkpoint |= !quiet;
	ledger->tickets++;
	if (receipt)
		*receipt = (struct receipt){ledger->shard, index};
	return ledger->tickets;
}

void ledger_write_waiting(struct ledger *ledger)
{
	if (!ledger->fault[0])
		write_next(ledger);
}

void ledger_tick(struct ledger *ledger)
{
	if (wants_flush(ledger))
		start_flush(ledger);
	write_next(ledger);
	look_whether_ended(ledger);
}

void ledger_end(struct ledger *ledger, void (*ended)(void *context), void *context)
{
	ledger->ended = ended;
	ledger->ended_context = context;
	write_next(ledger);
	look_whether_ended(ledger);
}

uint64_t ledger_durable(const struct ledger *ledger)
{
	return ledger->durable;
}

const char *ledger_fault(const struct ledger *ledger)
{
	/* A segment, and what is in memory of it, must not grow for ever. */
	bool is_behind = ledger->durable_size - ledger->bundled > HM_LEDGER_UNFLUSHED_MAX;
	if (ledger->fault[0])
		return ledger->fault;
	return is_behind && ledger->flush_fault[0] ? ledger->flush_fault : NULL;
}

struct ledger_head ledger_head(const struct ledger *ledger)
{
	struct ledger_head head = {.shard = ledger->shard, .size = ledger->edge.size};
	edge_root(&ledger->edge, &head.root);
	return head;
}

bool ledger_head_is_durable(const struct ledger *ledger, const struct ledger_head *head)
{
	return head->shard < ledger->shard || head->size <= ledger->durable_size;
}

bool ledger_wants_checkpoint(const struct ledger *ledger)
{
	return ledger->wants_checkpoint;
}

void ledger_head_taken(struct ledger *ledger)
{
	ledger->wants_checkpoint = false;
}

uint64_t ledger_size(const struct ledger *ledger)
{
	return ledger->edge.size;
}

unsigned ledger_shard(const struct ledger *ledger)
{
	return ledger->shard;
}

int64_t ledger_shard_began(const struct ledger *ledger)
{
	return ledger->began;
}

int64_t ledger_last_time(const struct ledger *ledger)
{
	return ledger->last_time;
}

void ledger_origin(const struct ledger *ledger, unsigned shard, char text[HM_ORIGIN_MAX + 1])
{
	(void)!snprintf(text, HM_ORIGIN_MAX + 1, "%s/%u", ledger->origin, shard); /* config_check.c left room */
}

const char *ledger_directory(const struct ledger *ledger)
{
	return ledger->directory;
}

void ledger_drop(struct ledger *ledger)
{
	while (TAILQ_FIRST(&ledger->bundles))
		drop_first_bundle(ledger);
	forget_tiles(&ledger->tiles);
}

void ledger_close(struct ledger *ledger)
{
	if (!ledger)
		return;
	ledger_drop(ledger);
	forget_tiles(&ledger->flush.tiles);
	if (ledger->segment >= 0)
		close(ledger->segment);
	ledger_drop_room(ledger->shard_fd, ledger->room);
	if (ledger->shard_fd >= 0)
		close(ledger->shard_fd);
	free(ledger->next.data);
	free(ledger->next_leaves);
	free(ledger->write.block.data);
	free(ledger);
}
