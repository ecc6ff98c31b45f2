/* SPDX-License-Identifier: Apache-2.0 */
#include "verify.h"

#include "verify_inside.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PLACE_MAX = TILE_NAME_MAX + 32 };

/* ---- what is found ---- */

static void tell(struct verify *verify, bool is_fault, const char *place, const uint64_t *entry, const char *text)
{
	struct verify_finding finding = {.is_fault = is_fault,
		.shard = verify->shard.number,
		.place = place,
		.has_entry = entry != NULL,
		.entry = entry ? *entry : 0,
		.text = text};
	verify->faults += is_fault;
	verify->listener->found(verify->listener->context, &finding);
}

void verify_found(
	struct verify *verify, bool is_fault, const char *place, const uint64_t *entry, const char *format, ...)
{
	char text[sizeof((struct hm_problem *)0)->detail + 128], whole[PLACE_MAX];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	snprintf(whole, sizeof whole, *place ? "%u/%s" : "%u%s", verify->shard.number, place);
	tell(verify, is_fault, whole, entry, text);
}

static void tile_place(const struct tile_name *name, char place[PLACE_MAX])
{
	snprintf(place, PLACE_MAX, "tile/");
	tile_name_write(name, place + strlen(place));
}

void verify_entry_fault(struct verify *verify, uint64_t index, const char *format, ...)
{
	char text[sizeof((struct hm_problem *)0)->detail + 128], place[PLACE_MAX] = "segment";
	struct tile_name name = {.level = TILE_ENTRIES, .number = index / TILE_WIDTH, .width = TILE_WIDTH};
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	if (!verify->log.is_directory || index < verify->log.bundled)
		tile_place(&name, place);
	verify_found(verify, true, place, &index, "%s", text);
}

/* ---- checkpoints ---- */

/* The number of the shard at the end of an origin, and the length of the name before it. False: it has none. */
static bool split_origin(const char *origin, unsigned *number, size_t *length)
{
	char again[HM_ORIGIN_MAX + 1];
	const char *slash = strrchr(origin, '/');
	if (!slash || strlen(slash + 1) > 5)
		return false;
	*number = (unsigned)strtoul(slash + 1, NULL, 10);
	*length = (size_t)(slash - origin);
	snprintf(again, sizeof again, "%.*s/%u", (int)*length, origin, *number);
	return *number && strcmp(origin, again) == 0;
}

/* The log's keys that have this name; or all keys, a witness's too, but the log's of other names. */
static unsigned keys_of(
	const struct verify_keys *all, const char *name, size_t length, bool with_witnesses, struct note_key *keys)
{
	unsigned count = 0;
	for (unsigned i = 0; i < all->count; i++) {
		const struct note_key *key = &all->keys[i];
		bool is_witness = key->algorithm == NOTE_COSIGNATURE;
		bool is_named = strlen(key->name) == length && memcmp(key->name, name, length) == 0;
		if (is_witness ? with_witnesses : is_named)
			keys[count++] = *key;
	}
	return count;
}

static hm_result check_signatures(const struct verify_keys *all, const char *note, size_t length, const char *origin,
	size_t name, struct hm_problem *why)
{
	struct note_key *keys = calloc(all->count, sizeof *keys);
	size_t text;
	if (!keys)
		return hm_unavailable(why, "ledger", "no memory");
	hm_result result = HM_OK;
	unsigned count = keys_of(all, origin, name, false, keys);
	if (count == 0)
		result = hm_refuse(why, "ledger", NULL, "its origin '%s' belongs to none of the keys", origin);
	if (result == HM_OK)
		result = note_verify(note, length, keys, count, &text, NULL, why);
	unsigned with_witnesses = keys_of(all, origin, name, true, keys);
	if (result == HM_OK && with_witnesses > count) /* those that are known must be right too */
		result = note_verify(note, length, keys, with_witnesses, &text, NULL, why);
	free(keys);
	return result;
}

hm_result verify_checkpoint(const struct verify_keys *keys, const char *note, size_t length,
	struct checkpoint *checkpoint, unsigned *number, struct hm_problem *why)
{
	size_t name;
	HM_TRY(checkpoint_read(note, length, checkpoint, why));
	if (!split_origin(checkpoint->origin, number, &name))
		return hm_refuse(why, "ledger", NULL, "its origin '%s' is no shard's", checkpoint->origin);
	return check_signatures(keys, note, length, checkpoint->origin, name, why);
}

static hm_result take_checkpoint(struct verify *verify, struct hm_problem *why)
{
	char note[NOTE_MAX];
	size_t length;
	unsigned number = 0;
	HM_TRY(verify->log.checkpoint(verify->log.context, note, &length, why));
	HM_TRY(verify_checkpoint(&verify->terms->keys, note, length, &verify->checkpoint, &number, why));
	if (number != verify->shard.number)
		return hm_refuse(why, "ledger", NULL, "it is that of '%s'", verify->checkpoint.origin);
	return HM_OK;
}

