/* SPDX-License-Identifier: Apache-2.0 */
/* A keep-alive HTTP/1.1 connection that sends the same request again and again; over a Unix socket or TLS 1.3. */
#ifndef HSMINT_LOAD_CONNECTION_H
#define HSMINT_LOAD_CONNECTION_H

#include "load_reply.h"
#include <openssl/ssl.h>
#include <stdint.h>
#include <sys/socket.h>

enum {
	LOAD_REQUEST_MAX = 32 * 1024, /* head and body: so small that a socket takes it whole */
	LOAD_REPLY_MAX = 128 * 1024
};

/* Where to connect; the server's certificate must be for `host`, whatever the address is. */
struct load_endpoint {
	struct sockaddr_storage address;
	socklen_t address_length;
	SSL_CTX *tls; /* NULL: plain */
	char host[256];
};

struct load_connection {
	int fd;
	SSL *tls;
	int64_t sent_at; /* when the request that waits for its reply went out, in microseconds; 0: none waits */
	size_t received; /* of the reply, so far */
	char reply[LOAD_REPLY_MAX];
};

/* The socket at `path`; or HOST:PORT with the client's certificate, its key and the CA of the server's. Fail the
 * program if they cannot be used. */
void load_endpoint_unix(struct load_endpoint *endpoint, const char *path);
void load_endpoint_tls(
	struct load_endpoint *endpoint, const char *host_port, const char *cert, const char *key, const char *ca);
void load_endpoint_close(struct load_endpoint *endpoint);

/* Connect, with the TLS handshake; then the descriptor does not block. Fails the program when it cannot. */
void load_connection_open(struct load_connection *connection, const struct load_endpoint *endpoint);
void load_connection_close(struct load_connection *connection);

/* False: the connection is lost. */
bool load_connection_send(struct load_connection *connection, const char *request, size_t length);

/*
 * Take what arrived. LOAD_REPLY_WHOLE: `*reply` is filled, and the next request may be sent. LOAD_REPLY_BAD: the
 * connection is lost, or what came is no reply.
 */
enum load_reading load_connection_receive(struct load_connection *connection, struct load_reply *reply);

#endif
