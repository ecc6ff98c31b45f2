/* SPDX-License-Identifier: Apache-2.0 */
#include "shard.h"

#include "edge.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ENTRIES_MAX = 66000, ENTRY_ROOM = 24 };

static char directory[] = "/tmp/hsmint-shard-XXXXXX";
static struct merkle_hash leaves[ENTRIES_MAX];
static struct hm_problem why;

static void run(const char *command)
{
	char line[192];
	snprintf(line, sizeof line, "cd %s && %s", directory, command);
	cr_assert_eq(system(line), 0); /* NOLINT(cert-env33-c): of our own words */
}

static void make_directory(void)
{
	cr_assert_not_null(mkdtemp(directory));
	run("mkdir -p 1/tile");
}

static void remove_directory(void)
{
	run("rm -r ../${PWD##*/}");
}

TestSuite(shard, .init = make_directory, .fini = remove_directory, .timeout = 60);

/* ---- a shard's files ---- */

static void path_of(const char *name, char path[128])
{
	snprintf(path, 128, "%s/1/%s", directory, name);
}

static void write_file(const char *name, const void *data, size_t length)
{
	char path[128], made[128];
	path_of(name, path);
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		snprintf(made, sizeof made, "%.*s", (int)(slash - path), path);
		(void)mkdir(made, 0700);
	}
	FILE *file = fopen(path, "w");
	cr_assert_not_null(file);
	cr_assert_eq(fwrite(data, 1, length, file), length);
	fclose(file);
}

static size_t put_entry(uint64_t index, uint8_t *to)
{
	size_t length = (size_t)sprintf((char *)to + 2, "{\"entry\":%u}", (unsigned)index);
	to[0] = 0;
	to[1] = (uint8_t)length;
	return 2 + length;
}

static size_t put_entries(uint64_t first, uint64_t count, uint8_t *to)
{
	size_t used = 0;
	for (uint64_t i = first; i < first + count; i++)
		used += put_entry(i, to + used);
	return used;
}

static void write_tile(const struct tile_name *name, const void *data, size_t length)
{
	char text[TILE_NAME_MAX + 8] = "tile/";
	tile_name_write(name, text + strlen(text));
	write_file(text, data, length);
}

static hm_result take_tile(void *context, unsigned level, uint64_t number, const struct merkle_hash hashes[TILE_WIDTH],
	struct hm_problem *problem)
{
	struct tile_name name = {.level = (int)level, .number = number, .width = TILE_WIDTH};
	(void)context;
	(void)problem;
	write_tile(&name, hashes, TILE_BYTES);
	return HM_OK;
}

static void write_bundle(uint64_t number)
{
	static uint8_t bundle[TILE_WIDTH * ENTRY_ROOM];
	struct tile_name name = {.level = TILE_ENTRIES, .number = number, .width = TILE_WIDTH};
	write_tile(&name, bundle, put_entries(number * TILE_WIDTH, TILE_WIDTH, bundle));
}

static void write_segment(uint64_t first, uint64_t size)
{
	static uint8_t data[1024 * ENTRY_ROOM];
	size_t used = 0;
	for (uint64_t at = first;; at += 100) {
		unsigned count = (unsigned)(size - at < 100 ? size - at : 100);
		size_t body = put_entries(at, count, data + used + SEGMENT_HEAD);
		segment_frame(data + used, body, at, count, leaves + at);
		used += body + SEGMENT_FRAME_MORE;
		if (at + count == size)
			break;
	}
	write_file("segment", data, used);
}

/* `size` entries, those from `first` on in the segment. */
static struct shard *make(uint64_t first, uint64_t size)
{
	struct edge *edge = calloc(1, sizeof *edge);
	struct shard *shard;
	for (uint64_t i = 0; i < size; i++) {
		uint8_t entry[ENTRY_ROOM];
		size_t length = put_entry(i, entry);
		merkle_leaf(entry + 2, length - 2, &leaves[i]);
		if (i < first)
			cr_assert_eq(edge_add(edge, &leaves[i], take_tile, NULL, &why), HM_OK);
	}
	for (uint64_t i = 0; i < first / TILE_WIDTH; i++)
		write_bundle(i);
	write_segment(first, size);
	free(edge);
	cr_assert_eq(shard_open(directory, 1, &shard, &why), HM_OK, "%s", why.detail);
	cr_assert_eq(shard_size(shard), size);
	cr_assert_eq(shard_bundled(shard), first);
	return shard;
}

