/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Acting on behalf of somebody (RFC 8693): what a token that is exchanged lets the next one be at most, and whether
 * everybody between still stands. docs/delegation.md
 */
#ifndef HSMINT_DELEGATION_H
#define HSMINT_DELEGATION_H

#include "agents.h"
#include "tasks.h"
#include <jansson.h>

struct config_exchange; /* config.h */
struct config_trust;
struct mint_request; /* mint_request.h */

enum { DELEGATION_FROM_MAX = 43 };

/* A token that was verified, and is to be exchanged. */
struct delegation {
	unsigned holders;       /* besides the first */
	json_t *payload;        /* owned: the texts below are its */
	const char *sub;        /* on whose behalf it is, for ever */
	json_t *act;            /* who acts in it, with those before nested (section 4.1); NULL: nobody */
	unsigned depth;         /* how many they are */
	const char *scope;      /* "": none; NULL: it bounds none */
	const json_t *audience; /* a string or an array; NULL: it bounds none */
	const char *task;       /* "": none */
	const char *from;       /* its id; of one that is not ours `from_room`, a hash of what names it */
	char from_room[DELEGATION_FROM_MAX + 1];
	const struct config_trust *by; /* whose it is; NULL: ours */
	const json_t *groups;          /* of whom it is on behalf, as that one says; NULL: none */
	char person[HM_OWNER_MAX + 1]; /* and `sub` then: NAME:SUBJECT */
	const char *kid;               /* of our key that signed it; "": it is not ours */
	int64_t expires;
};

/* Is it a person? Agents are SPIFFE IDs. */
bool delegation_is_of_person(const struct delegation *delegation);

struct delegation *delegation_hold(struct delegation *delegation); /* once more; NULL is fine */
void delegation_free(struct delegation *delegation);               /* when all who hold it have; NULL is fine */

/* The task under which the next actor works: opened by the first exchange of this token by this actor, found by each
 * that follows. A new reference; NULL: no memory. */
json_t *delegation_task(const struct delegation *delegation, const struct tasks *tasks, const char *actor);

/* Who acts then, the newest first, for approvers and decision points. A new reference; NULL: no memory, or `delegation`
 * is NULL: nobody acts for another. */
json_t *delegation_actors(const struct delegation *delegation, const char *actor);

/* Is what is asked no more than the token had, and does the profile (NULL: it says nothing) let it be exchanged?
 * HM_REFUSED: delegation_refused, audience_not_allowed, scope_not_allowed. `depth`: the most actors. */
hm_result delegation_check(const struct delegation *delegation, const struct mint_request *request,
	const struct config_exchange *exchange, unsigned depth, struct hm_problem *why) HM_MUST_USE;

/* The agent whose token was exchanged when the task was opened; NULL: none was, or a person's. */
const char *delegation_link(const struct task *task);

/* Do those above a task of an exchange still stand: whose tokens were exchanged? HM_REFUSED: as agents_check. Other
 * tasks stand by themselves. NULL is fine. */
hm_result delegation_links(
	const struct agents *agents, const struct task *task, int64_t now, struct hm_problem *why) HM_MUST_USE;

/* The same, and the task itself: may what was struck under it still be used? HM_REFUSED: as tasks_check, too. */
hm_result delegation_stands(
	const struct agents *agents, const struct task *task, int64_t now, struct hm_problem *why) HM_MUST_USE;

#endif
