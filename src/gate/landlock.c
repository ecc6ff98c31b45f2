/* SPDX-License-Identifier: Apache-2.0 */
#include "landlock.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The kernel's interface (Documentation/userspace-api/landlock.rst), spelt out here because the headers that we build
 * with may be older than the kernel that we run on. */
struct ruleset {
	uint64_t handled_access_fs;
	uint64_t handled_access_net; /* since version 4 */
	uint64_t scoped;             /* since version 6 */
};

enum {
	CREATE_RULESET_VERSION = 1,
	FS_RIGHTS_1 = 13, /* how many filesystem rights version 1 knows */
	FS_RIGHTS_2 = 14,
	FS_RIGHTS_3 = 15,
	FS_RIGHTS_5 = 16,
	NET_RIGHTS = 2, /* bind and connect TCP */
	SCOPES = 2,     /* abstract Unix sockets, signals */
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

int landlock_enter(void)
{
#if defined(SYS_landlock_create_ruleset) && defined(SYS_landlock_restrict_self)
	size_t size;
	int version = (int)syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_RULESET_VERSION);
	if (version < 1)
		return 0;
	struct ruleset ruleset = all_of(version, &size);
	int fd = (int)syscall(SYS_landlock_create_ruleset, &ruleset, size, 0);
	if (fd < 0)
		return 0;
	long entered = syscall(SYS_landlock_restrict_self, fd, 0);
	int error = errno;
	close(fd);
	errno = error;
	return entered == 0 ? version : 0;
#else
	errno = ENOSYS;
	return 0;
#endif
}