/* ---- tiles and bundles ---- */

/* Hash `number` of tile level `level`, from the leaves alone. */
static struct merkle_hash expected_hash(unsigned level, uint64_t number)
{
	struct merkle_hash below[TILE_WIDTH], hash;
	if (!level)
		return leaves[number];
	for (unsigned i = 0; i < TILE_WIDTH; i++)
		below[i] = expected_hash(level - 1, number * TILE_WIDTH + i);
	merkle_root_of(below, TILE_WIDTH, &hash);
	return hash;
}

static void expect_tile(struct shard *shard, int level, uint64_t number, unsigned width)
{
	struct tile_name name = {.level = level, .number = number, .width = width};
	struct merkle_hash hashes[TILE_WIDTH];
	cr_assert_eq(shard_tile(shard, &name, hashes, &why), HM_OK, "%s", why.detail);
	for (unsigned i = 0; i < width; i++) {
		struct merkle_hash expected = expected_hash((unsigned)level, number * TILE_WIDTH + i);
		cr_assert(merkle_equal(&hashes[i], &expected), "hash %u of %d/%lu", i, level, number);
	}
}

static void expect_no_tile(struct shard *shard, int level, uint64_t number, unsigned width)
{
	struct tile_name name = {.level = level, .number = number, .width = width};
	struct merkle_hash hashes[TILE_WIDTH];
	uint8_t *bundle;
	size_t length;
	if (level == TILE_ENTRIES) {
		cr_expect_eq(shard_bundle(shard, &name, &bundle, &length, &why), HM_UNAVAILABLE);
		cr_expect_null(bundle);
	} else
		cr_expect_eq(shard_tile(shard, &name, hashes, &why), HM_UNAVAILABLE);
}

static void expect_bundle(struct shard *shard, uint64_t number, unsigned width)
{
	static uint8_t expected[TILE_WIDTH * ENTRY_ROOM];
	struct tile_name name = {.level = TILE_ENTRIES, .number = number, .width = width};
	size_t length, expected_length = put_entries(number * TILE_WIDTH, width, expected);
	uint8_t *bundle;
	cr_assert_eq(shard_bundle(shard, &name, &bundle, &length, &why), HM_OK, "%s", why.detail);
	cr_assert_eq(length, expected_length);
	cr_assert_arr_eq(bundle, expected, length);
	free(bundle);
}

Test(shard, bundles_of_every_width_come_from_files_and_segment)
{
	struct shard *shard = make(512, 1000);
	for (uint64_t number = 0; number < 4; number++)
		for (unsigned width = 1; width <= (number == 3 ? 1000 - 768 : TILE_WIDTH); width++)
			expect_bundle(shard, number, width);
	expect_no_tile(shard, TILE_ENTRIES, 3, 233);
	expect_no_tile(shard, TILE_ENTRIES, 3, TILE_WIDTH);
	expect_no_tile(shard, TILE_ENTRIES, 4, 1);
	expect_no_tile(shard, TILE_ENTRIES, UINT64_MAX, 1);
	expect_no_tile(shard, TILE_ENTRIES, 0, 0);
	expect_no_tile(shard, TILE_ENTRIES, 0, TILE_WIDTH + 1);
	shard_close(shard);
}

Test(shard, hash_tiles_of_every_width_come_from_files_and_segment)
{
	struct shard *shard = make(512, 1000);
	for (uint64_t number = 0; number < 4; number++)
		for (unsigned width = 1; width <= (number == 3 ? 1000 - 768 : TILE_WIDTH); width++)
			expect_tile(shard, 0, number, width);
	for (unsigned width = 1; width <= 3; width++)
		expect_tile(shard, 1, 0, width);
	expect_no_tile(shard, 0, 3, 233);
	expect_no_tile(shard, 0, 4, 1);
	expect_no_tile(shard, 1, 0, 4);
	expect_no_tile(shard, 1, 1, 1);
	expect_no_tile(shard, 2, 0, 1);
	expect_no_tile(shard, 0, UINT64_MAX, TILE_WIDTH);
	expect_no_tile(shard, 7, 0, TILE_WIDTH);
	expect_no_tile(shard, TILE_LEVELS, 0, 1);
	expect_no_tile(shard, -2, 0, 1);
	shard_close(shard);
}

