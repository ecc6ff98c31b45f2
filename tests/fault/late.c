/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded, it sets hsmint's monotonic clock ahead by what stands in the file HSMINT_TEST_LATE, a signed number of 64
 * bits in nanoseconds that may grow at any time. The other processes keep theirs.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { SECOND_NS = 1000 * 1000 * 1000 };

static const volatile int64_t *late;

__attribute__((constructor)) static void find_file(void)
{
	const char *path = getenv("HSMINT_TEST_LATE");
	if (!path || strcmp(program_invocation_short_name, "hsmint") != 0)
		return;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	void *mapped = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *late, PROT_READ, MAP_SHARED, fd, 0);
	if (mapped == MAP_FAILED)
		_exit(99);
	late = mapped;
	close(fd);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
	long result = syscall(SYS_clock_gettime, clock, now);
	if (result < 0 || !late || (clock != CLOCK_MONOTONIC && clock != CLOCK_MONOTONIC_COARSE))
		return (int)result;
	int64_t ns = now->tv_nsec + *late % SECOND_NS;
	now->tv_sec += *late / SECOND_NS + ns / SECOND_NS;
	now->tv_nsec = ns % SECOND_NS;
	return 0;
}
