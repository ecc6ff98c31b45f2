/* SPDX-License-Identifier: Apache-2.0 */
#include "landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The kernel's interface (Documentation/userspace-api/landlock.rst), spelt out here because the headers that we build
 * with may be older than the kernel that we run on. */
struct ruleset {
	uint64_t handled_access_fs;
	uint64_t handled_access_net; /* since version 4 */
	uint64_t scoped;             /* since version 6 */
};

struct path_beneath {
	uint64_t allowed_access;
	int32_t parent_fd;
} __attribute__((packed));

enum {
	CREATE_RULESET_VERSION = 1,
	RULE_PATH_BENEATH = 1,
	FS_RIGHTS_1 = 13, /* how many filesystem rights version 1 knows */
	FS_RIGHTS_2 = 14,
	FS_RIGHTS_3 = 15,
	FS_RIGHTS_5 = 16,
	NET_RIGHTS = 2, /* bind and connect TCP */
	SCOPES = 2,     /* abstract Unix sockets, signals */
	SCOPE_SIGNAL = 2
};

enum {
	FS_EXECUTE = 1 << 0,
	FS_WRITE_FILE = 1 << 1,
	FS_READ_FILE = 1 << 2,
	FS_READ_DIR = 1 << 3,
	FS_TRUNCATE = 1 << 14,
	FS_IOCTL_DEV = 1 << 15
};

static uint64_t first_bits(unsigned count)
{
	return (UINT64_C(1) << count) - 1;
}

static struct ruleset all_of(int version, size_t *size)
{
	unsigned rights = version >= 5   ? FS_RIGHTS_5
			  : version >= 3 ? FS_RIGHTS_3
			  : version == 2 ? FS_RIGHTS_2
					 : FS_RIGHTS_1;
	struct ruleset ruleset = {.handled_access_fs = first_bits(rights)};
	*size = offsetof(struct ruleset, handled_access_net);
	if (version >= 4) {
		ruleset.handled_access_net = first_bits(NET_RIGHTS);
		*size = offsetof(struct ruleset, scoped);
	}
	if (version >= 6) {
		ruleset.scoped = first_bits(SCOPES);
		*size = sizeof ruleset;
	}
	return ruleset;
}

#if defined(SYS_landlock_create_ruleset) && defined(SYS_landlock_restrict_self) && defined(SYS_landlock_add_rule)

static void close_keeping_errno(int fd)
{
	int error = errno;
	close(fd);
	errno = error;
}

static int enter(int ruleset, int version)
{
	long entered = syscall(SYS_landlock_restrict_self, ruleset, 0);
	close_keeping_errno(ruleset);
	return entered == 0 ? version : 0;
}

static int version_of_kernel(void)
{
	return (int)syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_RULESET_VERSION);
}

int landlock_enter_nothing(void)
{
	size_t size;
	int version = version_of_kernel();
	if (version < 1)
		return 0;
	struct ruleset ruleset = all_of(version, &size);
	int fd = (int)syscall(SYS_landlock_create_ruleset, &ruleset, size, 0);
	return fd < 0 ? 0 : enter(fd, version);
}

/* A file takes no right that is about what a directory holds. */
static uint64_t rights_of(const struct landlock_path *path, bool is_directory, uint64_t handled)
{
	uint64_t rights = path->write ? handled : FS_EXECUTE | FS_READ_FILE | FS_READ_DIR;
	if (!is_directory)
		rights &= FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV;
	return rights & handled;
}

static bool allow(int ruleset, const struct landlock_path *path, uint64_t handled)
{
	struct stat status;
	int fd = open(path->path, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return !path->required && (errno == ENOENT || errno == EACCES || errno == ENOTDIR);
	bool added = fstat(fd, &status) == 0;
	struct path_beneath beneath = {rights_of(path, S_ISDIR(status.st_mode), handled), fd};
	added = added && syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &beneath, 0) == 0;
	close_keeping_errno(fd);
	return added;
}

int landlock_enter(const struct landlock_path *paths, unsigned count, const char **fault)
{
	size_t size;
	int version = version_of_kernel();
	*fault = NULL;
	if (version < 1)
		return 0;
	struct ruleset ruleset = all_of(version, &size);
	ruleset.handled_access_net = 0;
	ruleset.scoped &= SCOPE_SIGNAL;
	int fd = (int)syscall(SYS_landlock_create_ruleset, &ruleset, size, 0);
	if (fd < 0)
		return 0;
	for (unsigned i = 0; i < count; i++)
		if (!allow(fd, &paths[i], ruleset.handled_access_fs)) {
			*fault = paths[i].path;
			close_keeping_errno(fd);
			return 0;
		}
	return enter(fd, version);
}

#else

int landlock_enter_nothing(void)
{
	errno = ENOSYS;
	return 0;
}

int landlock_enter(const struct landlock_path *paths, unsigned count, const char **fault)
{
	(void)paths, (void)count;
	*fault = NULL;
	errno = ENOSYS;
	return 0;
}

#endif
