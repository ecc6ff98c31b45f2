/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is with mint: the request of a connection, or some of its batch. Each connection can always ask for one thing;
 * what more a batch asks for at once shares HM_BATCH_ITEMS_IN_FLIGHT places. Each is answered once, by mint or by our
 * own limit.
 */
#ifndef HSMINT_UPSTREAM_H
#define HSMINT_UPSTREAM_H

#include "frame.h"
#include "gate_protocol.h"

struct request;
struct upstream; /* opaque; made by upstream_open, released by upstream_close */

/* Called once for each thing that was asked for; its request lives until then. Exactly one of `reply` and `why` is not
 * NULL. */
typedef void upstream_answer(
	struct request *request, unsigned item, const struct gate_reply *reply, const struct hm_problem *why);

/* `channel` stays the caller's. NULL: out of memory. */
struct upstream *upstream_open(struct channel *channel, upstream_answer *answer);
void upstream_close(struct upstream *upstream); /* NULL is fine; forgets what is in flight */

/* Queue a frame that asks mint; the answer comes later. `more`: this connection has asked for something already.
 * HM_UNAVAILABLE: overload, for now. */
hm_result upstream_ask(struct upstream *upstream, const struct gate_request *ask, struct request *request,
	unsigned item, bool more, uint64_t now_ms, struct hm_problem *why) HM_MUST_USE;

/* Take mint's reply. One that nobody waits for any longer is dropped. HM_REFUSED: malformed. */
hm_result upstream_take(struct upstream *upstream, const struct hm_frame *frame) HM_MUST_USE;

/* Answer what has waited longer than it may; and when to call this next, UINT64_MAX: when nothing waits. */
void upstream_expire(struct upstream *upstream, uint64_t now_ms);
uint64_t upstream_next_ms(const struct upstream *upstream);

/* Answer all that wait with shutting_down. */
void upstream_give_up(struct upstream *upstream);

unsigned upstream_in_flight(const struct upstream *upstream);

#endif
