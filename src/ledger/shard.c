/* SPDX-License-Identifier: Apache-2.0 */
#include "shard.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void close_file(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}
#define FD_AUTO __attribute__((cleanup(close_file))) int

static void free_bytes(uint8_t **data)
{
	free(*data);
}
#define BYTES_AUTO __attribute__((cleanup(free_bytes))) uint8_t *

/* The hashes of a tile that are known so far. */
struct kept {
	uint64_t number;
	unsigned count;
	struct merkle_hash hashes[TILE_WIDTH];
};

struct shard {
	char path[HM_PATH_MAX];
	uint8_t *data; /* of the segment, as it was when the shard was opened */
	size_t length;
	struct segment segment;
	struct entry {
		const uint8_t *data;
		size_t length;
	} * entries; /* of the segment */
	size_t entry_count, entry_room;
	struct kept kept[TILE_LEVELS];
};

/* ---- files ---- */

static hm_result unreadable(const char *path, struct hm_problem *why)
{
	return hm_unavailable(why, "ledger", "%s: %s", path, strerror(errno));
}

/* Open a file of at most `most` bytes, and say how many it has. What is written to it meanwhile is left. */
static hm_result open_file(const char *path, size_t most, int *fd, size_t *size, struct hm_problem *why)
{
	struct stat stat;
	*fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (*fd < 0 || fstat(*fd, &stat) < 0)
		return unreadable(path, why);
	if (!S_ISREG(stat.st_mode))
		return hm_refuse(why, "ledger", NULL, "%s: not a regular file", path);
	if ((uintmax_t)stat.st_size > most)
		return hm_refuse(why, "ledger", NULL, "%s: longer than %zu bytes", path, most);
	*size = (size_t)stat.st_size;
	return HM_OK;
}

/* Read `size` bytes, or fewer when the file was cut off meanwhile. */
static hm_result read_bytes(const char *path, int fd, void *data, size_t size, size_t *length, struct hm_problem *why)
{
	*length = 0;
	while (*length < size) {
		ssize_t got = read(fd, (uint8_t *)data + *length, size - *length);
		if (got < 0 && errno != EINTR)
			return unreadable(path, why);
		if (got == 0)
			break;
		*length += got > 0 ? (size_t)got : 0;
	}
	return HM_OK;
}

static hm_result read_file(const char *path, void *data, size_t room, size_t *length, struct hm_problem *why)
{
	FD_AUTO fd = -1;
	size_t size = 0;
	HM_TRY(open_file(path, room, &fd, &size, why));
	return read_bytes(path, fd, data, size, length, why);
}

/* The caller frees `*data`. */
static hm_result read_new(const char *path, size_t most, uint8_t **data, size_t *length, struct hm_problem *why)
{
	FD_AUTO fd = -1;
	size_t size = 0;
	HM_TRY(open_file(path, most, &fd, &size, why));
	*data = malloc(size + 1);
	if (!*data)
		return unreadable(path, why);
	return read_bytes(path, fd, *data, size, length, why);
}

static hm_result path_of(const struct shard *shard, const char *name, char path[HM_PATH_MAX], struct hm_problem *why)
{
	if (snprintf(path, HM_PATH_MAX, "%s/%s", shard->path, name) >= HM_PATH_MAX)
		return hm_refuse(why, "ledger", NULL, "%s: path too long", shard->path);
	return HM_OK;
}

static hm_result tile_path(
	const struct shard *shard, const struct tile_name *name, char path[HM_PATH_MAX], struct hm_problem *why)
{
	char text[sizeof "tile/" + TILE_NAME_MAX] = "tile/";
	struct tile_name full = {.level = name->level, .number = name->number, .width = TILE_WIDTH};
	tile_name_write(&full, text + strlen(text));
	return path_of(shard, text, path, why);
}

/* ---- opening ---- */

static hm_result keep_entry(void *context, uint64_t index, const uint8_t *entry, size_t length, struct hm_problem *why)
{
	struct shard *shard = context;
	(void)index;
	if (shard->entry_count == shard->entry_room) {
		size_t room = shard->entry_room ? shard->entry_room * 2 : TILE_WIDTH;
		struct entry *entries = realloc(shard->entries, room * sizeof *entries);
		if (!entries)
			return hm_unavailable(why, "ledger", "no memory for a segment of %zu entries", room);
		shard->entries = entries;
		shard->entry_room = room;
	}
	shard->entries[shard->entry_count++] = (struct entry){.data = entry, .length = length};
	return HM_OK;
}

