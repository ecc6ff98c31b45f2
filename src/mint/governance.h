/* SPDX-License-Identifier: Apache-2.0 */
/* The store and its views as one: opened together, each row given to its view, tidied now and then. */
#ifndef HSMINT_GOVERNANCE_H
#define HSMINT_GOVERNANCE_H

#include "note.h"
#include "service.h"

/* Views first, then the store, which fills them. */
hm_result governance_open(struct service *service, struct hm_problem *why) HM_MUST_USE;

/*
 * Whether the store is as new as a checkpoint says that it was, `where` ("token hsm") being who remembers that. Unless
 * that was given up since. HM_REFUSED: it is an old copy, and what was revoked since would be in force again.
 */
hm_result governance_check_memory(const struct service *service, const char *where, const struct checkpoint *remembered,
	struct hm_problem *why) HM_MUST_USE;

/* Called before the loop waits: what became of agents that let others act is told to the status lists. */
void governance_look_at_links(struct service *service);

/* Called each second. */
void governance_tick(struct service *service);

/* No more acts: what is under way is committed, then `ended` is called. */
void governance_end(struct service *service, void (*ended)(void *context), void *context);
void governance_close(struct service *service);

#endif
