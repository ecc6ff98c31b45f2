/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bundles and tiles are written as they fill, beyond where the copy's segment begins, so that they mean nothing yet.
 * When all have been read and the root is the checkpoint's, the segment makes them part of the copy, and then the
 * checkpoint is written.
 */
#include "mirror.h"

#include "edge.h"
#include "file.h"
#include "shard.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct mirror {
	const struct mirror_terms *terms;
	unsigned number;
	char path[HM_PATH_MAX - TILE_NAME_MAX - 16]; /* of the copy */
	struct log_shard *log;
	struct checkpoint checkpoint; /* of the log, verified */
	char note[NOTE_MAX];
	size_t note_length;
	struct shard *copy; /* NULL: there is none yet */
	uint64_t had;       /* entries that it has */
	struct edge edge;
	uint8_t *tail; /* the last bundle, when it is not full */
	size_t tail_length;
};

/* ---- files ---- */

/* Make what is missing of the directories above a file of the copy. */
static hm_result make_way(const struct mirror *mirror, const char *path, struct hm_problem *why)
{
	char above[HM_PATH_MAX];
	snprintf(above, sizeof above, "%s", path);
	for (char *slash = above + strlen(mirror->path); (slash = strchr(slash, '/')); *slash++ = '/') {
		*slash = 0;
		HM_TRY(file_make_directory(above, why));
	}
	return HM_OK;
}

static hm_result put(
	const struct mirror *mirror, const char *name, const void *data, size_t length, struct hm_problem *why)
{
	char path[HM_PATH_MAX];
	snprintf(path, sizeof path, "%s/%s", mirror->path, name);
	HM_TRY(make_way(mirror, path, why));
	return file_replace(path, data, length, 0600, why);
}

static hm_result put_tile(const struct mirror *mirror, const struct tile_name *name, const void *data, size_t length,
	struct hm_problem *why)
{
	char text[sizeof "tile/" + TILE_NAME_MAX] = "tile/";
	tile_name_write(name, text + strlen(text));
	return put(mirror, text, data, length, why);
}

static hm_result take_tile(void *context, unsigned level, uint64_t number, const struct merkle_hash hashes[TILE_WIDTH],
	struct hm_problem *why)
{
	const struct tile_name name = {(int)level, number, TILE_WIDTH};
	return put_tile(context, &name, hashes, TILE_BYTES, why);
}

/* ---- the copy as it is ---- */

static hm_result open_copy(struct mirror *mirror, struct hm_problem *why)
{
	char path[HM_PATH_MAX];
	int used = snprintf(mirror->path, sizeof mirror->path, "%s/%u", mirror->terms->directory, mirror->number);
	if (used >= (int)sizeof mirror->path)
		return hm_refuse(why, "ledger", NULL, "%s: path too long", mirror->terms->directory);
	snprintf(path, sizeof path, "%s/segment", mirror->path);
	if (access(path, F_OK) < 0 && errno == ENOENT)
		return HM_OK;
	HM_TRY(shard_open(mirror->terms->directory, mirror->number, &mirror->copy, why));
	mirror->had = shard_size(mirror->copy);
	struct merkle_source source = shard_source(mirror->copy);
	return edge_begin(&mirror->edge, mirror->had / TILE_WIDTH * TILE_WIDTH, &source, why);
}

/* ---- the log ---- */

static hm_result check_origin(const struct mirror *mirror, const char *signer, struct hm_problem *why)
{
	char origin[HM_ORIGIN_MAX + 16];
	snprintf(origin, sizeof origin, "%s/%u", signer, mirror->number);
	if (strcmp(origin, mirror->checkpoint.origin) == 0)
		return HM_OK;
	return hm_refuse(why, "ledger", NULL, "%u/checkpoint: is of %.100s instead of %.100s", mirror->number,
		mirror->checkpoint.origin, origin);
}