static hm_result read_segment(struct shard *shard, struct hm_problem *why)
{
	char path[HM_PATH_MAX];
	struct hm_problem fault;
	HM_TRY(path_of(shard, "segment", path, why));
	HM_TRY(read_new(path, SIZE_MAX - 1, &shard->data, &shard->length, why));
	hm_result result = segment_read(shard->data, shard->length, keep_entry, shard, &shard->segment, &fault);
	if (result == HM_REFUSED)
		return hm_refuse(why, "ledger", NULL, "%s: %s", path, fault.detail);
	if (result != HM_OK)
		*why = fault;
	return result;
}

hm_result shard_open(const char *ledger, unsigned number, struct shard **shard, struct hm_problem *why)
{
	struct shard *opened = *shard = calloc(1, sizeof *opened);
	if (!opened)
		return hm_unavailable(why, "ledger", "no memory");
	hm_result result = HM_OK;
	if (snprintf(opened->path, sizeof opened->path, "%s/%u", ledger, number) >= (int)sizeof opened->path)
		result = hm_refuse(why, "ledger", NULL, "%s: path too long", ledger);
	if (result == HM_OK)
		result = read_segment(opened, why);
	if (result != HM_OK) {
		shard_close(opened);
		*shard = NULL;
	}
	return result;
}

void shard_close(struct shard *shard)
{
	if (!shard)
		return;
	free(shard->entries);
	free(shard->data);
	free(shard);
}

/* The number that a shard's directory has for its name; 0: it is no shard's. */
static unsigned shard_number(const char *name)
{
	unsigned long number = strspn(name, "0123456789") < 6 && *name != '0' ? strtoul(name, NULL, 10) : 0;
	char again[16];
	snprintf(again, sizeof again, "%lu", number);
	return number <= HM_SHARDS_MAX && strcmp(name, again) == 0 ? (unsigned)number : 0;
}

hm_result shard_numbers(const char *ledger, unsigned *first, unsigned *last, struct hm_problem *why)
{
	*first = *last = 0;
	DIR *directory = opendir(ledger);
	if (!directory)
		return unreadable(ledger, why);
	for (struct dirent *entry; (errno = 0, entry = readdir(directory));) {
		unsigned number = shard_number(entry->d_name);
		if (number && (!*first || number < *first))
			*first = number;
		if (number > *last)
			*last = number;
	}
	hm_result result = errno ? unreadable(ledger, why) : HM_OK;
	closedir(directory);
	return result;
}

hm_result shard_checkpoint(struct shard *shard, char note[NOTE_MAX], size_t *length, struct hm_problem *why)
{
	char path[HM_PATH_MAX];
	*length = 0;
	note[0] = 0;
	HM_TRY(path_of(shard, "checkpoint", path, why));
	HM_TRY(read_file(path, note, NOTE_MAX - 1, length, why));
	note[*length] = 0;
	return HM_OK;
}

uint64_t shard_size(const struct shard *shard)
{
	return shard->segment.next;
}

uint64_t shard_bundled(const struct shard *shard)
{
	return shard->segment.first;
}

/* ---- bundles ---- */

static hm_result not_there(const struct shard *shard, const struct tile_name *name, struct hm_problem *why)
{
	char text[TILE_NAME_MAX];
	tile_name_write(name, text);
	return hm_unavailable(why, "ledger", "%s: there is no tile/%s: it has %" PRIu64 " entries", shard->path, text,
		shard_size(shard));
}

/* Cut a bundle off behind its first `width` entries. */
static bool cut_bundle(const uint8_t *bundle, size_t *length, unsigned width)
{
	const uint8_t *next = bundle, *entry;
	size_t left = *length, entry_length;
	for (unsigned i = 0; i < width; i++)
		if (!tile_next_entry(&next, &left, &entry, &entry_length))
			return false;
	*length -= left;
	return true;
}