Test(shard, an_empty_segment_behind_full_bundles_has_no_tile_of_its_own)
{
	struct shard *shard = make(512, 512);
	expect_bundle(shard, 1, TILE_WIDTH);
	expect_tile(shard, 1, 0, 2);
	expect_no_tile(shard, TILE_ENTRIES, 2, 1);
	expect_no_tile(shard, 0, 2, 1);
	shard_close(shard);
}

Test(shard, higher_levels_are_made_of_those_below)
{
	struct shard *shard = make(65792, 65999);
	expect_tile(shard, 1, 0, TILE_WIDTH);
	expect_tile(shard, 1, 0, 3);
	expect_tile(shard, 1, 1, 1);
	expect_tile(shard, 2, 0, 1);
	expect_tile(shard, 0, 257, 207);
	expect_no_tile(shard, 2, 0, 2);
	expect_no_tile(shard, 3, 0, 1);
	shard_close(shard);
}

Test(shard, a_tile_file_that_is_lost_or_has_another_length_is_named)
{
	struct shard *shard = make(512, 600);
	struct tile_name name = {.level = 0, .number = 1, .width = TILE_WIDTH};
	struct merkle_hash hashes[TILE_WIDTH];
	uint8_t *bundle;
	size_t length;
	char path[128];

	write_file("tile/0/001", leaves, TILE_BYTES - 1);
	cr_expect_eq(shard_tile(shard, &name, hashes, &why), HM_REFUSED);
	cr_expect(strstr(why.detail, "/1/tile/0/001: has 8191 bytes"), "%s", why.detail);
	write_file("tile/0/001", leaves, TILE_BYTES + 1);
	cr_expect_eq(shard_tile(shard, &name, hashes, &why), HM_REFUSED);
	cr_expect(strstr(why.detail, "/1/tile/0/001"), "%s", why.detail);
	path_of("tile/0/001", path);
	cr_assert_eq(unlink(path), 0);
	cr_expect_eq(shard_tile(shard, &name, hashes, &why), HM_UNAVAILABLE);
	cr_expect(strstr(why.detail, "/1/tile/0/001: No such file"), "%s", why.detail);

	name.level = TILE_ENTRIES;
	name.width = 3;
	write_file("tile/entries/001", "\0\2{}\0\2{}\0\2{", 11);
	cr_expect_eq(shard_bundle(shard, &name, &bundle, &length, &why), HM_REFUSED);
	cr_expect(strstr(why.detail, "/1/tile/entries/001"), "%s", why.detail);
	shard_close(shard);
}

Test(shard, a_file_of_what_is_in_the_segment_must_be_the_same)
{
	static uint8_t bundle[TILE_WIDTH * ENTRY_ROOM];
	struct tile_name name = {.level = TILE_ENTRIES, .number = 1, .width = TILE_WIDTH};
	struct shard *shard = make(0, 600);
	size_t length = put_entries(256, 256, bundle);
	cr_expect_eq(shard_check_file(shard, &name, bundle, length, &why), HM_OK, "there is none");
	write_bundle(1);
	cr_expect_eq(shard_check_file(shard, &name, bundle, length, &why), HM_OK, "%s", why.detail);
	cr_expect_eq(shard_check_file(shard, &name, bundle, length - 1, &why), HM_REFUSED);
	bundle[length - 1] ^= 1;
	cr_expect_eq(shard_check_file(shard, &name, bundle, length, &why), HM_REFUSED);
	cr_expect(strstr(why.detail, "/1/tile/entries/001: differs"), "%s", why.detail);

	name = (struct tile_name){.level = 0, .number = 0, .width = TILE_WIDTH};
	write_tile(&name, leaves, TILE_BYTES);
	cr_expect_eq(shard_check_file(shard, &name, leaves, TILE_BYTES, &why), HM_OK);
	cr_expect_eq(shard_check_file(shard, &name, leaves + 1, TILE_BYTES, &why), HM_REFUSED);
	name.width = 255;
	cr_expect_eq(shard_check_file(shard, &name, leaves + 1, TILE_BYTES, &why), HM_OK, "partial ones have no file");
	shard_close(shard);
}

/* ---- subtrees ---- */

