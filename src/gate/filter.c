/* SPDX-License-Identifier: Apache-2.0 */
#include "filter.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* Names, not numbers: libseccomp knows which of them this architecture has. */
#if HSMINT_SANITIZED
static const char *const denied[] = {"socket", "socketpair", "connect", "bind", "listen", "execve", "execveat", "mount",
	"io_uring_setup", "bpf", "keyctl", "add_key", "userfaultfd"};
#else
static const char *const allowed[] = {
	/* the loop and its sockets */
	"accept", "accept4", "close", "epoll_ctl", "epoll_pwait", "epoll_pwait2", "epoll_wait", "getpeername",
	"getsockname", "read", "readv", "recvfrom", "recvmmsg", "recvmmsg_time64", "recvmsg", "write", "writev",
	/* memory */
	"brk", "madvise", "mremap", "munmap",
	/* long frames */
	"fstat", "fstat64", "memfd_create",
	/* time, randomness, locks, the end */
	"clock_gettime", "clock_gettime64", "clock_nanosleep", "exit", "exit_group", "futex", "futex_time64", "getpid",
	"getrandom", "gettid", "gettimeofday", "restart_syscall", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn",
	"sched_yield", "sigreturn", "time"};

struct guarded {
	const char *name;
	struct scmp_arg_cmp when;
};

/* Allowed only when the argument says so. MSG_FASTOPEN would make a send connect, also to where Landlock forbids. */
static const struct guarded guarded[] = {
	{"sendmsg", {2, SCMP_CMP_MASKED_EQ, MSG_FASTOPEN, 0}},
	{"sendmmsg", {3, SCMP_CMP_MASKED_EQ, MSG_FASTOPEN, 0}},
	{"sendto", {4, SCMP_CMP_EQ, 0, 0}}, /* no address */
	{"mmap", {2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0}},
	{"mmap2", {2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0}},
	{"mprotect", {2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0}},
	{"newfstatat", {3, SCMP_CMP_EQ, AT_EMPTY_PATH, 0}}, /* how the C library asks about a descriptor */
	{"getsockopt", {1, SCMP_CMP_EQ, SOL_SOCKET, 0}},
	{"fcntl", {1, SCMP_CMP_EQ, F_GETFL, 0}},
	{"fcntl", {1, SCMP_CMP_EQ, F_SETFL, 0}},
	{"fcntl", {1, SCMP_CMP_EQ, F_GET_SEALS, 0}},
	{"fcntl", {1, SCMP_CMP_EQ, F_ADD_SEALS, 0}},
	{"fcntl64", {1, SCMP_CMP_EQ, F_GETFL, 0}},
	{"fcntl64", {1, SCMP_CMP_EQ, F_SETFL, 0}},
	{"fcntl64", {1, SCMP_CMP_EQ, F_GET_SEALS, 0}},
	{"fcntl64", {1, SCMP_CMP_EQ, F_ADD_SEALS, 0}},
};

enum { LISTENERS_BELOW = 256 }; /* they are among the first descriptors of a gate */

static const int socket_options[] = {TCP_NODELAY, TCP_CORK};
#endif

static void release(scmp_filter_ctx *filter)
{
	if (*filter)
		seccomp_release(*filter);
}

#if HSMINT_SANITIZED

static int add_rules(scmp_filter_ctx filter)
{
	for (size_t i = 0; i < sizeof denied / sizeof *denied; i++) {
		int call = seccomp_syscall_resolve_name(denied[i]);
		int error = call == __NR_SCMP_ERROR ? 0 : seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), call, 0);
		if (error < 0)
			return error;
	}
	return 0;
}

static const uint32_t otherwise = SCMP_ACT_ALLOW;

#else

static int allow(scmp_filter_ctx filter, const char *name, unsigned count, const struct scmp_arg_cmp *when)
{
	int call = seccomp_syscall_resolve_name(name);
	return call == __NR_SCMP_ERROR ? 0 : seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call, count, when);
}

/* abort() signals its own process: let it, so that a broken promise ends in a clear way. */
static int allow_abort(scmp_filter_ctx filter)
{
	struct scmp_arg_cmp self = SCMP_A0_64(SCMP_CMP_EQ, (scmp_datum_t)getpid());
	return allow(filter, "tgkill", 1, &self);
}

static bool is_listener(int fd)
{
	int listens = 0;
	socklen_t size = sizeof listens;
	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens;
}

/* The listeners are mint's: shut down here, they would be so for every gate to come. Connections get higher numbers,
 * and nothing here can give a listener another one. */
static int allow_shutdown(scmp_filter_ctx filter)
{
	int highest = LISTENERS_BELOW - 1;
	while (highest >= 0 && !is_listener(highest))
		highest--;
	struct scmp_arg_cmp above = SCMP_A0_32(SCMP_CMP_GT, (uint32_t)(highest < 0 ? 0 : highest));
	return allow(filter, "shutdown", 1, &above);
}

static int add_rules(scmp_filter_ctx filter)
{
	int error = allow_abort(filter);
	if (!error)
		error = allow_shutdown(filter);
	for (size_t i = 0; !error && i < sizeof allowed / sizeof *allowed; i++)
		error = allow(filter, allowed[i], 0, NULL);
	for (size_t i = 0; !error && i < sizeof guarded / sizeof *guarded; i++)
		error = allow(filter, guarded[i].name, 1, &guarded[i].when);
	for (size_t i = 0; !error && i < sizeof socket_options / sizeof *socket_options; i++) {
		struct scmp_arg_cmp when[] = {
			SCMP_A1_64(SCMP_CMP_EQ, IPPROTO_TCP), SCMP_A2_64(SCMP_CMP_EQ, (scmp_datum_t)socket_options[i])};
		error = allow(filter, "setsockopt", 2, when);
	}
	return error;
}

static const uint32_t otherwise = SCMP_ACT_ERRNO(EPERM);

#endif

int filter_enter(void)
{
	__attribute__((cleanup(release))) scmp_filter_ctx filter = seccomp_init(otherwise);
	if (!filter)
		return -ENOMEM;
	int error = seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, 0); /* set already; here it would need a right */
	if (!error)
		error = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (!error)
		error = add_rules(filter);
	if (!error)
		error = seccomp_load(filter);
	return error;
}
