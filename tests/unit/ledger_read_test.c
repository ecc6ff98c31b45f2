/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger_read.h"

#include "base64.h"
#include "note.h"
#include "segment.h"
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ENTRIES_MAX = 700, ENTRY_ROOM = 32 };

static char directory[] = "/tmp/hsmint-read-XXXXXX";
static struct ledger_reader *reader;
static struct gate_reply reply;
static struct hm_problem why;
static struct ledger_now now;
static struct merkle_hash leaves[4][ENTRIES_MAX];

static void run(const char *command)
{
	char line[192];
	snprintf(line, sizeof line, "cd %s && %s", directory, command);
	cr_assert_eq(system(line), 0); /* NOLINT(cert-env33-c): of our own words */
}

static void make_directory(void)
{
	cr_assert_not_null(mkdtemp(directory));
	reader = ledger_reader_open(directory);
	cr_assert_not_null(reader);
}

static void remove_directory(void)
{
	ledger_reader_close(reader);
	free((void *)reply.body.data);
	run("rm -r ../${PWD##*/}");
}

TestSuite(ledger_read, .init = make_directory, .fini = remove_directory, .timeout = 60);

/* ---- a ledger's files ---- */

static void write_file(unsigned shard, const char *name, const void *data, size_t length)
{
	char path[128];
	snprintf(path, sizeof path, "%s/%u/%s", directory, shard, name);
	FILE *file = fopen(path, "w");
	cr_assert_not_null(file, "%s", path);
	cr_assert_eq(fwrite(data, 1, length, file), length);
	fclose(file);
}

static size_t put_entries(unsigned shard, unsigned first, unsigned count, uint8_t *to)
{
	size_t used = 0;
	for (unsigned i = first; i < first + count; i++) {
		size_t length = (size_t)sprintf((char *)to + used + 2, "{\"shard\":%u,\"entry\":%u}", shard, i);
		merkle_leaf(to + used + 2, length, &leaves[shard][i]);
		to[used] = 0;
		to[used + 1] = (uint8_t)length;
		used += 2 + length;
	}
	return used;
}

/* A shard of so many entries: full bundles and tiles in files, the rest in the segment. */
static void write_shard(unsigned shard, unsigned size)
{
	static uint8_t data[ENTRIES_MAX * ENTRY_ROOM];
	char name[64];
	unsigned first = size / TILE_WIDTH * TILE_WIDTH;
	snprintf(name, sizeof name, "mkdir -p %u/tile/0 %u/tile/entries", shard, shard);
	run(name);
	for (unsigned i = 0; i < first / TILE_WIDTH; i++) {
		snprintf(name, sizeof name, "tile/entries/%03u", i);
		write_file(shard, name, data, put_entries(shard, i * TILE_WIDTH, TILE_WIDTH, data));
		snprintf(name, sizeof name, "tile/0/%03u", i);
		write_file(shard, name, leaves[shard][i * TILE_WIDTH].bytes, TILE_BYTES);
	}
	size_t body = put_entries(shard, first, size - first, data + SEGMENT_HEAD);
	segment_frame(data, body, first, size - first, &leaves[shard][first]);
	write_file(shard, "segment", data, body + SEGMENT_FRAME_MORE);
	now = (struct ledger_now){.shard = shard, .size = size};
}

/* RFC 6962, section 2.1, as it stands there. */
static struct merkle_hash root_of(const struct merkle_hash *hashes, unsigned count)
{
	struct merkle_hash left, right, root;
	unsigned split = 1;
	if (count == 1)
		return hashes[0];
	while (split * 2 < count)
		split *= 2;
	left = root_of(hashes, split);
	right = root_of(hashes + split, count - split);
	merkle_node(&left, &right, &root);
	return root;
}

/* Who reads has no key to verify with, so that nobody has to sign. */
static void write_checkpoint(unsigned shard, unsigned size, char text[NOTE_TEXT_MAX])
{
	struct checkpoint checkpoint = {.size = size, .root = root_of(leaves[shard], size)};
	snprintf(checkpoint.origin, sizeof checkpoint.origin, "mint.test/ledger/%u", shard);
	write_file(shard, "checkpoint", text, checkpoint_write(&checkpoint, text));
}