/* A shard that has just begun has no checkpoint yet. */
static bool may_lack_checkpoint(const struct verify *verify)
{
	return verify->log.is_directory && !verify->log.size && verify->shard.number == verify->ledger->last;
}

static void find_checkpoint(struct verify *verify)
{
	struct hm_problem why;
	struct checkpoint *checkpoint = &verify->checkpoint;
	verify->has_checkpoint = take_checkpoint(verify, &why) == HM_OK;
	verify->shard.size = verify->log.is_directory ? verify->log.size : checkpoint->size;
	if (!verify->has_checkpoint) {
		if (!may_lack_checkpoint(verify))
			verify_found(verify, true, "checkpoint", NULL, "%s", why.detail);
		*checkpoint = (struct checkpoint){.size = 0};
		verify->shard.size = verify->log.size;
		return;
	}
	memcpy(verify->shard.origin, checkpoint->origin, sizeof checkpoint->origin);
	verify->shard.checked = checkpoint->size;
	if (checkpoint->size > verify->shard.size)
		verify_found(verify, true, "segment", &verify->shard.size,
			"it ends here, and the checkpoint covers %" PRIu64
			" entries: what follows was cut off or damaged",
			checkpoint->size);
	if (verify->has_trusted && checkpoint->size < verify->trusted.size)
		verify_found(verify, true, "checkpoint", NULL,
			"it covers %" PRIu64 " entries, and the trusted one %" PRIu64 ": this is an old copy",
			checkpoint->size, verify->trusted.size);
}

/* ---- the tree ---- */

/* The hashes of a tile, stored and as they must be. */
static void compare_tile(struct verify *verify, const struct tile_name *name, const struct merkle_hash *hashes)
{
	struct merkle_hash stored[TILE_WIDTH];
	struct hm_problem why;
	char place[PLACE_MAX], of[PLACE_MAX];
	unsigned at = 0;
	tile_place(name, place);
	if (verify->log.tile(verify->log.context, name, stored, &why) != HM_OK) {
		verify_found(verify, true, place, NULL, "%s", why.detail);
		return;
	}
	if (memcmp(stored, hashes, name->width * sizeof *hashes) == 0)
		return;
	while (merkle_equal(&stored[at], &hashes[at]))
		at++;
	uint64_t below = name->number * TILE_WIDTH + at;
	uint64_t entry = below << (unsigned)name->level * TILE_HEIGHT;
	struct tile_name other = {
		.level = name->level ? name->level - 1 : TILE_ENTRIES, .number = below, .width = TILE_WIDTH};
	if (!name->level)
		other.number /= TILE_WIDTH;
	tile_place(&other, of);
	verify_found(verify, true, place, &entry, "its hash %u is not that of %s%s", at,
		name->level ? "" : "the entry in ", of);
}

static hm_result take_tile(void *context, unsigned level, uint64_t number, const struct merkle_hash hashes[TILE_WIDTH],
	struct hm_problem *why)
{
	struct tile_name name = {.level = (int)level, .number = number, .width = TILE_WIDTH};
	(void)why;
	compare_tile(context, &name, hashes);
	return HM_OK;
}

/* A server has partial tiles for the size of its checkpoint. */
static void compare_partial_tiles(struct verify *verify)
{
	for (unsigned level = 0; level < TILE_LEVELS; level++) {
		const struct edge_level *at = &verify->edge.levels[level];
		unsigned shift = TILE_HEIGHT * (level + 1);
		struct tile_name name = {
			.level = (int)level, .number = shift < 64 ? verify->edge.size >> shift : 0, .width = at->count};
		if (at->count)
			compare_tile(verify, &name, at->hashes);
	}
}

/* The tree has grown to a size at which its root is known. */
static void compare_root(struct verify *verify)
{
	struct merkle_hash root;
	edge_root(&verify->edge, &root);
	if (verify->has_checkpoint && verify->edge.size == verify->checkpoint.size) {
		if (!merkle_equal(&root, &verify->checkpoint.root))
			verify_found(verify, true, "checkpoint", NULL,
				"its root is not that of the %" PRIu64 " entries", verify->edge.size);
		if (!verify->log.is_directory)
			compare_partial_tiles(verify);
	}
	if (verify->has_trusted && verify->edge.size == verify->trusted.size &&
		!merkle_equal(&root, &verify->trusted.root))
		verify_found(verify, true, "", NULL,
			"the first %" PRIu64 " entries do not have the root of the trusted checkpoint",
			verify->edge.size);
}

