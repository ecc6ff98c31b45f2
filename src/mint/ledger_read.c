/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger_read.h"

#include "base64.h"
#include "json_write.h"
#include "publication.h"
#include "shard.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	SHARDS_KEPT = 4, /* open for the next who asks: the one that grows, and some that are mirrored */
	HASH_TEXT = 44,  /* base64 of a hash */
	PROOF_TEXT = 6 * NOTE_MAX + MERKLE_PATH_MAX * (HASH_TEXT + 3) + HM_ORIGIN_MAX + 256
};

/* ---- the question ---- */

static bool take(const char **at, const char *text)
{
	size_t length = strlen(text);
	if (strncmp(*at, text, length) != 0)
		return false;
	*at += length;
	return true;
}

/* A number as it is written one way only. */
static bool take_number(const char **at, uint64_t most, uint64_t *number)
{
	const char *first = *at;
	*number = 0;
	for (; **at >= '0' && **at <= '9'; ++*at) {
		unsigned digit = (unsigned)(**at - '0');
		if (*number > (most - digit) / 10)
			return false;
		*number = *number * 10 + digit;
	}
	size_t digits = (size_t)(*at - first);
	return digits == 1 || (digits > 1 && *first != '0');
}

/* A shard's number and the slash behind it. */
static bool take_shard(const char **at, unsigned *shard)
{
	uint64_t number;
	if (!take_number(at, HM_SHARDS_MAX, &number) || !number)
		return false;
	*shard = (unsigned)number;
	return take(at, "/");
}

static bool read_proof(const char *at, struct ledger_question *question)
{
	question->part = LEDGER_PROOF;
	if (strchr(at, '/') && !take_shard(&at, &question->shard))
		return false;
	return take_number(&at, HM_INTEGER_MAX, &question->index) && !*at;
}

bool ledger_question_read(const char *path, struct ledger_question *question)
{
	const char *at = path;
	*question = (struct ledger_question){.part = LEDGER_TILE};
	if (take(&at, "/v1/ledger/proof/"))
		return read_proof(at, question);
	if (!take(&at, "/ledger/"))
		return false;
	if (*at >= '0' && *at <= '9' && !take_shard(&at, &question->shard))
		return false;
	if (take(&at, "tile/"))
		return tile_name_read(at, &question->tile);
	question->part = LEDGER_CHECKPOINT;
	return question->shard && strcmp(at, "checkpoint") == 0;
}

/* ---- shards ---- */

struct ledger_reader {
	char directory[HM_PATH_MAX];
	uint64_t uses;
	struct opened {
		unsigned number;
		uint64_t used;       /* when it was last */
		struct shard *shard; /* NULL: a free place */
	} opened[SHARDS_KEPT];
};

struct ledger_reader *ledger_reader_open(const char *directory)
{
	struct ledger_reader *reader = calloc(1, sizeof *reader);
	if (reader)
		snprintf(reader->directory, sizeof reader->directory, "%s", directory);
	return reader;
}

static void close_opened(struct opened *opened)
{
	shard_close(opened->shard);
	*opened = (struct opened){0};
}

void ledger_reader_close(struct ledger_reader *reader)
{
	if (!reader)
		return;
	for (unsigned i = 0; i < SHARDS_KEPT; i++)
		close_opened(&reader->opened[i]);
	free(reader);
}

/* The place where this shard is, or one for it. */
static struct opened *place_of(struct ledger_reader *reader, unsigned number)
{
	struct opened *oldest = &reader->opened[0];
	for (unsigned i = 0; i < SHARDS_KEPT; i++) {
		struct opened *at = &reader->opened[i];
		if (at->shard && at->number == number)
			return at;
		if (at->used < oldest->used)
			oldest = at;
	}
	close_opened(oldest);
	return oldest;
}

static hm_result not_found(struct hm_problem *why)
{
	return hm_refuse(why, "not_found", NULL, "what the newest checkpoint covers");
}

/* A closed shard may have been moved away, and one that has just begun has no checkpoint. */
static bool is_missing(const struct ledger_reader *reader, unsigned number, const char *name)
{
	char path[HM_PATH_MAX + 32];
	snprintf(path, sizeof path, "%s/%u/%s", reader->directory, number, name);
	return access(path, F_OK) < 0 && errno == ENOENT;
}

static hm_result open_shard(struct ledger_reader *reader, unsigned number, struct opened **out, struct hm_problem *why)
{
	struct opened *place = *out = place_of(reader, number);
	place->used = ++reader->uses;
	if (place->shard)
		return HM_OK;
	if (shard_open(reader->directory, number, &place->shard, why) == HM_OK) {
		place->number = number;
		return HM_OK;
	}
	place->used = 0;
	return is_missing(reader, number, "segment") ? not_found(why) : HM_UNAVAILABLE;
}