static hm_result ask(const char *path)
{
	struct ledger_question question;
	free((void *)reply.body.data);
	reply = (struct gate_reply){0};
	why = (struct hm_problem){.code = ""};
	cr_assert(ledger_question_read(path, &question), "%s", path);
	return ledger_read(reader, &question, &now, &reply, &why);
}

static void expect_refused(const char *path, const char *code)
{
	cr_expect_neq(ask(path), HM_OK, "%s", path);
	cr_expect_str_eq(why.code, code, "%s: %s", path, why.detail);
}

static void expect_body(const char *path, const void *data, size_t length)
{
	cr_assert_eq(ask(path), HM_OK, "%s: %s", path, why.detail);
	cr_assert_eq(reply.status, 200);
	cr_assert_eq(reply.body.length, length, "%s", path);
	cr_expect_arr_eq(reply.body.data, data, length, "%s", path);
}

/* ---- paths ---- */

Test(ledger_read, a_path_says_which_shard_and_what_of_it)
{
	struct ledger_question question;
	cr_assert(ledger_question_read("/ledger/tile/0/x001/234", &question));
	cr_expect_eq(question.part, LEDGER_TILE);
	cr_expect_eq(question.shard, 0);
	cr_expect_eq(question.tile.level, 0);
	cr_expect_eq(question.tile.number, 1234);
	cr_expect_eq(question.tile.width, 256);
	cr_assert(ledger_question_read("/ledger/99999/tile/entries/000.p/255", &question));
	cr_expect_eq(question.shard, 99999);
	cr_expect_eq(question.tile.level, TILE_ENTRIES);
	cr_expect_eq(question.tile.width, 255);
	cr_assert(ledger_question_read("/ledger/7/checkpoint", &question));
	cr_expect_eq(question.part, LEDGER_CHECKPOINT);
	cr_expect_eq(question.shard, 7);
	cr_assert(ledger_question_read("/v1/ledger/proof/0", &question));
	cr_expect_eq(question.part, LEDGER_PROOF);
	cr_expect_eq(question.shard, 0);
	cr_expect_eq(question.index, 0);
	cr_assert(ledger_question_read("/v1/ledger/proof/3/9007199254740991", &question));
	cr_expect_eq(question.shard, 3);
	cr_expect_eq(question.index, 9007199254740991);
}

static const char *const no_paths[] = {"", "/", "/ledger/", "/ledger/tile/", "/ledger/tile/0/", "/ledger/tile/8/000",
	"/ledger/tile/0/0000", "/ledger/tile/0/000.p/256", "/ledger/tile/0/000.p/0", "/ledger/tile/0/000.p/05",
	"/ledger/tile/0/x000/001", "/ledger/tile/00/000", "/ledger/tile/0/000/", "/ledger/tile/entries",
	"/ledger/tile/0/..", "/ledger/0/tile/0/000", "/ledger/01/tile/0/000", "/ledger/100000/tile/0/000",
	"/ledger/18446744073709551617/tile/0/000", "/ledger/1tile/0/000", "/ledger/1//tile/0/000", "/ledger/1/",
	"/ledger/checkpoint", "/ledger/1/checkpoint/", "/ledger/1/checkpoint.new", "/ledger/1/segment",
	"/ledger/1/2/checkpoint", "/ledger/0/checkpoint", "/v1/ledger/proof/", "/v1/ledger/proof/00",
	"/v1/ledger/proof/01", "/v1/ledger/proof/-1", "/v1/ledger/proof/1x", "/v1/ledger/proof/9007199254740992",
	"/v1/ledger/proof/1/", "/v1/ledger/proof/0/1", "/v1/ledger/proof/1/2/3", "/v1/ledger/proof//1",
	"/v2/ledger/proof/1", "ledger/tile/0/000"};

