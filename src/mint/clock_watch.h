/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The service's clock, watched (clock_guard.h says how). While wall time is stepped nothing is struck, no status list
 * is signed, and nothing ends because its time has come; what people do goes on, dated as if nobody had set the clock.
 * That it is stepped is kept in state/clock, so that a restart does not end it.
 */
#ifndef HSMINT_CLOCK_WATCH_H
#define HSMINT_CLOCK_WATCH_H

#include "service.h"

struct clock_watch; /* opaque; in service->clock */

/* Once the ledger is open and the start recorded. HM_UNAVAILABLE: no memory. */
hm_result clock_watch_open(struct service *service, struct hm_problem *why) HM_MUST_USE;
void clock_watch_close(struct service *service); /* before the ledger is; fine if it was never opened */

void clock_watch_tick(struct service *service);

/* HM_UNAVAILABLE: clock_stepped, as last looked at. */
hm_result clock_watch_refusal(const struct service *service, struct hm_problem *why) HM_MUST_USE;

/* The same, looked at now: for what was built with wall time and is about to go out, or what cannot be taken back. */
hm_result clock_watch_look(struct service *service, struct hm_problem *why) HM_MUST_USE;

bool clock_watch_is_stepped(const struct service *service);

/* The time, in seconds since 1970, by which people's acts are dated; looked at now. */
int64_t clock_watch_time(struct service *service);

/* An operator says that wall time is right as it is. HM_BROKEN: it cannot be told what it is, and nothing changed. */
hm_result clock_watch_accept(struct service *service, struct hm_problem *why) HM_MUST_USE;

/* For reports: by how much wall time was ahead of what it should be, in ms, when that was seen; 0: not known. */
int64_t clock_watch_by_ms(const struct service *service);

#endif
