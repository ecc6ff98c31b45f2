/* SPDX-License-Identifier: Apache-2.0 */
#include "listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 512 };

static hm_result fail(struct hm_problem *why, const char *what, int fd)
{
	const char *mend = errno == ENOENT ? ": its directory has to be there" : "";
	hm_result result = hm_unavailable(why, "system", "%s: %s%s", what, strerror(errno), mend);
	if (fd >= 0)
		close(fd);
	return result;
}

static bool is_in_use(const struct sockaddr_un *address, int type)
{
	int probe = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	bool answered = probe >= 0 && connect(probe, (const struct sockaddr *)address, sizeof *address) == 0;
	if (probe >= 0)
		close(probe);
	return answered;
}

hm_result listen_unix(const char *path, int type, int *fd, struct hm_problem *why)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct stat stat;

	*fd = -1;
	if (strlen(path) >= sizeof address.sun_path)
		return hm_refuse(why, "config", NULL,
			"%s: a Unix socket's path has at most %zu bytes: choose a shorter one", path,
			sizeof address.sun_path - 1);
	memcpy(address.sun_path, path, strlen(path));
	if (lstat(path, &stat) == 0) {
		if (!S_ISSOCK(stat.st_mode))
			return hm_refuse(why, "config", NULL, "%s: is there and is not a socket", path);
		if (is_in_use(&address, type))
			return hm_refuse(why, "config", NULL, "%s: another process serves it", path);
		(void)unlink(path);
	}
	int listener = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (listener < 0 || bind(listener, (const struct sockaddr *)&address, sizeof address) < 0 ||
		chmod(path, 0666) < 0 || listen(listener, BACKLOG) < 0)
		return fail(why, path, listener);
	*fd = listener;
	return HM_OK;
}

static socklen_t fill_address(const char *text, uint16_t port, struct sockaddr_storage *address)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)address;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)address;
	memset(address, 0, sizeof *address);
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		return sizeof *v4;
	}
	inet_pton(AF_INET6, text, &v6->sin6_addr);
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(port);
	return sizeof *v6;
}

hm_result listen_tcp(const char *address, uint16_t *port, int *fd, struct hm_problem *why)
{
	struct sockaddr_storage where;
	char what[HM_PATH_MAX];
	int on = 1;

	*fd = -1;
	snprintf(what, sizeof what, "%s port %u", address, *port);
	socklen_t length = fill_address(address, *port, &where);
	int listener = socket(where.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
		(where.ss_family == AF_INET6 && setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) < 0) ||
		bind(listener, (struct sockaddr *)&where, length) < 0 || listen(listener, BACKLOG) < 0 ||
		getsockname(listener, (struct sockaddr *)&where, &length) < 0)
		return fail(why, what, listener);
	*port = ntohs(where.ss_family == AF_INET ? ((struct sockaddr_in *)&where)->sin_port
						 : ((struct sockaddr_in6 *)&where)->sin6_port);
	*fd = listener;
	return HM_OK;
}
