/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listeners and their connections: one HTTP daemon on the Unix socket, one with TLS on TCP, both run by our loop in
 * our thread; and the limits in time that the HTTP library does not keep.
 */
#ifndef HSMINT_SERVER_H
#define HSMINT_SERVER_H

#include "connection.h"

struct server; /* opaque; made by server_open, released by server_close */

/* NULL: out of memory. `gate` outlives it. */
struct server *server_open(struct gate *gate);

/* Ends every connection. None may be with mint. NULL is fine. */
void server_close(struct server *server);

/* Serve a listening socket, which is the server's from then on, also on failure. */
hm_result server_listen(struct server *server, int fd, bool tls, struct hm_problem *why) HM_MUST_USE;

/* The descriptor to poll for a listener, -1 when there are no more; and what to call when it is readable. */
int server_poll_fd(const struct server *server, unsigned listener);
void server_is_readable(struct server *server, unsigned listener);

/* Do all that can be done without waiting. True: something is left to do at once. */
bool server_run(struct server *server);

/* Once in a while: end connections that are beyond their limits. */
void server_reap(struct server *server);

/* Take no more connections; answer what comes on those that are open, and end each after its answer. */
void server_drain(struct server *server);

unsigned server_connections(const struct server *server);

/* For request.c */
struct connection *server_connection(struct MHD_Connection *mhd); /* NULL: there was no memory for it */
void server_must_run(struct listener *listener);                  /* something was resumed */

#endif
