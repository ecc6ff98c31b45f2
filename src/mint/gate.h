/* SPDX-License-Identifier: Apache-2.0 */
/* The gate as mint sees it: its process supervised, its requests taken, its answers and documents sent. */
#ifndef HSMINT_GATE_H
#define HSMINT_GATE_H

#include "gate_protocol.h"
#include "publication.h"
#include <uv.h>

struct gate; /* opaque */

/* What gate listens on and proves itself by: descriptors that live as long as the gate object, -1 where there is none.
 */
struct gate_sockets {
	int unix_socket, tcp_socket;
	int certificate, key, trust; /* sealed memfds in PEM */
	enum sandbox_mode sandbox;
};

struct gate_events {
	void (*request)(void *context, uint64_t id, const struct gate_request *request);
	void (*ready)(void *context, const struct gate_ready *ready); /* also when it refused new certificates */
	void (*ended)(void *context); /* after gate_drain or gate_end; the object is gone after this call */
	void *context;
};

struct gate_facts {
	bool ready;
	int pid; /* 0: none */
	unsigned restarts;
	unsigned unanswered; /* configurations on which its word is still to come */
	const char *sandbox; /* what is in force */
	struct gate_stats stats;
};

/* Start the gate now and again whenever it ends. `sockets` is copied, its descriptors stay the caller's. NULL: no
 * memory. */
struct gate *gate_start(uv_loop_t *loop, const struct gate_sockets *sockets, const struct publications *publications,
	const struct gate_events *events);

/* Which gate this is: rises with each start, so that an answer never goes to another one's connection. */
uint64_t gate_generation(const struct gate *gate);

/* Answer request `id` of the gate with that generation. False: it is gone (`gate` NULL: all are), or does not read. */
bool gate_answer(struct gate *gate, uint64_t generation, uint64_t id, const struct gate_reply *reply);

void gate_publish_one(struct gate *gate, const struct gate_publish *publish);

#define NO_SOCKETS ((struct gate_sockets){-1, -1, -1, -1, -1, SANDBOX_REQUIRE})

/* What the next gate gets; this one has it already. */
void gate_keep(struct gate *gate, const struct gate_sockets *sockets);

/* Give it new certificates, without dropping a connection; `ready` tells what came of it. */
void gate_reconfigure(struct gate *gate, const struct gate_sockets *sockets);

/* Send queued frames; called before the loop waits. True: it has all it was given. */
bool gate_flush(struct gate *gate);
void gate_drain(struct gate *gate); /* let it finish what is in flight; `ended` follows */
void gate_end(struct gate *gate);   /* end it now; `ended` follows */

/* Kill it, and start the next after `ms` unless gate_up ends that. Connections to come wait in the sockets' backlog. */
void gate_down(struct gate *gate, uint64_t ms);
void gate_up(struct gate *gate);

struct gate_facts gate_facts(const struct gate *gate);

#endif
