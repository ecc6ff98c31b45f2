/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox.h"

#include "filter.h"
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define SOCKET_PATH "/tmp/hsmint-sandbox-test.%d.%s"

/* A child's exit status names the first thing that was not as it must be. */
typedef int in_child(void);

static int run(in_child *check)
{
	int status;
	pid_t child = fork();
	if (child == 0) {
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		_exit(check());
	}
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert(WIFEXITED(status), "the child ended by signal %d", WTERMSIG(status));
	return WEXITSTATUS(status);
}

static hm_result enter(enum sandbox_mode mode, char *state)
{
	struct hm_problem why;
	return sandbox_enter(mode, state, &why);
}

static struct sockaddr_un address_of(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	return address;
}

/* Sockets that exist already stand for what a taken-over gate may have kept. */
struct kept {
	int unix_socket, sequenced_socket, tcp_socket;
	struct sockaddr_un unix_address, sequenced_address;
	struct sockaddr_in tcp_address;
};

static int connect_kept(int fd, const void *address, socklen_t size)
{
	return connect(fd, address, size) == 0 || errno != EPERM;
}

/* 0: nothing can be reached, by sockets old or new, though somebody listens at each address. */
static int reach_out(const struct kept *kept)
{
	static const int families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};
	for (size_t i = 0; i < sizeof families / sizeof *families; i++)
		if (socket(families[i], SOCK_STREAM, 0) >= 0 || errno != EPERM)
			return 2;
	if (connect_kept(kept->unix_socket, &kept->unix_address, sizeof kept->unix_address))
		return 3;
	if (connect_kept(kept->sequenced_socket, &kept->sequenced_address, sizeof kept->sequenced_address))
		return 4;
	if (connect_kept(kept->tcp_socket, &kept->tcp_address, sizeof kept->tcp_address))
		return 5;
	const struct sockaddr *tcp = (const struct sockaddr *)&kept->tcp_address;
	if (bind(kept->tcp_socket, tcp, sizeof kept->tcp_address) == 0 || errno != EPERM)
		return 6;
	char *arguments[] = {"true", NULL};
	if (execv("/bin/true", arguments) == 0 || errno != EPERM)
		return 7;
#if !HSMINT_SANITIZED
	if (sendto(kept->tcp_socket, "x", 1, MSG_FASTOPEN, tcp, sizeof kept->tcp_address) >= 0 || errno != EPERM)
		return 8;
	struct msghdr message = {.msg_name = (void *)tcp, .msg_namelen = sizeof kept->tcp_address};
	if (sendmsg(kept->tcp_socket, &message, MSG_FASTOPEN) >= 0 || errno != EPERM)
		return 9;
#endif
	return 0;
}

static bool listens(int type, const char *name, struct sockaddr_un *address)
{
	char path[64];
	snprintf(path, sizeof path, SOCKET_PATH, (int)getppid(), name);
	*address = address_of(path);
	unlink(path);
	int listener = socket(AF_UNIX, type, 0);
	return bind(listener, (struct sockaddr *)address, sizeof *address) == 0 && listen(listener, 1) == 0;
}

static bool listens_on_tcp(struct sockaddr_in *address)
{
	socklen_t size = sizeof *address;
	*address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	return bind(listener, (struct sockaddr *)address, size) == 0 && listen(listener, 1) == 0 &&
	       getsockname(listener, (struct sockaddr *)address, &size) == 0;
}

/* Without the sandbox each of them can be reached: or the test would prove nothing. */
static bool are_reachable(const struct kept *kept)
{
	int unix_socket = socket(AF_UNIX, SOCK_STREAM, 0);
	int sequenced_socket = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	int tcp_socket = socket(AF_INET, SOCK_STREAM, 0);
	return connect(unix_socket, (const struct sockaddr *)&kept->unix_address, sizeof kept->unix_address) == 0 &&
	       connect(sequenced_socket, (const struct sockaddr *)&kept->sequenced_address,
		       sizeof kept->sequenced_address) == 0 &&
	       connect(tcp_socket, (const struct sockaddr *)&kept->tcp_address, sizeof kept->tcp_address) == 0;
}