static hm_result bundle_from_file(
	struct shard *shard, const struct tile_name *name, uint8_t **bundle, size_t *length, struct hm_problem *why)
{
	char path[HM_PATH_MAX];
	BYTES_AUTO data = NULL;
	HM_TRY(tile_path(shard, name, path, why));
	HM_TRY(read_new(path, TILE_BUNDLE_MAX, &data, length, why));
	if (name->width < TILE_WIDTH && !cut_bundle(data, length, name->width))
		return hm_refuse(why, "ledger", NULL, "%s: is not a bundle of %d entries", path, TILE_WIDTH);
	*bundle = data;
	data = NULL;
	return HM_OK;
}

static hm_result bundle_from_segment(
	struct shard *shard, const struct tile_name *name, uint8_t **bundle, size_t *length, struct hm_problem *why)
{
	const struct entry *entries = shard->entries + (name->number * TILE_WIDTH - shard->segment.first);
	size_t size = 0;
	for (unsigned i = 0; i < name->width; i++)
		size += 2 + entries[i].length;
	uint8_t *to = *bundle = malloc(size);
	if (!to)
		return hm_unavailable(why, "ledger", "no memory for a bundle of %zu bytes", size);
	for (unsigned i = 0; i < name->width; i++) {
		*to++ = (uint8_t)(entries[i].length >> 8);
		*to++ = (uint8_t)entries[i].length;
		memcpy(to, entries[i].data, entries[i].length);
		to += entries[i].length;
	}
	*length = size;
	return HM_OK;
}

hm_result shard_bundle(
	struct shard *shard, const struct tile_name *name, uint8_t **bundle, size_t *length, struct hm_problem *why)
{
	uint64_t bundles = shard->segment.next / TILE_WIDTH, in_files = shard->segment.first / TILE_WIDTH;
	bool is_there =
		name->number < bundles || (name->number == bundles && name->width <= shard->segment.next % TILE_WIDTH);
	*bundle = NULL;
	*length = 0;
	if (!is_there || name->width < 1 || name->width > TILE_WIDTH)
		return not_there(shard, name, why);
	if (name->number < in_files)
		return bundle_from_file(shard, name, bundle, length, why);
	return bundle_from_segment(shard, name, bundle, length, why);
}

/* ---- hash tiles ---- */

static hm_result fill(struct shard *shard, unsigned level, uint64_t number, unsigned from, unsigned to,
	struct merkle_hash *hashes, struct hm_problem *why);

/* Full tiles of hash tiles' hashes that the shard has, at this level. */
static uint64_t full_tiles(const struct shard *shard, unsigned level)
{
	unsigned shift = TILE_HEIGHT * (level + 1);
	return shift < 64 ? shard->segment.next >> shift : 0;
}

static hm_result tile_from_file(struct shard *shard, unsigned level, uint64_t number,
	struct merkle_hash hashes[TILE_WIDTH], struct hm_problem *why)
{
	char path[HM_PATH_MAX];
	size_t length;
	struct tile_name name = {.level = (int)level, .number = number, .width = TILE_WIDTH};
	HM_TRY(tile_path(shard, &name, path, why));
	HM_TRY(read_file(path, hashes, TILE_BYTES, &length, why));
	if (length != TILE_BYTES)
		return hm_refuse(why, "ledger", NULL, "%s: has %zu bytes instead of %d", path, length, TILE_BYTES);
	return HM_OK;
}

/* Leaf hashes of a tile whose entries are in the segment. */
static void fill_from_segment(
	const struct shard *shard, uint64_t number, unsigned from, unsigned to, struct merkle_hash *hashes)
{
	const struct entry *entries = shard->entries + (number * TILE_WIDTH - shard->segment.first);
	for (unsigned i = from; i < to; i++)
		merkle_leaf(entries[i].data, entries[i].length, &hashes[i]);
}

/* Each hash is the root of a full tile one level below. */
static hm_result fill_from_below(struct shard *shard, unsigned level, uint64_t number, unsigned from, unsigned to,
	struct merkle_hash *hashes, struct hm_problem *why)
{
	struct merkle_hash below[TILE_WIDTH];
	for (unsigned i = from; i < to; i++) {
		HM_TRY(fill(shard, level - 1, number * TILE_WIDTH + i, 0, TILE_WIDTH, below, why));
		merkle_root_of(below, TILE_WIDTH, &hashes[i]);
	}
	return HM_OK;
}

