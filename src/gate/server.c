/* SPDX-License-Identifier: Apache-2.0 */
#include "server.h"

#include "log.h"
#include "request.h"
#include <errno.h>
#include <gnutls/abstract.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	LISTENERS = 2,
	CONNECTION_MEMORY = 16 * 1024, /* headers; bodies are copied to memory of their own */
	OTHER_DESCRIPTORS = 64,
	DESCRIPTORS = LISTENERS * HM_HTTP_MAX_CONNECTIONS + OTHER_DESCRIPTORS,
	REQUEST_MS = HM_HTTP_REQUEST_SECONDS * 1000,
	IDLE_MS = HM_HTTP_IDLE_SECONDS * 1000,
	DRAIN_LINGER_MS = 300, /* an idle client may have a request under way when we begin to drain */
	LIBRARY_LOG_MS = 10 * 1000,
};

struct listener {
	struct server *server;
	struct MHD_Daemon *daemon;
	bool tls;
	bool must_run;
	bool has_ended; /* a connection, in this run */
};

struct server {
	struct gate *gate;
	struct connection *connections;
	unsigned count;
	struct listener listeners[LISTENERS];
	uint64_t drain_began_ms; /* 0: not draining */
	uint64_t library_spoke_ms;
	unsigned library_silenced;
};

/* ---- connections ---- */

struct connection *server_connection(struct MHD_Connection *mhd)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	return info->socket_context;
}