Test(ledger_read, there_is_one_way_to_write_a_path)
{
	struct ledger_question question;
	for (size_t i = 0; i < sizeof no_paths / sizeof *no_paths; i++)
		cr_expect_not(ledger_question_read(no_paths[i], &question), "%s", no_paths[i]);
}

/* ---- tiles and bundles ---- */

Test(ledger_read, tiles_and_bundles_are_those_of_the_files_and_of_the_segment)
{
	static uint8_t bundle[TILE_WIDTH * ENTRY_ROOM];
	char note[NOTE_TEXT_MAX];
	struct merkle_hash above[2];
	write_shard(1, 600);
	write_checkpoint(1, 600, note);
	expect_body("/ledger/tile/0/000", leaves[1], TILE_BYTES);
	expect_body("/ledger/tile/0/001", leaves[1] + 256, TILE_BYTES);
	expect_body("/ledger/tile/0/002.p/88", leaves[1] + 512, (size_t)88 * 32);
	for (unsigned i = 0; i < 2; i++)
		above[i] = root_of(leaves[1] + (size_t)i * TILE_WIDTH, TILE_WIDTH);
	expect_body("/ledger/tile/1/000.p/2", above, sizeof above);
	expect_body("/ledger/tile/entries/001", bundle, put_entries(1, 256, 256, bundle));
	cr_expect_str_eq(reply.content_type, "application/octet-stream");
	expect_body("/ledger/1/tile/entries/002.p/88", bundle, put_entries(1, 512, 88, bundle));
	expect_body("/ledger/1/tile/0/002.p/1", leaves[1] + 512, 32);
	expect_body("/ledger/1/tile/0/001.p/17", leaves[1] + 256, (size_t)17 * 32);
	expect_body("/ledger/1/checkpoint", note, strlen(note));
	cr_expect_str_eq(reply.content_type, "text/plain; charset=utf-8");
}

Test(ledger_read, what_no_checkpoint_covers_is_not_there)
{
	char note[NOTE_TEXT_MAX];
	write_shard(1, 600);
	expect_refused("/ledger/1/checkpoint", "not_found");
	expect_refused("/ledger/tile/0/000", "not_found");
	write_checkpoint(1, 300, note);
	cr_expect_eq(ask("/ledger/tile/0/000"), HM_OK);
	cr_expect_eq(ask("/ledger/tile/0/001.p/44"), HM_OK);
	cr_expect_eq(ask("/ledger/tile/entries/001.p/44"), HM_OK);
	cr_expect_eq(ask("/ledger/tile/1/000.p/1"), HM_OK);
	static const char *const beyond[] = {"/ledger/tile/0/001", "/ledger/tile/0/001.p/45",
		"/ledger/tile/entries/001", "/ledger/tile/entries/001.p/45", "/ledger/1/tile/0/001.p/45",
		"/ledger/tile/1/000.p/2", "/ledger/tile/1/000", "/ledger/tile/2/000.p/1", "/ledger/tile/7/000.p/1",
		"/ledger/tile/0/002.p/1", "/ledger/tile/0/x999/x999/x999/x999/x999/999", "/ledger/2/tile/0/000",
		"/ledger/2/checkpoint"};
	for (size_t i = 0; i < sizeof beyond / sizeof *beyond; i++)
		expect_refused(beyond[i], "not_found");
}

Test(ledger_read, only_with_its_shards_number_a_tile_may_be_kept_for_good_and_entries_by_nobody_between)
{
	char note[NOTE_TEXT_MAX];
	write_shard(1, 300);
	write_checkpoint(1, 300, note);
	static const struct {
		const char *path, *cache_control;
		bool has_etag;
	} cases[] = {{"/ledger/1/tile/0/000", "public, max-age=31536000, immutable", false},
		{"/ledger/1/tile/0/001.p/3", "public, max-age=31536000, immutable", false},
		{"/ledger/1/tile/entries/000", "private, max-age=31536000, immutable", false},
		{"/ledger/tile/0/000", "no-cache", true}, {"/ledger/tile/0/001.p/3", "no-cache", true},
		{"/ledger/tile/entries/001.p/3", "private, no-cache", true}, {"/ledger/1/checkpoint", "no-cache", true},
		{"/v1/ledger/proof/5", "", false}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		cr_assert_eq(ask(cases[i].path), HM_OK, "%s", cases[i].path);
		cr_expect_str_eq(reply.cache_control, cases[i].cache_control, "%s", cases[i].path);
		cr_expect_eq(reply.etag[0] == '"', cases[i].has_etag, "%s", cases[i].path);
	}
}