/* The hashes `from` to `to` of a tile, which has as many. A full one has a file, when no entry of it is in the segment.
 */
static hm_result fill(struct shard *shard, unsigned level, uint64_t number, unsigned from, unsigned to,
	struct merkle_hash *hashes, struct hm_problem *why)
{
	unsigned shift = TILE_HEIGHT * (level + 1);
	if (shift < 64 && number < shard->segment.first >> shift) {
		struct merkle_hash file[TILE_WIDTH];
		HM_TRY(tile_from_file(shard, level, number, file, why));
		memcpy(hashes + from, file + from, (to - from) * sizeof *hashes);
		return HM_OK;
	}
	if (level)
		return fill_from_below(shard, level, number, from, to, hashes, why);
	fill_from_segment(shard, number, from, to, hashes);
	return HM_OK;
}

/* How many hashes of a tile there are. */
static unsigned tile_width(const struct shard *shard, unsigned level, uint64_t number)
{
	uint64_t hashes = shard->segment.next >> TILE_HEIGHT * level;
	if (number < full_tiles(shard, level))
		return TILE_WIDTH;
	return number == hashes / TILE_WIDTH ? (unsigned)(hashes % TILE_WIDTH) : 0;
}

hm_result shard_tile(struct shard *shard, const struct tile_name *name, struct merkle_hash hashes[TILE_WIDTH],
	struct hm_problem *why)
{
	if (name->level < 0 || name->level >= TILE_LEVELS || !name->width ||
		name->width > tile_width(shard, (unsigned)name->level, name->number))
		return not_there(shard, name, why);
	return fill(shard, (unsigned)name->level, name->number, 0, name->width, hashes, why);
}

/* ---- files of what is in the segment ---- */

static bool is_in_segment(const struct shard *shard, const struct tile_name *name)
{
	unsigned shift = name->level == TILE_ENTRIES ? TILE_HEIGHT : TILE_HEIGHT * ((unsigned)name->level + 1);
	return shift >= 64 || name->number >= shard->segment.first >> shift;
}

hm_result shard_check_file(
	struct shard *shard, const struct tile_name *name, const void *data, size_t length, struct hm_problem *why)
{
	char path[HM_PATH_MAX];
	BYTES_AUTO file = NULL;
	size_t file_length = 0;
	if (name->width < TILE_WIDTH || !is_in_segment(shard, name))
		return HM_OK;
	HM_TRY(tile_path(shard, name, path, why));
	if (access(path, F_OK) < 0 && errno == ENOENT)
		return HM_OK;
	HM_TRY(read_new(path, TILE_BUNDLE_MAX, &file, &file_length, why));
	if (file_length != length || memcmp(file, data, length) != 0)
		return hm_refuse(why, "ledger", NULL, "%s: differs from the segment", path);
	return HM_OK;
}

/* ---- subtrees ---- */

static hm_result subtree(
	void *context, unsigned level, uint64_t number, struct merkle_hash *hash, struct hm_problem *why)
{
	struct shard *shard = context;
	unsigned inside = level % TILE_HEIGHT;
	unsigned at = (unsigned)(number & ((TILE_WIDTH >> inside) - 1));
	unsigned needed = (at + 1) << inside;
	struct tile_name name = {
		.level = (int)(level / TILE_HEIGHT), .number = number >> (TILE_HEIGHT - inside), .width = needed};
	struct kept *kept = &shard->kept[name.level];

	if (needed > tile_width(shard, (unsigned)name.level, name.number))
		return not_there(shard, &name, why);
	if (kept->number != name.number)
		*kept = (struct kept){.number = name.number};
	if (kept->count < needed)
		HM_TRY(fill(shard, (unsigned)name.level, name.number, kept->count, needed, kept->hashes, why));
	kept->count = kept->count < needed ? needed : kept->count;
	tile_subtree(kept->hashes, inside, at, hash);
	return HM_OK;
}

struct merkle_source shard_source(struct shard *shard)
{
	return (struct merkle_source){.subtree = subtree, .context = shard};
}
