/* SPDX-License-Identifier: Apache-2.0 */
/* The tokens and keys of the service: brought in line with the configuration, learned from, ended. */
#ifndef HSMINT_SIGNING_H
#define HSMINT_SIGNING_H

#include "service.h"

/*
 * Bring the tokens in line with the configuration: keep what stays the same, start what is new, end what is gone; and
 * learn the keys of those that are ready. HM_REFUSED: a key is not one that may be used; the others are.
 */
hm_result signing_adopt(struct service *service, struct hm_problem *why) HM_MUST_USE;

/* Have every token hold the keys that are in use (service->keys), and learn those that it has shown. HM_UNAVAILABLE: a
 * token has no place for one. */
hm_result signing_hold(struct service *service, struct hm_problem *why) HM_MUST_USE;

/* End every token; when the last has ended and the gate has, the loop's handles are closed. */
void signing_end(struct service *service);

#endif