static hm_result add_leaf(struct verify *verify, const struct merkle_hash *leaf, struct hm_problem *why)
{
	HM_TRY(edge_add(&verify->edge, leaf, take_tile, verify, why));
	if (verify->edge.size == verify->checkpoint.size || verify->edge.size == verify->trusted.size)
		compare_root(verify);
	return HM_OK;
}

/* Where entries cannot be read, the tree goes on from their hashes, so that what follows is still verified. */
static hm_result add_from_tile(
	struct verify *verify, uint64_t number, unsigned from, unsigned width, struct hm_problem *why)
{
	struct tile_name name = {.level = 0, .number = number, .width = width};
	struct merkle_hash hashes[TILE_WIDTH];
	verify->shard.is_counted = false;
	HM_TRY(verify->log.tile(verify->log.context, &name, hashes, why));
	for (unsigned i = from; i < width; i++) {
		verify_remember(verify, number * TILE_WIDTH + i, -1);
		HM_TRY(add_leaf(verify, &hashes[i], why));
	}
	return HM_OK;
}

/* ---- bundles ---- */

static void free_bytes(uint8_t **data)
{
	free(*data);
}
#define BYTES_AUTO __attribute__((cleanup(free_bytes))) uint8_t *

/* The entries of a bundle from `skip` on, which are all there were before. */
static hm_result take_bundle(struct verify *verify, const struct tile_name *name, unsigned skip, struct hm_problem *why)
{
	BYTES_AUTO data = NULL;
	size_t left, length;
	const uint8_t *entry;
	char place[PLACE_MAX];
	tile_place(name, place);
	if (verify->log.bundle(verify->log.context, name, &data, &left, why) != HM_OK) {
		verify_found(verify, true, place, NULL, "%s", why->detail);
		return add_from_tile(verify, name->number, skip, name->width, why);
	}
	const uint8_t *at = data;
	for (unsigned i = 0; i < name->width; i++) {
		uint64_t index = name->number * TILE_WIDTH + i;
		struct merkle_hash leaf;
		if (!tile_next_entry(&at, &left, &entry, &length)) {
			verify_entry_fault(verify, index, "the bundle ends before it does");
			return add_from_tile(verify, name->number, i > skip ? i : skip, name->width, why);
		}
		if (i < skip)
			continue;
		verify_entry(verify, index, entry, length);
		merkle_leaf(entry, length, &leaf);
		HM_TRY(add_leaf(verify, &leaf, why));
	}
	if (left)
		verify_found(verify, true, place, NULL, "%zu bytes stand behind its last entry", left);
	return HM_OK;
}

static hm_result take_bundles(struct verify *verify, struct hm_problem *why)
{
	uint64_t size = verify->shard.size;
	while (verify->edge.size < size) {
		uint64_t number = verify->edge.size / TILE_WIDTH, left = size - number * TILE_WIDTH;
		struct tile_name name = {.level = TILE_ENTRIES,
			.number = number,
			.width = left < TILE_WIDTH ? (unsigned)left : TILE_WIDTH};
		HM_TRY(take_bundle(verify, &name, (unsigned)(verify->edge.size % TILE_WIDTH), why));
		if (verify->listener->progress)
			verify->listener->progress(
				verify->listener->context, verify->shard.number, verify->edge.size, size);
	}
	return HM_OK;
}

/* ---- beginning within a shard ---- */

/* The tree's edge at the trusted size, of the tiles: when it has the trusted root, what is added to it later is a
 * continuation of what was trusted. */
static hm_result begin_trusted(struct verify *verify, struct hm_problem *why)
{
	struct edge *edge = &verify->edge;
	uint64_t size = verify->trusted.size;
	struct merkle_hash root;
	for (unsigned level = 0; level < TILE_LEVELS; level++) {
		unsigned shift = TILE_HEIGHT * (level + 1);
		struct tile_name name = {.level = (int)level,
			.number = shift < 64 ? size >> shift : 0,
			.width = (unsigned)(size >> TILE_HEIGHT * level) % TILE_WIDTH};
		edge->levels[level].count = name.width;
		if (name.width)
			HM_TRY(verify->log.tile(verify->log.context, &name, edge->levels[level].hashes, why));
	}
	edge->size = size;
	edge_root(edge, &root);
	if (!merkle_equal(&root, &verify->trusted.root))
		return hm_refuse(why, "ledger", NULL,
			"the hash tiles do not have the root of the trusted checkpoint at %" PRIu64 " entries", size);
	return HM_OK;
}