/* What is in memory is as the files were when they were read: read them again when there is more. */
static hm_result reopen(struct ledger_reader *reader, struct opened *opened, struct hm_problem *why)
{
	unsigned number = opened->number;
	close_opened(opened);
	return open_shard(reader, number, &opened, why);
}

/* ---- reading ---- */

/* What one question is answered from. */
struct reading {
	struct ledger_reader *reader;
	const struct ledger_question *question;
	const struct ledger_now *now;
	struct opened *opened;
	char note[NOTE_MAX];
	size_t note_length;
	struct checkpoint checkpoint; /* without one its size is 0 */
};

static hm_result read_checkpoint(struct reading *reading, struct hm_problem *why)
{
	struct opened *opened = reading->opened;
	reading->checkpoint = (struct checkpoint){.size = 0};
	if (shard_checkpoint(opened->shard, reading->note, &reading->note_length, why) != HM_OK) {
		reading->note_length = 0;
		return is_missing(reading->reader, opened->number, "checkpoint") ? HM_OK : HM_UNAVAILABLE;
	}
	if (checkpoint_read(reading->note, reading->note_length, &reading->checkpoint, why) != HM_OK)
		return HM_UNAVAILABLE;
	if (shard_size(opened->shard) < reading->checkpoint.size)
		HM_TRY(reopen(reading->reader, opened, why));
	if (shard_size(opened->shard) < reading->checkpoint.size)
		return hm_unavailable(why, "ledger", "shard %u has fewer entries than its checkpoint", opened->number);
	return HM_OK;
}

/* A body of the reply, which is written into. */
static uint8_t *make_body(struct gate_reply *reply, size_t size)
{
	uint8_t *body = malloc(size);
	reply->body = (struct hm_bytes){body, body ? size : 0};
	return body;
}

static hm_result no_memory(struct hm_problem *why)
{
	return hm_unavailable(why, "overload", "no memory");
}

static void set_type(struct gate_reply *reply, const char *content_type)
{
	snprintf(reply->content_type, sizeof reply->content_type, "%s", content_type);
}

static void set_caching(struct gate_reply *reply, const char *whose, const char *how)
{
	snprintf(reply->cache_control, sizeof reply->cache_control, "%s%s", whose, how);
}

static hm_result give_checkpoint(const struct reading *reading, struct gate_reply *reply, struct hm_problem *why)
{
	if (!reading->note_length)
		return not_found(why);
	uint8_t *body = make_body(reply, reading->note_length);
	if (!body)
		return no_memory(why);
	memcpy(body, reading->note, reading->note_length);
	set_type(reply, "text/plain; charset=utf-8");
	set_caching(reply, "", "no-cache");
	publication_etag(body, reply->body.length, reply->etag);
	return HM_OK;
}

/* Does a tree of this size have as much of the tile? */
static bool has_tile(uint64_t size, const struct tile_name *name)
{
	unsigned level = name->level == TILE_ENTRIES ? 0 : (unsigned)name->level;
	uint64_t hashes = size >> (TILE_HEIGHT * level);
	return name->number < hashes / TILE_WIDTH ||
	       (name->number == hashes / TILE_WIDTH && name->width <= hashes % TILE_WIDTH);
}

static hm_result read_tile(
	struct shard *shard, const struct tile_name *name, struct gate_reply *reply, struct hm_problem *why)
{
	struct merkle_hash hashes[TILE_WIDTH];
	HM_TRY(shard_tile(shard, name, hashes, why));
	uint8_t *body = make_body(reply, name->width * sizeof *hashes);
	if (!body)
		return no_memory(why);
	memcpy(body, hashes, reply->body.length);
	return HM_OK;
}

static hm_result read_bundle(
	struct shard *shard, const struct tile_name *name, struct gate_reply *reply, struct hm_problem *why)
{
	uint8_t *bundle;
	size_t length;
	HM_TRY(shard_bundle(shard, name, &bundle, &length, why));
	reply->body = (struct hm_bytes){bundle, length};
	if (length > HM_FRAME_MAX_MEMFD - sizeof *reply)
		return hm_unavailable(why, "ledger", "a bundle of %zu bytes", length);
	return HM_OK;
}

/* With its shard's number a tile never changes; without, the next shard has another one there. Entries are for who
 * asked alone, and for no cache between. */
