/* SPDX-License-Identifier: Apache-2.0 */
/* A client's connection and the one request that can be on it. The connection's life is server.c's, the request's is
 * request.c's. */
#ifndef HSMINT_CONNECTION_H
#define HSMINT_CONNECTION_H

#include "gate.h"
#include "batch.h"
#include "call.h"
#include "guard.h"
#include "route.h"
#include "terms.h"
#include <netinet/in.h>

struct listener; /* server.c */

/* What a connection is about; each phase but CONNECTION_WITH_MINT has a limit in time (server.c). */
enum connection_phase {
	CONNECTION_WAITING,   /* for a request line, or for the end of the TLS handshake */
	CONNECTION_RECEIVING, /* headers and body */
	CONNECTION_WITH_MINT,
	CONNECTION_ANSWERING,
	CONNECTION_ENDING, /* shut down by us */
};

enum request_step { REQUEST_BEGUN, REQUEST_RECEIVING, REQUEST_WITH_MINT, REQUEST_ANSWERED };

struct request {
	enum request_step step;
	bool is_head; /* the answer goes without its body */
	bool refused; /* `why` is answered once the body has been read and thrown away */
	struct hm_problem why;
	const struct route *route; /* NULL: a published blob or nothing */
	struct guard_text if_none_match;
	uint8_t *body; /* exactly `body_length` bytes; NULL: what comes is thrown away */
	size_t body_length, body_used;
	bool body_is_large;
	bool is_unproven; /* with mint, at a token endpoint, without a certificate */
	struct call call;
	struct terms terms;
	uint8_t digest[32];  /* with an Idempotency-Key: of path and body */
	struct batch *batch; /* NULL: a request alone */
};

struct connection {
	struct gate *gate;
	struct listener *listener;
	struct connection *next, *previous;
	struct MHD_Connection *mhd;
	int fd;
	enum connection_phase phase;
	uint64_t since_ms; /* when the phase began */

	struct in6_addr address; /* of a TCP client: its IPv6 /64, or its IPv4 address as IPv6 has it */
	bool is_verified;        /* it showed a client certificate that is accepted */
	bool peer_known;         /* a Unix socket's peer, read at connect */
	uint32_t uid, gid, pid;
	gnutls_session_t session; /* NULL: a Unix socket */
	bool body_follows;        /* the next TLS record holds an answer's headers only */
	struct tls_snapshot *snapshot;
	struct tls_verdict *verdict; /* NULL until somebody asked */

	struct request request;
};

static inline void connection_enter(struct connection *connection, enum connection_phase phase)
{
	connection->phase = phase;
	connection->since_ms = connection->gate->now_ms;
}

#endif
