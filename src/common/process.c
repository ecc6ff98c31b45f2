/* SPDX-License-Identifier: Apache-2.0 */
#include "process.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include "frame.h"

static void or_end(int result, const char *what)
{
	if (result == 0)
		return;
	perror(what);
	_exit(1);
}

void process_harden(void)
{
	struct rlimit none = {0, 0};
	or_end(setrlimit(RLIMIT_CORE, &none), "setrlimit(RLIMIT_CORE)");
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	or_end(prctl(PR_SET_DUMPABLE, 0), "prctl(PR_SET_DUMPABLE)");
#endif
	or_end(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl(PR_SET_NO_NEW_PRIVS)");
	signal(SIGPIPE, SIG_IGN);
	umask(077);
}

void process_end_with_parent(void)
{
	/* A terminal or a service manager signals the whole group; when we end is for mint to say. */
	static const int groups[] = {SIGHUP, SIGINT, SIGTERM};
	for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
		signal(groups[i], SIG_IGN);
	or_end(prctl(PR_SET_PDEATHSIG, SIGKILL), "prctl(PR_SET_PDEATHSIG)");
	/* The parent may have ended before the call above: then the socket's other end is closed already. */
	char byte;
	if (recv(HM_CHILD_FD, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
		_exit(0);
}

bool process_is_child(void)
{
	int type;
	socklen_t length = sizeof type;
	return getsockopt(HM_CHILD_FD, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_SEQPACKET;
}

bool process_program(const char *name, char path[HM_PATH_MAX])
{
	char self[HM_PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
	if (length <= 0)
		return false;
	self[length] = 0;
	char *slash = strrchr(self, '/');
	if (!slash)
		return false;
	*slash = 0;
	static const char *const places[] = {"", "../libexec/hsmint/"};
	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		int wanted = snprintf(path, HM_PATH_MAX, "%s/%s%s", self, places[i], name);
		if (wanted > 0 && wanted < HM_PATH_MAX && access(path, X_OK) == 0)
			return true;
	}
	return false;
}
