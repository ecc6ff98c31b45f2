/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk that fails, for tests: preloaded (LD_PRELOAD), it lets calls on the files of a ledger fail as the file named
 * by HSMINT_TEST_DISK says when they are made: lines of `CALL ERRNO`, e.g. `fdatasync 5`. CALL is pwrite, fdatasync,
 * fsync or open (for writing). No file, or none of its lines: the call is made.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static bool is_of_ledger(const char *path)
{
	return strstr(path, "/ledger/") || strcmp(path, "segment.new") == 0 || strncmp(path, "tile/", 5) == 0;
}

static bool is_open_of_ledger(int fd)
{
	char link[64], path[4096];
	ssize_t length;
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	length = readlink(link, path, sizeof path - 1);
	path[length < 0 ? 0 : length] = 0;
	return is_of_ledger(path);
}

/* Whether this call fails now; errno is set then. */
static bool fails(const char *call)
{
	char line[64];
	const char *script = getenv("HSMINT_TEST_DISK");
	size_t length = strlen(call);
	bool failed = false;
	FILE *file = script ? fopen(script, "re") : NULL;
	while (file && !failed && fgets(line, sizeof line, file))
		failed = strncmp(line, call, length) == 0 && line[length] == ' ' && (errno = atoi(line + length));
	int error = errno;
	if (file)
		fclose(file);
	errno = error;
	return failed;
}

ssize_t pwrite64(int fd, const void *data, size_t length, off_t offset)
{
	static ssize_t (*real)(int, const void *, size_t, off_t);
	if (is_open_of_ledger(fd) && fails("pwrite"))
		return -1;
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "pwrite64");
	return real(fd, data, length, offset);
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t offset)
{
	return pwrite64(fd, data, length, offset);
}

int fdatasync(int fd)
{
	static int (*real)(int);
	if (is_open_of_ledger(fd) && fails("fdatasync"))
		return -1;
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "fdatasync");
	return real(fd);
}

int fsync(int fd)
{
	static int (*real)(int);
	if (is_open_of_ledger(fd) && fails("fsync"))
		return -1;
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "fsync");
	return real(fd);
}

int openat64(int directory, const char *path, int flags, ...)
{
	static int (*real)(int, const char *, int, ...);
	mode_t mode = 0;
	if (flags & O_CREAT) {
		va_list arguments;
		va_start(arguments, flags);
		mode = va_arg(arguments, mode_t);
		va_end(arguments);
	}
	if ((flags & O_CREAT) && is_of_ledger(path) && fails("open"))
		return -1;
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "openat64");
	return real(directory, path, flags, mode);
}

int openat(int directory, const char *path, int flags, ...)
{
	mode_t mode = 0;
	if (flags & O_CREAT) {
		va_list arguments;
		va_start(arguments, flags);
		mode = va_arg(arguments, mode_t);
		va_end(arguments);
	}
	return openat64(directory, path, flags, mode);
}