Test(ledger_read, what_comes_later_is_seen_and_the_next_shard_too)
{
	char note[NOTE_TEXT_MAX], before[ETAG_SIZE];
	write_shard(1, 10);
	write_checkpoint(1, 10, note);
	expect_body("/ledger/tile/0/000.p/10", leaves[1], (size_t)10 * 32);
	snprintf(before, sizeof before, "%s", reply.etag);
	expect_refused("/ledger/tile/0/000.p/11", "not_found");
	write_shard(1, 270);
	write_checkpoint(1, 270, note);
	expect_body("/ledger/tile/0/000", leaves[1], TILE_BYTES);
	expect_body("/ledger/tile/0/001.p/14", leaves[1] + 256, (size_t)14 * 32);
	write_shard(2, 10);
	write_checkpoint(2, 10, note);
	expect_body("/ledger/tile/0/000.p/10", leaves[2], (size_t)10 * 32);
	cr_expect_str_neq(reply.etag, before);
	expect_body("/ledger/1/tile/0/000.p/10", leaves[1], (size_t)10 * 32);
	expect_body("/ledger/2/tile/0/000.p/10", leaves[2], (size_t)10 * 32);
}

Test(ledger_read, more_shards_than_are_kept_open_are_read_in_turn)
{
	char note[NOTE_TEXT_MAX], path[64];
	for (unsigned shard = 1; shard <= 3; shard++) {
		write_shard(shard, 20);
		write_checkpoint(shard, 20, note);
	}
	run("for n in 4 5 6 7 8 9; do cp -r 1 $n; done");
	now.shard = 9;
	for (unsigned i = 0; i < 40; i++) {
		unsigned shard = i * 7 % 9 + 1;
		snprintf(path, sizeof path, "/ledger/%u/tile/0/000.p/20", shard);
		expect_body(path, leaves[shard <= 3 ? shard : 1], (size_t)20 * 32);
	}
}

Test(ledger_read, a_shard_that_was_moved_away_is_not_there_any_more)
{
	char note[NOTE_TEXT_MAX];
	write_shard(1, 10);
	write_checkpoint(1, 10, note);
	write_shard(2, 10);
	write_checkpoint(2, 10, note);
	cr_expect_eq(ask("/ledger/1/tile/0/000.p/10"), HM_OK);
	run("mv 1 elsewhere");
	expect_refused("/ledger/1/tile/0/000.p/10", "not_found");
	expect_refused("/ledger/1/checkpoint", "not_found");
	expect_refused("/v1/ledger/proof/1/3", "not_found");
	cr_expect_eq(ask("/ledger/2/tile/0/000.p/10"), HM_OK);
}

/* ---- what is wrong with the files ---- */

Test(ledger_read, files_that_contradict_their_checkpoint_are_a_fault_of_ours)
{
	char note[NOTE_TEXT_MAX];
	write_shard(1, 40);
	write_checkpoint(1, 40, note);
	write_shard(1, 30);
	expect_refused("/ledger/tile/0/000.p/20", "ledger");
	write_shard(1, 40);
	cr_expect_eq(ask("/ledger/tile/0/000.p/20"), HM_OK);
	write_file(1, "checkpoint", "nonsense", 8);
	expect_refused("/ledger/tile/0/000.p/20", "ledger");
	write_shard(1, 300);
	write_checkpoint(1, 300, note);
	write_file(1, "tile/0/000", "short", 5);
	expect_refused("/ledger/tile/0/000", "ledger");
	write_file(1, "tile/0/000", leaves[1], TILE_BYTES);
	cr_expect_eq(ask("/v1/ledger/proof/7"), HM_OK);
	ledger_reader_close(reader);
	reader = ledger_reader_open(directory);
	write_file(1, "tile/0/000", leaves[1] + 1, TILE_BYTES);
	expect_refused("/v1/ledger/proof/7", "ledger");
}