static int reaches_nothing(enum sandbox_mode mode, const char *expected)
{
	char state[SANDBOX_STATE_SIZE];
	struct kept kept = {.unix_socket = socket(AF_UNIX, SOCK_STREAM, 0),
		.sequenced_socket = socket(AF_UNIX, SOCK_SEQPACKET, 0),
		.tcp_socket = socket(AF_INET, SOCK_STREAM, 0)};
	if (!listens(SOCK_STREAM, "hsmint", &kept.unix_address) ||
		!listens(SOCK_SEQPACKET, "control", &kept.sequenced_address) || !listens_on_tcp(&kept.tcp_address) ||
		!are_reachable(&kept))
		return 20;
	if (enter(mode, state) != HM_OK || !strstr(state, expected))
		return 1;
	return reach_out(&kept);
}

static int require_reaches_nothing(void)
{
	return reaches_nothing(SANDBOX_REQUIRE, "seccomp=on");
}

static int best_reaches_nothing(void)
{
	return reaches_nothing(SANDBOX_BEST, "seccomp=on");
}

static void unlink_sockets(void)
{
	static const char *const names[] = {"hsmint", "control"};
	char path[64];
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		snprintf(path, sizeof path, SOCKET_PATH, (int)getpid(), names[i]);
		unlink(path);
	}
}

static int works_on(void)
{
	char state[SANDBOX_STATE_SIZE];
	int pair[2];
	char byte;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0 || enter(SANDBOX_REQUIRE, state) != HM_OK)
		return 1;
	if (send(pair[0], "x", 1, 0) != 1 || recv(pair[1], &byte, 1, 0) != 1)
		return 2;
	void *memory = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED || munmap(memory, 1 << 20) < 0)
		return 3;
	return strstr(state, "seccomp=on") && strstr(state, "capabilities=none") ? 0 : 4;
}

static bool deny_seccomp(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	return filter && seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(seccomp), 0) == 0 &&
	       seccomp_rule_add(
		       filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(prctl), 1, SCMP_A0(SCMP_CMP_EQ, PR_SET_SECCOMP)) == 0 &&
	       seccomp_load(filter) == 0;
}

static int best_without_seccomp(void)
{
	char state[SANDBOX_STATE_SIZE];
	if (!deny_seccomp() || enter(SANDBOX_BEST, state) != HM_OK)
		return 1;
	return strstr(state, "seccomp=off") && strstr(state, "capabilities=none") ? 0 : 2;
}

static int require_without_seccomp(void)
{
	char state[SANDBOX_STATE_SIZE];
	struct hm_problem why = {0};
	if (!deny_seccomp() || sandbox_enter(SANDBOX_REQUIRE, state, &why) != HM_REFUSED)
		return 1;
	return strstr(why.detail, "seccomp") ? 0 : 2;
}

static int without_capabilities_to_drop(void)
{
	char state[SANDBOX_STATE_SIZE];
	if (getuid() == 0 && setresuid(54321, 54321, 54321) < 0) /* a uid that no passwd entry names */
		return 1;
	if (enter(SANDBOX_REQUIRE, state) != HM_OK)
		return 2;
	return strstr(state, "capabilities=none") ? 0 : 3;
}

#if !HSMINT_SANITIZED
/* The listeners are shared with mint and with every gate to come. */
static int keeps_listeners(void)
{
	struct sockaddr_un address;
	char state[SANDBOX_STATE_SIZE];
	int ends[2];
	if (!listens(SOCK_STREAM, "shared", &address))
		return 20;
	int listener = open("/dev/null", O_RDONLY) - 1; /* the one that was opened last */
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0 || enter(SANDBOX_BEST, state) != HM_OK)
		return 21;
	if (shutdown(listener, SHUT_RD) == 0 || errno != EPERM)
		return 22;
	if (fcntl(listener, F_DUPFD_CLOEXEC, 64) >= 0 || errno != EPERM || dup(listener) >= 0 || errno != EPERM)
		return 23;
	return shutdown(ends[0], SHUT_RDWR) == 0 ? 0 : 24; /* a connection's end is gate's to make */
}

