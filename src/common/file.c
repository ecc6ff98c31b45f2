/* SPDX-License-Identifier: Apache-2.0 */
#include "file.h"

#include "limits.h"
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void close_file(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}
#define FD_AUTO __attribute__((cleanup(close_file))) int

static hm_result check_secret(const char *path, const struct stat *stat, struct hm_problem *why)
{
	if (stat->st_mode & 077)
		return hm_refuse(why, "config", NULL, "%s: others can read it (mode %03o): chmod 600", path,
			(unsigned)stat->st_mode & 0777);
	if (stat->st_uid != geteuid() && stat->st_uid != 0)
		return hm_refuse(why, "config", NULL, "%s: belongs to uid %u, not to this service", path, stat->st_uid);
	return HM_OK;
}

hm_result file_read(const char *path, bool secret, void *data, size_t size, size_t *length, struct hm_problem *why)
{
	struct stat stat;
	*length = 0;
	FD_AUTO fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &stat) < 0)
		return hm_refuse(why, "config", NULL, "%s: %s", path, strerror(errno));
	if (!S_ISREG(stat.st_mode))
		return hm_refuse(why, "config", NULL, "%s: not a regular file", path);
	if (secret)
		HM_TRY(check_secret(path, &stat, why));
	for (;;) {
		char beyond;
		bool full = *length == size;
		ssize_t got = read(fd, full ? &beyond : (char *)data + *length, full ? 1 : size - *length);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return hm_refuse(why, "config", NULL, "%s: %s", path, strerror(errno));
		if (got == 0)
			return HM_OK;
		if (full)
			return hm_refuse(why, "config", NULL, "%s: longer than %zu bytes", path, size);
		*length += (size_t)got;
	}
}

static bool write_all(int fd, const char *data, size_t length)
{
	while (length) {
		ssize_t written = write(fd, data, length);
		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return false;
		data += written;
		length -= (size_t)written;
	}
	return true;
}

static bool sync_directory(const char *path)
{
	char copy[HM_PATH_MAX];
	snprintf(copy, sizeof copy, "%s", path);
	FD_AUTO fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd >= 0 && fsync(fd) == 0;
}

hm_result file_replace(const char *path, const void *data, size_t length, mode_t mode, struct hm_problem *why)
{
	char beside[HM_PATH_MAX];
	const char *slash = strrchr(path, '/');
	int directory = slash ? (int)(slash - path) + 1 : 0;
	/* Configured names do not begin with a dot, so this is no other file's name. */
	if (snprintf(beside, sizeof beside, "%.*s.%s.new", directory, path, path + directory) >= (int)sizeof beside)
		return hm_refuse(why, "system", NULL, "%s: path too long", path);
	(void)unlink(beside); /* left by a crash, perhaps */
	FD_AUTO fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0 || !write_all(fd, data, length) || fsync(fd) < 0 || rename(beside, path) < 0 ||
		!sync_directory(path)) {
		hm_result result = hm_unavailable(why, "system", "%s: %s", path, strerror(errno));
		(void)unlink(beside); /* it may hold a secret, and room on a full disk */
		return result;
	}
	return HM_OK;
}

hm_result file_remove(const char *path, struct hm_problem *why)
{
	if (unlink(path) == 0 && sync_directory(path))
		return HM_OK;
	return hm_unavailable(why, "system", "%s: %s", path, strerror(errno));
}

hm_result file_make_directory(const char *path, struct hm_problem *why)
{
	if (mkdir(path, 0700) == 0 ? sync_directory(path) : errno == EEXIST)
		return HM_OK;
	return hm_unavailable(why, "system", "%s: %s", path, strerror(errno));
}