/* Signed by a key of this ledger: one whose name, with the shard's number, is the origin. */
static hm_result read_checkpoint(struct mirror *mirror, struct hm_problem *why)
{
	const struct mirror_terms *terms = mirror->terms;
	struct hm_problem fault;
	size_t text;
	HM_TRY(mirror->log->checkpoint(mirror->log->context, mirror->note, &mirror->note_length, why));
	for (unsigned i = 0; i < terms->count; i++) {
		const struct note_key *key = &terms->keys[i];
		if (key->algorithm == NOTE_COSIGNATURE ||
			note_verify(mirror->note, mirror->note_length, key, 1, &text, NULL, &fault) != HM_OK)
			continue;
		HM_TRY(checkpoint_read(mirror->note, text, &mirror->checkpoint, why));
		return check_origin(mirror, key->name, why);
	}
	if (note_verify(mirror->note, mirror->note_length, terms->keys, terms->count, &text, NULL, &fault) == HM_OK)
		return hm_refuse(why, "ledger", NULL, "%u/checkpoint: only witnesses signed it", mirror->number);
	return hm_refuse(why, "ledger", NULL, "%u/checkpoint: %s", mirror->number, fault.detail);
}

static hm_result contradicts(const struct mirror *mirror, uint64_t entry, struct hm_problem *why)
{
	return hm_refuse(why, "ledger", NULL,
		"shard %u contradicts its copy in %s at entry %" PRIu64 ": one of the two was changed", mirror->number,
		mirror->terms->directory, entry);
}

/* Entries of the bundle that the copy has in part must be the same again. */
static hm_result check_beginning(struct mirror *mirror, const struct tile_name *name, const uint8_t *bundle,
	size_t length, struct hm_problem *why)
{
	struct tile_name had = {.level = TILE_ENTRIES, .number = name->number};
	uint8_t *known = NULL;
	size_t known_length = 0;
	had.width = (unsigned)(mirror->had - had.number * TILE_WIDTH);
	HM_TRY(shard_bundle(mirror->copy, &had, &known, &known_length, why));
	bool is_same = known_length <= length && memcmp(known, bundle, known_length) == 0;
	free(known);
	return is_same ? HM_OK : contradicts(mirror, had.number * TILE_WIDTH, why);
}

static hm_result add_leaves(
	struct mirror *mirror, const struct tile_name *name, const uint8_t *bundle, size_t left, struct hm_problem *why)
{
	const uint8_t *entry;
	size_t length;
	unsigned count = 0;
	while (tile_next_entry(&bundle, &left, &entry, &length)) {
		struct merkle_hash leaf;
		merkle_leaf(entry, length, &leaf);
		HM_TRY(edge_add(&mirror->edge, &leaf, take_tile, mirror, why));
		count++;
	}
	if (left == 0 && count == name->width)
		return HM_OK;
	return hm_refuse(why, "ledger", NULL,
		"%u/tile/entries/…: entry %" PRIu64 " is cut, or there are not %u entries", mirror->number,
		name->number * TILE_WIDTH + count, name->width);
}

static hm_result take_bundle(
	struct mirror *mirror, const struct tile_name *name, uint8_t *bundle, size_t length, struct hm_problem *why)
{
	if (mirror->had > name->number * TILE_WIDTH)
		HM_TRY(check_beginning(mirror, name, bundle, length, why));
	HM_TRY(add_leaves(mirror, name, bundle, length, why));
	return name->width == TILE_WIDTH ? put_tile(mirror, name, bundle, length, why) : HM_OK;
}

/* From the bundle that the copy has in part, or the first that it does not have, up to the checkpoint. */
static hm_result read_bundles(struct mirror *mirror, struct hm_problem *why)
{
	uint64_t size = mirror->checkpoint.size;
	for (uint64_t at = mirror->edge.size; at < size; at += TILE_WIDTH) {
		struct tile_name name = {TILE_ENTRIES, at / TILE_WIDTH, TILE_WIDTH};
		uint8_t *bundle = NULL;
		size_t length = 0;
		name.width = size - at < TILE_WIDTH ? (unsigned)(size - at) : TILE_WIDTH;
		HM_TRY(mirror->log->bundle(mirror->log->context, &name, &bundle, &length, why));
		hm_result result = take_bundle(mirror, &name, bundle, length, why);
		if (result != HM_OK || name.width == TILE_WIDTH) {
			free(bundle);
			HM_TRY(result);
			continue;
		}
		mirror->tail = bundle;
		mirror->tail_length = length;
	}
	return HM_OK;
}