static void expect_root(struct shard *shard, uint64_t size)
{
	struct merkle_source source = shard_source(shard);
	struct edge *edge = calloc(1, sizeof *edge);
	struct merkle_hash root, expected;
	for (uint64_t i = 0; i < size; i++)
		cr_assert_eq(edge_add(edge, &leaves[i], NULL, NULL, &why), HM_OK);
	edge_root(edge, &expected);
	free(edge);
	cr_assert_eq(merkle_root(&source, size, &root, &why), HM_OK, "%s", why.detail);
	cr_expect(merkle_equal(&root, &expected), "%lu", size);
}

Test(shard, the_root_of_every_size_is_found)
{
	struct shard *shard = make(512, 1000);
	for (uint64_t size = 0; size <= 1000; size++)
		expect_root(shard, size);
	for (uint64_t size = 1000; size-- > 0;) /* what was kept of larger trees serves smaller ones */
		expect_root(shard, size);
	shard_close(shard);
}

Test(shard, the_roots_of_larger_trees_are_found)
{
	static const uint64_t sizes[] = {65999, 65536, 65537, 65792, 65791, 65793, 1, 65280};
	struct shard *shard = make(65792, 65999);
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
		expect_root(shard, sizes[i]);
	shard_close(shard);
}

Test(shard, paths_lead_to_the_root_from_every_entry)
{
	struct shard *shard = make(256, 700);
	struct merkle_source source = shard_source(shard);
	struct merkle_hash root, path[MERKLE_PATH_MAX];
	unsigned count;
	cr_assert_eq(merkle_root(&source, 650, &root, &why), HM_OK);
	for (uint64_t i = 0; i < 650; i++) {
		cr_assert_eq(merkle_inclusion(&source, i, 650, path, &count, &why), HM_OK);
		cr_assert(merkle_includes(&leaves[i], i, 650, path, count, &root), "%lu", i);
	}
	cr_expect_eq(merkle_root(&source, 701, &root, &why), HM_UNAVAILABLE);
	shard_close(shard);
}

/* ---- what else is in the directory ---- */

Test(shard, the_checkpoint_is_read_when_there_is_one)
{
	struct shard *shard = make(0, 3);
	static char note[NOTE_MAX];
	static char large[NOTE_MAX];
	size_t length;
	cr_expect_eq(shard_checkpoint(shard, note, &length, &why), HM_UNAVAILABLE);
	cr_expect_eq(length, 0);
	write_file("checkpoint", "three\nlines\n\n", 13);
	cr_assert_eq(shard_checkpoint(shard, note, &length, &why), HM_OK);
	cr_expect_eq(length, 13);
	cr_expect_str_eq(note, "three\nlines\n\n");
	write_file("checkpoint", large, sizeof large);
	cr_expect_eq(shard_checkpoint(shard, note, &length, &why), HM_REFUSED);
	shard_close(shard);
}

Test(shard, the_numbers_of_shards_are_their_directories_names)
{
	unsigned first, last;
	cr_assert_eq(shard_numbers(directory, &first, &last, &why), HM_OK);
	cr_expect_eq(first, 1);
	cr_expect_eq(last, 1);
	run("rmdir -p 1/tile 2>&1 | true; mkdir 07 9 12 10 0 x 13x .14 100000 99999999999999999999");
	cr_assert_eq(shard_numbers(directory, &first, &last, &why), HM_OK);
	cr_expect_eq(first, 9);
	cr_expect_eq(last, 12);
	run("rmdir 9 12 10");
	cr_assert_eq(shard_numbers(directory, &first, &last, &why), HM_OK);
	cr_expect_eq(first, 0);
	cr_expect_eq(last, 0);
	cr_expect_eq(shard_numbers("/nowhere", &first, &last, &why), HM_UNAVAILABLE);
}

Test(shard, a_shard_that_is_not_there_or_whose_segment_is_damaged_is_not_opened)
{
	struct shard *shard = make(0, 3);
	shard_close(shard);
	cr_expect_eq(shard_open(directory, 2, &shard, &why), HM_UNAVAILABLE);
	cr_expect_null(shard);
	cr_expect(strstr(why.detail, "/2/segment: No such file"), "%s", why.detail);
	write_file("segment", "HSL1", 4);
	cr_expect_eq(shard_open(directory, 1, &shard, &why), HM_REFUSED);
	cr_expect(strstr(why.detail, "/1/segment: the segment's first frame"), "%s", why.detail);
}
