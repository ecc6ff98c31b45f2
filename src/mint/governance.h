/* SPDX-License-Identifier: Apache-2.0 */
/* The store and its views as one: opened together, each row given to its view, tidied now and then. */
#ifndef HSMINT_GOVERNANCE_H
#define HSMINT_GOVERNANCE_H

#include "service.h"

/* Views first, then the store, which fills them. */
hm_result governance_open(struct service *service, struct hm_problem *why) HM_MUST_USE;

/* Called each second. */
void governance_tick(struct service *service);

/* No more acts: what is under way is committed, then `ended` is called. */
void governance_end(struct service *service, void (*ended)(void *context), void *context);
void governance_close(struct service *service);

#endif
