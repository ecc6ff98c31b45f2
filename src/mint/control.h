/* SPDX-License-Identifier: Apache-2.0 */
/* control.sock: operators' commands as frames, the peer's credentials read by mint itself. */
#ifndef HSMINT_CONTROL_H
#define HSMINT_CONTROL_H

#include "service.h"

struct control; /* opaque */

/* Who asked for what is answered later: a connection, and the request on it. */
struct control_asker {
	unsigned client, connection;
	uint64_t id;
};

/* Serve operators on a listening SOCK_SEQPACKET socket, which it takes over. NULL: no memory. */
struct control *control_open(struct service *service, int listener);
void control_close(struct control *control); /* NULL is fine */

/* Answer a command that was left open: with `why`, or with what `print` makes of it; an operator who has gone misses
 * it. */
void control_refuse(struct control *control, const struct control_asker *asker, const struct hm_problem *why);
void control_answer(struct control *control, const struct control_asker *asker, const char *json, size_t length);

#endif