static void read_peer(struct connection *connection)
{
	struct ucred peer;
	socklen_t size = sizeof peer;
	if (getsockopt(connection->fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return;
	connection->peer_known = true;
	connection->uid = peer.uid;
	connection->gid = peer.gid;
	connection->pid = (uint32_t)peer.pid;
}

/* Send a TLS record. The library sends headers and body as two; the kernel may keep the first for the second. */
static ssize_t push_record(gnutls_transport_ptr_t context, const giovec_t *parts, int count)
{
	struct connection *connection = context;
	struct msghdr message = {.msg_iov = (struct iovec *)parts, .msg_iovlen = (size_t)count};
	size_t length = 0;
	for (int i = 0; i < count; i++)
		length += parts[i].iov_len;
	ssize_t sent = sendmsg(connection->fd, &message, MSG_NOSIGNAL | (connection->body_follows ? MSG_MORE : 0));
	if (sent < 0)
		gnutls_transport_set_errno(connection->session, errno);
	else if ((size_t)sent == length)
		connection->body_follows = false;
	return sent;
}

/* An IPv4 address as IPv6 has it; of an IPv6 address the network, since a host may have any address in it. */
static struct in6_addr address_of(const struct sockaddr *address)
{
	struct in6_addr out = {0};
	if (address->sa_family == AF_INET6) {
		memcpy(&out, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, 8);
	} else {
		out.s6_addr[10] = out.s6_addr[11] = 0xff;
		memcpy(&out.s6_addr[12], &((const struct sockaddr_in *)(const void *)address)->sin_addr, 4);
	}
	return out;
}

static void begin_tls(struct connection *connection)
{
	const union MHD_ConnectionInfo *client =
		MHD_get_connection_info(connection->mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	connection->address = address_of(client->client_addr);
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection->mhd, MHD_CONNECTION_INFO_GNUTLS_SESSION);
	connection->session = info->tls_session;
	connection->snapshot = tls_snapshot_hold(connection->gate->tls);
	gnutls_transport_set_ptr2(connection->session, (gnutls_transport_ptr_t)(intptr_t)connection->fd, connection);
	gnutls_transport_set_vec_push_function(connection->session, push_record);
	if (!tls_session_prepare(connection->session, connection->snapshot))
		(void)shutdown(connection->fd, SHUT_RDWR);
}

static void connection_begin(struct listener *listener, struct MHD_Connection *mhd, void **context)
{
	struct server *server = listener->server;
	struct connection *connection = calloc(1, sizeof *connection);
	int fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
	*context = connection;
	if (!connection) {
		(void)shutdown(fd, SHUT_RDWR);
		return;
	}
	connection->gate = server->gate;
	connection->listener = listener;
	connection->mhd = mhd;
	connection->fd = fd;
	connection->next = server->connections;
	if (connection->next)
		connection->next->previous = connection;
	server->connections = connection;
	server->count++;
	server->gate->stats.counter[GATE_CONNECTIONS_TOTAL]++;
	connection_enter(connection, CONNECTION_WAITING);
	if (listener->tls)
		begin_tls(connection);
	else
		read_peer(connection);
}

/* The library has released the TLS session by now, so its credentials can go. */
static void connection_end(struct connection *connection)
{
	struct server *server = connection->listener->server;
	if (connection->next)
		connection->next->previous = connection->previous;
	if (connection->previous)
		connection->previous->next = connection->next;
	else
		server->connections = connection->next;
	server->count--;
	connection->listener->has_ended = true;
	tls_snapshot_release(connection->snapshot);
	free(connection->verdict);
	free(connection);
}

static void on_connection(
	void *context, struct MHD_Connection *mhd, void **socket_context, enum MHD_ConnectionNotificationCode code)
{
	if (code == MHD_CONNECTION_NOTIFY_STARTED)
		connection_begin(context, mhd, socket_context);
	else if (*socket_context)
		connection_end(*socket_context);
}

/* ---- daemons ---- */

/* The library sees the end of the stream, and closes. */
static void shut_down(struct connection *connection)
{
	(void)shutdown(connection->fd, SHUT_RDWR);
	connection_enter(connection, CONNECTION_ENDING);
}

/* One that counts against its address. Who has shown a client certificate does not: many callers may come from behind
 * one address. */
static bool counts(struct connection *connection, const struct in6_addr *address, bool look_again)
{
	if (!connection->session || connection->phase == CONNECTION_ENDING ||
		memcmp(&connection->address, address, sizeof *address) != 0)
		return false;
	return !(look_again ? request_is_verified(connection) : connection->is_verified);
}

static unsigned count_unverified(const struct server *server, const struct in6_addr *address, bool look_again)
{
	unsigned count = 0;
	for (struct connection *at = server->connections; at; at = at->next)
		count += counts(at, address, look_again);
	return count;
}

static bool has_too_many(const struct server *server, const struct in6_addr *address)
{
	return count_unverified(server, address, false) >= HM_HTTP_MAX_PER_ADDRESS &&
	       count_unverified(server, address, true) >= HM_HTTP_MAX_PER_ADDRESS;
}

/* The newcomer may be about to show a certificate; the one that has waited longest without had its time to. */
static void make_room(struct server *server, const struct in6_addr *address)
{
	struct connection *oldest = NULL;
	for (struct connection *at = server->connections; at; at = at->next)
		if (counts(at, address, false) && (!oldest || at->since_ms <= oldest->since_ms))
			oldest = at;
	if (oldest)
		shut_down(oldest);
}

/* A peer bound to a long path has an address longer than the library's room for it, from which libmicrohttpd before
 * 1.0 would then read beyond the end. */
static enum MHD_Result accepts_address(void *context, const struct sockaddr *address, socklen_t length)
{
	const struct listener *listener = context;
	if (length > sizeof(struct sockaddr_in6))
		return MHD_NO;
	if (!listener->tls)
		return MHD_YES;
	struct in6_addr from = address_of(address);
	if (has_too_many(listener->server, &from))
		make_room(listener->server, &from);
	return MHD_YES;
}

/* Paths are compared as they came: nothing is unescaped. */
static size_t keep_escaped(void *context, struct MHD_Connection *mhd, char *text)
{
	(void)context, (void)mhd;
	return strlen(text);
}

/* The library wants a certificate at start; each session gets its own when it begins. */
static int no_certificate(gnutls_session_t session, const gnutls_datum_t *names, int name_count,
	const gnutls_pk_algorithm_t *algorithms, int algorithm_count, gnutls_pcert_st **certificates,
	unsigned *certificate_count, gnutls_privkey_t *key)
{
	(void)session, (void)names, (void)name_count, (void)algorithms, (void)algorithm_count;
	(void)certificates, (void)certificate_count, (void)key;
	return -1;
}

/* Any client can make the library complain, so it may do so only now and then. */
static void HM_PRINTF(2, 0) on_library_log(void *context, const char *format, va_list arguments)
{
	struct server *server = context;
	char text[256];
	uint64_t now = server->gate->now_ms;
	if (server->library_spoke_ms && now - server->library_spoke_ms < LIBRARY_LOG_MS) {
		server->library_silenced++;
		return;
	}
	int length = vsnprintf(text, sizeof text, format, arguments);
	if (length > 0)
		text[strcspn(text, "\n")] = 0;
	hm_log(HM_WARNING, "http", "detail=\"%s\" silenced=%u", text, server->library_silenced);
	server->library_spoke_ms = now;
	server->library_silenced = 0;
}

/* As many as the descriptors allow, after raising their limit as far as we may. */
static unsigned connection_limit(void)
{
	struct rlimit limit;
	rlim_t wanted = DESCRIPTORS;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return HM_HTTP_MAX_CONNECTIONS / 4;
	if (limit.rlim_cur < wanted) {
		limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
	if (limit.rlim_cur >= wanted)
		return HM_HTTP_MAX_CONNECTIONS;
	rlim_t left = limit.rlim_cur > OTHER_DESCRIPTORS + LISTENERS ? limit.rlim_cur - OTHER_DESCRIPTORS : LISTENERS;
	return (unsigned)left / LISTENERS;
}

static struct MHD_Daemon *start_daemon(struct listener *listener, int fd)
{
	struct MHD_OptionItem tls[] = {
		{MHD_OPTION_HTTPS_PRIORITIES, 0, TLS_PRIORITIES},
		{MHD_OPTION_HTTPS_CERT_CALLBACK, 0, (void *)no_certificate},
		{MHD_OPTION_END, 0, NULL},
	};
	struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};
	unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
	return MHD_start_daemon(flags | (listener->tls ? MHD_USE_TLS : 0), 0, accepts_address, listener, request_handle,
		NULL, MHD_OPTION_EXTERNAL_LOGGER, on_library_log, listener->server, MHD_OPTION_LISTEN_SOCKET, fd,
		MHD_OPTION_CONNECTION_LIMIT, connection_limit(), MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		(size_t)CONNECTION_MEMORY, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_NOTIFY_CONNECTION, on_connection,
		listener, MHD_OPTION_URI_LOG_CALLBACK, request_begin, NULL, MHD_OPTION_NOTIFY_COMPLETED, request_end,
		NULL, MHD_OPTION_UNESCAPE_CALLBACK, keep_escaped, NULL, MHD_OPTION_ARRAY, listener->tls ? tls : none,
		MHD_OPTION_END);
}

struct server *server_open(struct gate *gate)
{
	struct server *server = calloc(1, sizeof *server);
	if (server)
		server->gate = gate;
	return server;
}

hm_result server_listen(struct server *server, int fd, bool tls, struct hm_problem *why)
{
	struct listener *listener = server->listeners;
	while (listener->daemon)
		listener++;
	*listener = (struct listener){.server = server, .tls = tls, .must_run = true};
	listener->daemon = start_daemon(listener, fd);
	if (listener->daemon)
		return HM_OK;
	close(fd);
	return hm_unavailable(why, "system", "the HTTP library does not start on the %s socket: %s",
		tls ? "TCP" : "Unix", strerror(errno));
}

void server_close(struct server *server)
{
	if (!server)
		return;
	for (unsigned i = 0; i < LISTENERS; i++)
		if (server->listeners[i].daemon)
			MHD_stop_daemon(server->listeners[i].daemon);
	free(server);
}

/* ---- running ---- */

int server_poll_fd(const struct server *server, unsigned listener)
{
	if (listener >= LISTENERS || !server->listeners[listener].daemon)
		return -1;
	return MHD_get_daemon_info(server->listeners[listener].daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
}

void server_is_readable(struct server *server, unsigned listener)
{
	server->listeners[listener].must_run = true;
}

void server_must_run(struct listener *listener)
{
	listener->must_run = true;
}

bool server_run(struct server *server)
{
	bool left = false;
	for (unsigned i = 0; i < LISTENERS; i++) {
		struct listener *listener = &server->listeners[i];
		unsigned long long wait;
		if (!listener->daemon || !listener->must_run)
			continue;
		listener->has_ended = false;
		MHD_run(listener->daemon);
		/* Without a timeout of the library's own, 0 is the only wait it knows: its sockets are edge-triggered,
		 * and it has not yet read or written all it can. After a connection's end it may accept again, if it
		 * was at its limit, and begins to in its next run. */
		bool is_busy = MHD_get_timeout(listener->daemon, &wait) == MHD_YES && wait == 0;
		listener->must_run = is_busy || listener->has_ended;
		left |= listener->must_run;
	}
	server->gate->stats.counter[GATE_CONNECTIONS_OPEN] = server->count;
	return left;
}

unsigned server_connections(const struct server *server)
{
	return server->count;
}

/* ---- limits in time ---- */

static bool has_unread(const struct connection *connection)
{
	char byte;
	return recv(connection->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

/* Limits are absolute, not renewed by each byte: neither a handshake nor a request may be dragged out. */
static bool is_too_slow(const struct connection *connection, uint64_t age_ms)
{
	switch (connection->phase) {
	case CONNECTION_WAITING:
		return age_ms > REQUEST_MS && connection->session && !tls_session_is_open(connection->session);
	case CONNECTION_RECEIVING:
		return age_ms > REQUEST_MS;
	case CONNECTION_ANSWERING:
		return age_ms > IDLE_MS;
	case CONNECTION_WITH_MINT: /* upstream.c limits it */
	case CONNECTION_ENDING:
		break;
	}
	return false;
}

void server_reap(struct server *server)
{
	uint64_t now = server->gate->now_ms;
	bool linger_is_over = server->drain_began_ms && now - server->drain_began_ms >= DRAIN_LINGER_MS;
	for (struct connection *at = server->connections; at; at = at->next) {
		uint64_t age = now - at->since_ms;
		bool waits = at->phase == CONNECTION_WAITING;
		bool slow = is_too_slow(at, age);
		bool idle = waits && (age > IDLE_MS || (linger_is_over && !has_unread(at)));
		server->gate->stats.counter[GATE_TIMEOUTS_TOTAL] += slow;
		if (slow || idle)
			shut_down(at);
	}
}

void server_drain(struct server *server)
{
	server->drain_began_ms = server->gate->now_ms;
	for (unsigned i = 0; i < LISTENERS; i++) {
		struct listener *listener = &server->listeners[i];
		if (!listener->daemon)
			continue;
		int fd = MHD_quiesce_daemon(listener->daemon); /* mint has it too, and its backlog */
		if (fd >= 0)
			close(fd);
		listener->must_run = true;
	}
}
