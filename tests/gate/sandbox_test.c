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

#define SOCKET_PATH "/tmp/hsmint-sandbox-test.%d"

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

static int listening_somewhere(struct sockaddr_un *address)
{
	char path[64];
	snprintf(path, sizeof path, SOCKET_PATH, (int)getppid());
	*address = address_of(path);
	int listener = socket(AF_UNIX, SOCK_STREAM, 0);
	if (bind(listener, (struct sockaddr *)address, sizeof *address) < 0 || listen(listener, 1) < 0)
		return -1;
	return listener;
}

/* Sockets that exist already stand for what a taken-over gate may have kept. */
static int reaches_nothing(void)
{
	char state[SANDBOX_STATE_SIZE];
	struct sockaddr_un unix_address;
	struct sockaddr_in tcp = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(9)};
	int listener = listening_somewhere(&unix_address);
	int unix_socket = socket(AF_UNIX, SOCK_STREAM, 0);
	int tcp_socket = socket(AF_INET, SOCK_STREAM, 0);
	if (listener < 0 || enter(SANDBOX_REQUIRE, state) != HM_OK)
		return 1;
	if (socket(AF_UNIX, SOCK_STREAM, 0) >= 0 || errno != EPERM)
		return 2;
	if (socket(AF_INET, SOCK_STREAM, 0) >= 0 || errno != EPERM)
		return 3;
	if (connect(unix_socket, (struct sockaddr *)&unix_address, sizeof unix_address) == 0 || errno != EPERM)
		return 4;
	if (connect(tcp_socket, (struct sockaddr *)&tcp, sizeof tcp) == 0 || errno != EPERM)
		return 5;
	if (bind(tcp_socket, (struct sockaddr *)&tcp, sizeof tcp) == 0 || errno != EPERM)
		return 6;
	char *arguments[] = {"true", NULL};
	if (execv("/bin/true", arguments) == 0 || errno != EPERM)
		return 7;
#if !HSMINT_SANITIZED
	if (sendto(tcp_socket, "x", 1, MSG_FASTOPEN, (struct sockaddr *)&tcp, sizeof tcp) >= 0 || errno != EPERM)
		return 8;
	struct msghdr message = {.msg_name = &tcp, .msg_namelen = sizeof tcp};
	if (sendmsg(tcp_socket, &message, MSG_FASTOPEN) >= 0 || errno != EPERM)
		return 9;
#endif
	return 0;
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

Test(sandbox, from_inside_no_socket_is_reached)
{
	char path[64];
	cr_expect_eq(run(reaches_nothing), 0);
	snprintf(path, sizeof path, SOCKET_PATH, (int)getpid());
	unlink(path);
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
	if (!strstr(state, "seccomp=on") || !strstr(state, "landlock=off"))
		return 2;
	return socket(AF_UNIX, SOCK_STREAM, 0) >= 0 ? 3 : 0;
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
	cr_expect_eq(run(require_without_landlock), 0);
}
#endif