/* Where to begin. What was trusted and is not there any more is read from its beginning, so that the fault is found. */
static void begin(struct verify *verify)
{
	struct hm_problem why;
	memset(&verify->edge, 0, sizeof verify->edge);
	verify->shard.is_counted = true;
	if (verify->has_trusted && verify->trusted.size && verify->trusted.size <= verify->shard.size) {
		if (begin_trusted(verify, &why) == HM_OK) {
			verify->shard.begin = verify->trusted.size;
			verify->shard.is_counted = false;
		} else {
			verify_found(verify, true, "", NULL, "%s", why.detail);
			memset(&verify->edge, 0, sizeof verify->edge);
		}
	}
	if (verify->edge.size == verify->checkpoint.size)
		compare_root(verify);
}

/* ---- shards ---- */

static void end_shard(struct verify *verify)
{
	struct verify_shard *shard = &verify->shard;
	edge_root(&verify->edge, &shard->root);
	if (verify->has_checkpoint && shard->checked < shard->size)
		verify_found(verify, shard->is_closed, "", NULL,
			"%" PRIu64 " entries from %" PRIu64 " on are behind the checkpoint: nobody signed them%s",
			shard->size - shard->checked, shard->checked,
			shard->is_closed ? ", though the shard is closed" : " yet");
	if (verify->listener->shard)
		verify->listener->shard(verify->listener->context, shard);
}

static void take_shard(struct verify *verify)
{
	struct hm_problem why;
	find_checkpoint(verify);
	begin(verify);
	if (take_bundles(verify, &why) != HM_OK)
		verify_found(verify, true, "", NULL, "cannot go on behind entry %" PRIu64 ": %s", verify->edge.size,
			why.detail);
	end_shard(verify);
}

/* The shard that was read is the one before the next. */
static void turn_over(struct verify *verify)
{
	struct verify_kids *kids = verify->kids_before;
	log_close(&verify->log_before);
	verify->log_before = verify->log;
	verify->before = verify->shard;
	verify->kids_before = verify->kids;
	verify->kids = kids;
	memset(kids, 0, sizeof *kids);
	memset(&verify->log, 0, sizeof verify->log);
	memset(&verify->trusted, 0, sizeof verify->trusted);
	verify->has_trusted = false;
	verify->has_checkpoint = false;
	memset(&verify->checkpoint, 0, sizeof verify->checkpoint);
}

/* One that is missing was moved elsewhere; what its entries would say of those behind it is not known. */
static bool open_shard(struct verify *verify)
{
	struct hm_problem why;
	hm_result result = verify->ledger->open(verify->ledger->context, verify->shard.number, &verify->log, &why);
	if (result == HM_OK)
		return true;
	verify_found(verify, result != HM_UNAVAILABLE, "", NULL, "%s", why.detail);
	verify->knows_epochs = false;
	return false;
}

static void take_shards(struct verify *verify, unsigned first)
{
	for (unsigned number = first; number <= verify->ledger->last; number++) {
		verify->shard = (struct verify_shard){.number = number};
		bool is_there = open_shard(verify);
		if (is_there)
			take_shard(verify);
		turn_over(verify);
		verify->has_before = is_there;
	}
}

static hm_result read_trusted(struct verify *verify, unsigned *number, struct hm_problem *why)
{
	struct hm_problem fault;
	const struct verify_terms *terms = verify->terms;
	if (verify_checkpoint(&terms->keys, terms->trusted, terms->trusted_length, &verify->trusted, number, &fault) !=
		HM_OK)
		return hm_refuse(why, "ledger", NULL, "the trusted checkpoint: %s", fault.detail);
	if (*number < verify->ledger->first || *number > verify->ledger->last)
		return hm_refuse(why, "ledger", NULL, "the trusted checkpoint is of '%s', which is not there",
			verify->trusted.origin);
	verify->has_trusted = true;
	return HM_OK;
}

static hm_result run(struct verify *verify, struct hm_problem *why)
{
	unsigned first = verify->ledger->first;
	if (verify->terms->trusted)
		HM_TRY(read_trusted(verify, &first, why));
	verify->knows_epochs = first == 1 && !verify->has_trusted;
	take_shards(verify, first);
	verify_epochs_end(verify);
	return HM_OK;
}

hm_result verify_ledger(const struct log_ledger *ledger, const struct verify_terms *terms,
	const struct verify_listener *listener, uint64_t *faults, struct hm_problem *why)
{
	struct verify *verify = calloc(1, sizeof *verify);
	*faults = 0;
	if (!verify)
		return hm_unavailable(why, "ledger", "no memory");
	verify->ledger = ledger;
	verify->terms = terms;
	verify->listener = listener;
	verify->kids = calloc(1, sizeof *verify->kids);
	verify->kids_before = calloc(1, sizeof *verify->kids_before);
	hm_result result =
		verify->kids && verify->kids_before ? run(verify, why) : hm_unavailable(why, "ledger", "no memory");
	*faults = verify->faults;
	log_close(&verify->log);
	log_close(&verify->log_before);
	free(verify->kids);
	free(verify->kids_before);
	free(verify);
	return result;
}