static hm_result check_root(const struct mirror *mirror, struct hm_problem *why)
{
	struct merkle_hash root;
	edge_root(&mirror->edge, &root);
	if (merkle_equal(&root, &mirror->checkpoint.root))
		return HM_OK;
	return hm_refuse(why, "ledger", NULL,
		"shard %u: its %" PRIu64 " entries, %" PRIu64
		" of which the copy in %s has, do not have the root of its "
		"checkpoint: entries were changed there or here",
		mirror->number, mirror->checkpoint.size, mirror->had, mirror->terms->directory);
}

/* ---- making it part of the copy ---- */

/* One frame without entries, which says where it begins, and one with those of the last bundle. */
static hm_result write_segment(const struct mirror *mirror, struct hm_problem *why)
{
	uint64_t first = mirror->edge.size / TILE_WIDTH * TILE_WIDTH;
	unsigned count = (unsigned)(mirror->edge.size - first);
	uint8_t *frames = malloc(2 * SEGMENT_FRAME_MORE + mirror->tail_length);
	if (!frames)
		return hm_unavailable(why, "system", "no memory for a segment");
	segment_frame(frames, 0, first, 0, NULL);
	size_t used = SEGMENT_FRAME_MORE;
	if (count) {
		memcpy(frames + used + SEGMENT_HEAD, mirror->tail, mirror->tail_length);
		segment_frame(frames + used, mirror->tail_length, first, count, mirror->edge.levels[0].hashes);
		used += SEGMENT_FRAME_MORE + mirror->tail_length;
	}
	hm_result result = put(mirror, "segment", frames, used, why);
	free(frames);
	return result;
}

/* Its cosignatures may be new where its size is not. */
static bool has_checkpoint(const struct mirror *mirror)
{
	char note[NOTE_MAX];
	size_t length;
	struct hm_problem fault;
	return mirror->copy && shard_checkpoint(mirror->copy, note, &length, &fault) == HM_OK &&
	       length == mirror->note_length && memcmp(note, mirror->note, length) == 0;
}

static hm_result bring(struct mirror *mirror, struct hm_problem *why)
{
	HM_TRY(read_checkpoint(mirror, why));
	HM_TRY(open_copy(mirror, why));
	if (mirror->checkpoint.size < mirror->had)
		return hm_refuse(why, "ledger", NULL,
			"shard %u has %" PRIu64 " entries under its checkpoint, and its copy in %s %" PRIu64
			": the ledger was rolled back",
			mirror->number, mirror->checkpoint.size, mirror->terms->directory, mirror->had);
	HM_TRY(read_bundles(mirror, why));
	HM_TRY(check_root(mirror, why));
	if (!mirror->copy || mirror->checkpoint.size > mirror->had)
		HM_TRY(write_segment(mirror, why));
	return has_checkpoint(mirror) ? HM_OK : put(mirror, "checkpoint", mirror->note, mirror->note_length, why);
}

hm_result mirror_shard(const struct mirror_terms *terms, unsigned number, struct log_shard *log, uint64_t *size,
	uint64_t *added, struct hm_problem *why)
{
	struct mirror *mirror = calloc(1, sizeof *mirror);
	if (!mirror)
		return hm_unavailable(why, "system", "no memory to copy a shard");
	mirror->terms = terms;
	mirror->number = number;
	mirror->log = log;
	hm_result result = bring(mirror, why);
	*size = mirror->checkpoint.size;
	*added = result == HM_OK ? mirror->checkpoint.size - mirror->had : 0;
	shard_close(mirror->copy);
	free(mirror->tail);
	free(mirror);
	return result;
}
