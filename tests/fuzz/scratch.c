/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH = 128 };

static char directory[PATH / 2];

static int remove_one(const char *path, const struct stat *stat, int kind, struct FTW *where)
{
	(void)stat, (void)kind, (void)where;
	return remove(path);
}

static void remove_directory(void)
{
	(void)nftw(directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

const char *scratch_directory(void)
{
	if (directory[0])
		return directory;
	snprintf(directory, sizeof directory, "%s/hsmint-fuzz-XXXXXX",
		access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	if (!mkdtemp(directory) || atexit(remove_directory) != 0)
		abort();
	return directory;
}

static const char *path_of(const char *name)
{
	static char path[PATH];
	if (snprintf(path, sizeof path, "%s/%s", scratch_directory(), name) >= PATH)
		abort();
	return path;
}

static void make_parent(const char *path)
{
	char parent[PATH];
	snprintf(parent, sizeof parent, "%s", path);
	*strrchr(parent, '/') = 0;
	if (mkdir(parent, 0700) < 0 && errno != EEXIST)
		abort();
}

const char *scratch_write(const char *name, const void *data, size_t length)
{
	const char *path = path_of(name);
	make_parent(path);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, data, length) != (ssize_t)length || close(fd) < 0)
		abort();
	return path;
}

size_t scratch_read(const char *name, void *data, size_t size)
{
	int fd = open(path_of(name), O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, data, size);
	if (length < 0 || close(fd) < 0)
		abort();
	return (size_t)length;
}
