/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger_inside.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_NAME_MAX = TILE_NAME_MAX + 16 };

static bool failed(char *fault, const char *name)
{
	snprintf(fault, LEDGER_FAULT_MAX, "%s: %s", name, strerror(errno));
	return false;
}

static bool write_all(int file, off_t offset, const uint8_t *data, size_t length)
{
	while (length) {
		ssize_t written = pwrite(file, data, length, offset);
		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return false;
		data += written;
		length -= (size_t)written;
		offset += written;
	}
	return true;
}

bool ledger_write_block(int segment, off_t offset, const struct block *block, char *fault)
{
	if (!write_all(segment, offset, block->data, block->used) || fdatasync(segment) < 0)
		return failed(fault, "segment");
	return true;
}

static bool sync_directory(int shard, const char *name)
{
	int directory = openat(shard, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool synced = directory >= 0 && fsync(directory) == 0;
	if (directory >= 0)
		close(directory);
	return synced;
}

/* Cut the last part of a path off. */
static void parent_of(const char *path, char parent[FILE_NAME_MAX])
{
	const char *end = strrchr(path, '/');
	if (end)
		snprintf(parent, FILE_NAME_MAX, "%.*s", (int)(end - path), path);
	else
		snprintf(parent, FILE_NAME_MAX, ".");
}

static bool make_directory(int shard, const char *path)
{
	char parent[FILE_NAME_MAX];
	if (mkdirat(shard, path, 0700) < 0 && errno != EEXIST)
		return false;
	parent_of(path, parent);
	return sync_directory(shard, parent);
}

/* Every directory on the way to a file. */
static bool make_way(int shard, const char *path)
{
	char part[FILE_NAME_MAX];
	for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
		snprintf(part, sizeof part, "%.*s", (int)(slash - path), path);
		if (!make_directory(shard, part))
			return false;
	}
	return true;
}

/* Its name is there when its content is on stable storage. The descriptor stays open; -1: errno says why. */
static int put_file(int shard, const char *path, const uint8_t *data, size_t length)
{
	char new[FILE_NAME_MAX + 4], parent[FILE_NAME_MAX];
	snprintf(new, sizeof new, "%s.new", path);
	parent_of(path, parent);
	int file = openat(shard, new, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (file < 0 && errno == ENOENT && make_way(shard, path))
		file = openat(shard, new, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (file < 0)
		return -1;
	if (write_all(file, 0, data, length) && fsync(file) == 0 && renameat(shard, new, shard, path) == 0 &&
		sync_directory(shard, parent))
		return file;
	int error = errno;
	close(file);
	(void)unlinkat(shard, new, 0); /* what it has would take up room that is short, maybe */
	errno = error;
	return -1;
}

#define ROOM_NAME "segment.room.new"

static bool write_zeros(int file, size_t length)
{
	static const uint8_t zeros[64 * 1024];
	for (size_t at = 0; at < length; at += sizeof zeros)
		if (!write_all(file, (off_t)at, zeros, sizeof zeros))
			return false;
	return true;
}

int ledger_make_room(int shard)
{
	int file = openat(shard, ROOM_NAME, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (file >= 0 && write_zeros(file, HM_LEDGER_ROOM_BYTES) && fsync(file) == 0)
		return file;
	ledger_drop_room(shard, file);
	return -1;
}

void ledger_drop_room(int shard, int room)
{
	if (room < 0)
		return;
	close(room);
	(void)unlinkat(shard, ROOM_NAME, 0);
}

static bool write_to_room(int shard, int room, const struct block *block)
{
	return write_all(room, 0, block->data, block->used) && fdatasync(room) == 0 &&
	       renameat(shard, ROOM_NAME, shard, "segment") == 0 && sync_directory(shard, ".");
}

int ledger_write_fresh(int shard, int room, const struct block *block, char *fault)
{
	int file = room;
	if (room < 0)
		file = put_file(shard, "segment", block->data, block->used);
	else if (!write_to_room(shard, room, block))
		file = -1;
	if (file >= 0)
		return file;
	failed(fault, "segment");
	ledger_drop_room(shard, room);
	return -1;
}

static bool put_tile(int shard, const struct tile_name *name, const void *data, size_t length, char *fault)
{
	char text[TILE_NAME_MAX], path[FILE_NAME_MAX];
	tile_name_write(name, text);
	snprintf(path, sizeof path, "tile/%s", text);
	int file = put_file(shard, path, data, length);
	if (file < 0)
		return failed(fault, path);
	close(file);
	return true;
}

bool ledger_write_bundle(int shard, const struct bundle *bundle, char *fault)
{
	const struct tile_name name = {TILE_ENTRIES, bundle->number, TILE_WIDTH};
	return put_tile(shard, &name, bundle->data, bundle->used, fault);
}

bool ledger_write_tile(int shard, const struct full_tile *tile, char *fault)
{
	return put_tile(shard, &tile->name, tile->hashes, sizeof tile->hashes, fault);
}

int ledger_make_shard(const char *directory, unsigned number, char *fault)
{
	char name[16];
	int shard = -1;
	snprintf(name, sizeof name, "%u", number);
	int ledger = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (ledger >= 0 && make_directory(ledger, name))
		shard = openat(ledger, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (shard < 0)
		failed(fault, name);
	if (ledger >= 0)
		close(ledger);
	return shard;
}

void ledger_remove_shard(const char *directory, unsigned number)
{
	static const char *const unfinished[] = {"segment.new", ROOM_NAME};
	char path[HM_PATH_MAX + 32];
	for (unsigned i = 0; i < sizeof unfinished / sizeof *unfinished; i++) {
		snprintf(path, sizeof path, "%s/%u/%s", directory, number, unfinished[i]);
		(void)unlink(path);
	}
	snprintf(path, sizeof path, "%s/%u", directory, number);
	(void)rmdir(path);
}