/* ---- proofs ---- */

static void hash_of(const json_t *text, struct merkle_hash *hash)
{
	const char *base64 = json_string_value(text);
	cr_assert_not_null(base64);
	cr_assert_eq(base64_decode(base64, strlen(base64), hash->bytes, 32), 32);
}

/* Up the path as RFC 9162, section 2.1.3.2, says. */
static struct merkle_hash walk(struct merkle_hash hash, uint64_t index, uint64_t size, const json_t *path)
{
	uint64_t last = size - 1;
	for (size_t i = 0; i < json_array_size(path); i++) {
		struct merkle_hash other, up;
		hash_of(json_array_get(path, i), &other);
		cr_assert_neq(last, 0);
		if (index % 2 || index == last) {
			merkle_node(&other, &hash, &up);
			while (index % 2 == 0 && index) {
				index /= 2;
				last /= 2;
			}
		} else {
			merkle_node(&hash, &other, &up);
		}
		index /= 2;
		last /= 2;
		hash = up;
	}
	cr_assert_eq(last, 0);
	return hash;
}

Test(ledger_read, a_proof_leads_from_each_entry_to_the_root_of_the_checkpoint)
{
	char note[NOTE_TEXT_MAX], path[64];
	write_shard(1, 600);
	write_checkpoint(1, 555, note);
	struct merkle_hash root = root_of(leaves[1], 555), leaf;
	for (unsigned index = 0; index < 555; index++) {
		snprintf(path, sizeof path, index % 2 ? "/v1/ledger/proof/%u" : "/v1/ledger/proof/1/%u", index);
		cr_assert_eq(ask(path), HM_OK, "%s: %s", path, why.detail);
		cr_expect_str_eq(reply.content_type, "application/json");
		json_t *proof =
			json_loadb((const char *)reply.body.data, reply.body.length, JSON_REJECT_DUPLICATES, NULL);
		cr_assert_not_null(proof);
		cr_expect_eq(json_object_size(proof), 5);
		cr_expect_str_eq(json_string_value(json_object_get(proof, "origin")), "mint.test/ledger/1");
		cr_expect_eq(json_integer_value(json_object_get(proof, "index")), index);
		cr_expect_str_eq(json_string_value(json_object_get(proof, "checkpoint")), note);
		hash_of(json_object_get(proof, "leaf"), &leaf);
		cr_expect(merkle_equal(&leaf, &leaves[1][index]));
		struct merkle_hash up = walk(leaf, index, 555, json_object_get(proof, "path"));
		cr_expect(merkle_equal(&up, &root), "%u", index);
		json_decref(proof);
	}
}

Test(ledger_read, what_is_recorded_without_a_checkpoint_is_pending_and_what_is_not_recorded_is_not_there)
{
	char note[NOTE_TEXT_MAX];
	write_shard(1, 20);
	expect_refused("/v1/ledger/proof/19", "checkpoint_pending");
	write_checkpoint(1, 15, note);
	cr_expect_eq(ask("/v1/ledger/proof/14"), HM_OK);
	expect_refused("/v1/ledger/proof/15", "checkpoint_pending");
	expect_refused("/v1/ledger/proof/20", "not_found");
	now.size = 21; /* the writer has one that is not in the segment yet */
	expect_refused("/v1/ledger/proof/20", "checkpoint_pending");
	expect_refused("/v1/ledger/proof/1/20", "checkpoint_pending");
	expect_refused("/v1/ledger/proof/2/0", "not_found");
	write_shard(1, 25);
	write_shard(2, 10);
	expect_refused("/v1/ledger/proof/1/24", "checkpoint_pending");
	expect_refused("/v1/ledger/proof/1/25", "not_found");
	expect_refused("/v1/ledger/proof/9", "checkpoint_pending");
	expect_refused("/v1/ledger/proof/10", "not_found");
}