static hm_result give_tile(const struct reading *reading, struct gate_reply *reply, struct hm_problem *why)
{
	const struct tile_name *name = &reading->question->tile;
	bool is_entries = name->level == TILE_ENTRIES;
	if (!has_tile(reading->checkpoint.size, name))
		return not_found(why);
	if (is_entries)
		HM_TRY(read_bundle(reading->opened->shard, name, reply, why));
	else
		HM_TRY(read_tile(reading->opened->shard, name, reply, why));
	set_type(reply, "application/octet-stream");
	if (reading->question->shard) {
		set_caching(reply, is_entries ? "private" : "public", ", max-age=31536000, immutable");
		return HM_OK;
	}
	set_caching(reply, is_entries ? "private, " : "", "no-cache");
	publication_etag(reply->body.data, reply->body.length, reply->etag);
	return HM_OK;
}

/* ---- proofs ---- */

struct proof {
	struct merkle_hash leaf, path[MERKLE_PATH_MAX];
	unsigned count;
};

/* What no checkpoint covers yet is under the next one. */
static hm_result check_covered(const struct reading *reading, struct hm_problem *why)
{
	uint64_t index = reading->question->index, size = reading->now->size;
	if (index < reading->checkpoint.size)
		return HM_OK;
	if (reading->opened->number != reading->now->shard) {
		HM_TRY(reopen(reading->reader, reading->opened, why));
		size = shard_size(reading->opened->shard);
	}
	return index < size ? hm_unavailable(why, "checkpoint_pending", "entry %" PRIu64, index) : not_found(why);
}

static hm_result make_proof(const struct reading *reading, struct proof *proof, struct hm_problem *why)
{
	struct merkle_source source = shard_source(reading->opened->shard);
	const struct checkpoint *checkpoint = &reading->checkpoint;
	uint64_t index = reading->question->index;
	HM_TRY(source.subtree(source.context, 0, index, &proof->leaf, why));
	HM_TRY(merkle_inclusion(&source, index, checkpoint->size, proof->path, &proof->count, why));
	if (!merkle_includes(&proof->leaf, index, checkpoint->size, proof->path, proof->count, &checkpoint->root))
		return hm_unavailable(
			why, "ledger", "shard %u does not have the root of its checkpoint", reading->opened->number);
	return HM_OK;
}

static void put_hash(struct hm_json *json, const struct merkle_hash *hash)
{
	char text[HASH_TEXT + 1];
	text[base64_encode(hash->bytes, sizeof hash->bytes, text)] = 0;
	hm_json_string(json, text);
}

static void put_proof(struct hm_json *json, const struct reading *reading, const struct proof *proof)
{
	hm_json_begin(json, '{');
	hm_json_member_string(json, "origin", reading->checkpoint.origin);
	hm_json_member_number(json, "index", (int64_t)reading->question->index);
	hm_json_key(json, "leaf");
	put_hash(json, &proof->leaf);
	hm_json_key(json, "path");
	hm_json_begin(json, '[');
	for (unsigned i = 0; i < proof->count; i++)
		put_hash(json, &proof->path[i]);
	hm_json_end(json, ']');
	hm_json_member_string(json, "checkpoint", reading->note);
	hm_json_end(json, '}');
}

static hm_result give_proof(const struct reading *reading, struct gate_reply *reply, struct hm_problem *why)
{
	struct proof proof;
	HM_TRY(check_covered(reading, why));
	HM_TRY(make_proof(reading, &proof, why));
	uint8_t *body = make_body(reply, PROOF_TEXT);
	if (!body)
		return no_memory(why);
	struct hm_json json = hm_json((char *)body, PROOF_TEXT);
	put_proof(&json, reading, &proof);
	reply->body.length = json.out.used;
	set_type(reply, "application/json");
	return json.out.failed ? hm_broken(why, "no room for a proof") : HM_OK;
}

hm_result ledger_read(struct ledger_reader *reader, const struct ledger_question *question,
	const struct ledger_now *now, struct gate_reply *reply, struct hm_problem *why)
{
	struct reading reading = {.reader = reader, .question = question, .now = now};
	unsigned shard = question->shard ? question->shard : now->shard;
	*reply = (struct gate_reply){.status = 200};
	if (shard > now->shard)
		return not_found(why);
	HM_TRY(open_shard(reader, shard, &reading.opened, why));
	HM_TRY(read_checkpoint(&reading, why));
	if (question->part == LEDGER_CHECKPOINT)
		return give_checkpoint(&reading, reply, why);
	return question->part == LEDGER_TILE ? give_tile(&reading, reply, why) : give_proof(&reading, reply, why);
}