Test(sandbox, a_listener_cannot_be_shut_down_for_those_who_come_after)
{
	cr_expect_eq(run(keeps_listeners), 0);
}
#endif

Test(sandbox, from_inside_no_socket_is_reached)
{
	cr_expect_eq(run(require_reaches_nothing), 0);
	cr_expect_eq(run(best_reaches_nothing), 0);
	unlink_sockets();
}

Test(sandbox, from_inside_what_the_loop_needs_works)
{
	cr_expect_eq(run(works_on), 0);
}

Test(sandbox, a_user_without_name_or_capabilities_gets_it_too)
{
	cr_expect_eq(run(without_capabilities_to_drop), 0);
}

Test(sandbox, without_seccomp_best_says_so_and_require_refuses)
{
	cr_expect_eq(run(best_without_seccomp), 0);
	cr_expect_eq(run(require_without_seccomp), 0);
}

#if !HSMINT_SANITIZED /* where Landlock is not entered, and files and processes are allowed */
static int starts_and_opens_nothing(void)
{
	char state[SANDBOX_STATE_SIZE];
	if (enter(SANDBOX_REQUIRE, state) != HM_OK)
		return 1;
	if (open("/etc/passwd", O_RDONLY) >= 0 || errno != EPERM)
		return 2;
	if (open("/tmp/hsmint-sandbox-test-file", O_WRONLY | O_CREAT, 0600) >= 0 || errno != EPERM)
		return 3;
	if (fork() >= 0 || errno != EPERM)
		return 4;
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) >= 0 || errno != EPERM)
		return 5;
	if (mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)
		return 6;
	if (kill(getppid(), 0) == 0)
		return 7;
	return 0;
}

/* As a kernel or container without these calls would answer. */
static bool deny(int error, const char *const *names)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	bool done = filter != NULL;
	for (; done && *names; names++) {
		int call = seccomp_syscall_resolve_name(*names);
		done = seccomp_rule_add(filter, SCMP_ACT_ERRNO(error), call, 0) == 0;
	}
	return done && seccomp_load(filter) == 0;
}

static const char *const landlock_calls[] = {
	"landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self", NULL};

static int best_without_landlock(void)
{
	char state[SANDBOX_STATE_SIZE];
	if (!deny(ENOSYS, landlock_calls) || enter(SANDBOX_BEST, state) != HM_OK)
		return 1;
	return strstr(state, "seccomp=on") && strstr(state, "landlock=off") ? 0 : 2;
}

static int without_landlock_best_reaches_nothing(void)
{
	return deny(ENOSYS, landlock_calls) ? reaches_nothing(SANDBOX_BEST, "landlock=off") : 30;
}

static int require_without_landlock(void)
{
	char state[SANDBOX_STATE_SIZE];
	struct hm_problem why = {0};
	if (!deny(ENOSYS, landlock_calls))
		return 1;
	if (sandbox_enter(SANDBOX_REQUIRE, state, &why) != HM_REFUSED)
		return 2;
	return strstr(why.detail, "Landlock") ? 0 : 3;
}

Test(sandbox, from_inside_nothing_is_opened_or_started)
{
	cr_expect_eq(run(starts_and_opens_nothing), 0);
}

Test(sandbox, without_landlock_best_says_so_and_require_refuses)
{
	cr_expect_eq(run(best_without_landlock), 0);
	cr_expect_eq(run(without_landlock_best_reaches_nothing), 0);
	unlink_sockets();
	cr_expect_eq(run(require_without_landlock), 0);
}
#endif
