/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mint requests that wait until something is committed for them: an instance of a class, a task, a place in a status
 * list, an approval that is used up; or until the outside decision point has answered. They are kept as they came, and
 * run anew from the start when it is.
 */
#ifndef HSMINT_PARKED_H
#define HSMINT_PARKED_H

#include "gate_protocol.h"
#include "policy.h"
#include "status_lists.h"
#include "store.h"

struct service;

struct parked_lot; /* opaque; made by parked_open, released by parked_close */

/* What is to be told of, in the ledger and to the status lists, when it is committed. */
struct parked_acts {
	bool agent;    /* the subject came into being */
	bool task;     /* a task was opened */
	bool approval; /* an approval was asked for: the request is answered with it */
	struct status_lease lease;
	char task_id[HM_ID_MAX + 1], approval_id[HM_ID_MAX + 1];
	char issuer[HM_NAME_MAX + 1], caller[HM_NAME_MAX + 1], subject[HM_SPIFFE_ID_MAX + 1];
};

/* A request as it came, and how far it has got. */
struct parked_request {
	uint64_t id, generation; /* of gate's frame */
	uint64_t deadline_ms;    /* on the loop's clock */
	unsigned tries;
	struct policy_granted before, granted; /* what holds now, and once it is committed */
	struct parked_acts acts;
};

struct parked_lot *parked_open(struct service *service); /* NULL: no memory */
void parked_close(struct parked_lot *lot);

/* Takes `changes` over, and the lease, and copies the rest. HM_UNAVAILABLE: too many wait, or it was tried too often.
 */
hm_result parked_commit(struct parked_lot *lot, const struct parked_request *about, const struct gate_request *request,
	struct changes *changes, struct hm_problem *why) HM_MUST_USE;

/* The same, until the outside decision point has said yes. */
hm_result parked_ask(struct parked_lot *lot, const struct parked_request *about, const struct gate_request *request,
	const struct decision *decision, const struct mint_request *asked, struct hm_problem *why) HM_MUST_USE;

/* Entries up to this ticket are durable: who waited for that is answered. */
void parked_recorded(struct parked_lot *lot, uint64_t ticket);

/* Those whose time is over are answered; called each second. */
void parked_tick(struct parked_lot *lot);
unsigned parked_count(const struct parked_lot *lot);

#endif
