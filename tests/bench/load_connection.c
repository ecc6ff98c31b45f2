/* SPDX-License-Identifier: Apache-2.0 */
#include "load_connection.h"

#include "bench_options.h"
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

static const char *tls_error(void)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());
	return reason ? reason : strerror(errno);
}

/* ---- where ---- */

void load_endpoint_unix(struct load_endpoint *endpoint, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof address.sun_path)
		bench_usage("%s: longer than a socket's path can be (%zu)", path, sizeof address.sun_path - 1);
	strcpy(address.sun_path, path);
	memcpy(&endpoint->address, &address, sizeof address);
	endpoint->address_length = sizeof address;
	snprintf(endpoint->host, sizeof endpoint->host, "localhost");
}

static bool can_connect(const struct addrinfo *address)
{
	int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool connected = fd >= 0 && connect(fd, address->ai_addr, address->ai_addrlen) == 0;
	if (fd >= 0)
		close(fd);
	return connected;
}

static void resolve(struct load_endpoint *endpoint, const char *host_port)
{
	const struct addrinfo wanted = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
	struct addrinfo *found;
	const char *colon = strrchr(host_port, ':');
	if (!colon || colon == host_port || (size_t)(colon - host_port) >= sizeof endpoint->host)
		bench_usage("--connect is HOST:PORT, not '%s'", host_port);
	snprintf(endpoint->host, sizeof endpoint->host, "%.*s", (int)(colon - host_port), host_port);
	int error = getaddrinfo(endpoint->host, colon + 1, &wanted, &found);
	if (error)
		bench_fail("%s: %s", host_port, gai_strerror(error));
	const struct addrinfo *address = found; /* localhost is often ::1 too, where nobody listens */
	while (address && !can_connect(address))
		address = address->ai_next;
	if (!address)
		bench_fail("connecting to %s: %s", host_port, strerror(errno));
	memcpy(&endpoint->address, address->ai_addr, address->ai_addrlen);
	endpoint->address_length = address->ai_addrlen;
	freeaddrinfo(found);
}

void load_endpoint_tls(
	struct load_endpoint *endpoint, const char *host_port, const char *cert, const char *key, const char *ca)
{
	resolve(endpoint, host_port);
	SSL_CTX *tls = SSL_CTX_new(TLS_client_method());
	if (!tls || SSL_CTX_set_min_proto_version(tls, TLS1_3_VERSION) != 1)
		bench_fail("TLS 1.3: %s", tls_error());
	if (SSL_CTX_load_verify_file(tls, ca) != 1)
		bench_fail("%s: %s", ca, tls_error());
	if (SSL_CTX_use_certificate_chain_file(tls, cert) != 1)
		bench_fail("%s: %s", cert, tls_error());
	if (SSL_CTX_use_PrivateKey_file(tls, key, SSL_FILETYPE_PEM) != 1)
		bench_fail("%s: %s", key, tls_error());
	SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
	endpoint->tls = tls;
}

void load_endpoint_close(struct load_endpoint *endpoint)
{
	SSL_CTX_free(endpoint->tls);
}

/* ---- a connection ---- */

static void shake_hands(struct load_connection *connection, const struct load_endpoint *endpoint)
{
	SSL *tls = connection->tls = SSL_new(endpoint->tls);
	if (!tls || SSL_set_fd(tls, connection->fd) != 1 || SSL_set1_host(tls, endpoint->host) != 1 ||
		SSL_set_tlsext_host_name(tls, endpoint->host) != 1)
		bench_fail("TLS: %s", tls_error());
	if (SSL_connect(tls) != 1)
		bench_fail("TLS handshake with %s: %s", endpoint->host, tls_error());
}

void load_connection_open(struct load_connection *connection, const struct load_endpoint *endpoint)
{
	const int on = 1;
	connection->tls = NULL;
	connection->received = 0;
	connection->sent_at = 0;
	connection->fd = socket(endpoint->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connection->fd < 0 ||
		connect(connection->fd, (const struct sockaddr *)&endpoint->address, endpoint->address_length) < 0)
		bench_fail("connecting to %s: %s", endpoint->host, strerror(errno));
	if (endpoint->address.ss_family != AF_UNIX)
		(void)setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (endpoint->tls)
		shake_hands(connection, endpoint);
	if (fcntl(connection->fd, F_SETFL, O_NONBLOCK) < 0)
		bench_fail("fcntl: %s", strerror(errno));
}

void load_connection_close(struct load_connection *connection)
{
	if (connection->tls)
		(void)SSL_shutdown(connection->tls); /* says that we leave; nobody waits for the other's word */
	SSL_free(connection->tls);
	close(connection->fd);
}

bool load_connection_send(struct load_connection *connection, const char *request, size_t length)
{
	ERR_clear_error();
	connection->sent_at = bench_now_us();
	if (connection->tls)
		return SSL_write(connection->tls, request, (int)length) == (int)length;
	return send(connection->fd, request, length, MSG_NOSIGNAL) == (ssize_t)length;
}

/* Bytes read; 0: none there now; -1: the connection is lost. */
static ssize_t take(struct load_connection *connection)
{
	char *to = connection->reply + connection->received;
	size_t room = sizeof connection->reply - connection->received;
	if (room == 0)
		return -1;
	if (connection->tls) {
		ERR_clear_error();
		int got = SSL_read(connection->tls, to, (int)room);
		return got > 0 ? got : SSL_get_error(connection->tls, got) == SSL_ERROR_WANT_READ ? 0 : -1;
	}
	ssize_t got = recv(connection->fd, to, room, 0);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	return got > 0 ? got : -1;
}

enum load_reading load_connection_receive(struct load_connection *connection, struct load_reply *reply)
{
	for (;;) {
		ssize_t got = take(connection);
		if (got <= 0)
			return got < 0 ? LOAD_REPLY_BAD : LOAD_REPLY_MORE;
		connection->received += (size_t)got;
		enum load_reading reading = load_reply_read(connection->reply, connection->received, reply);
		if (reading == LOAD_REPLY_MORE)
			continue;
		/* One request, one reply: more than that, or one that nobody asked for, is not HTTP. */
		if (reading == LOAD_REPLY_WHOLE && (reply->length != connection->received || !connection->sent_at))
			reading = LOAD_REPLY_BAD;
		connection->received = 0;
		return reading;
	}
}
