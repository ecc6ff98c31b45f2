/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who waits for one token, and whose turn it is. Requests stand in the line of their member (a tenant) of their group
 * (a caller, or all callers of an issuer). Groups take turns by their weight, the members of a group one by one, so
 * that nobody gets more by asking more, nor by inventing tenants, and none less by asking one by one. One that is new,
 * or asked for nothing while all others had their turns, comes next but one at most.
 */
#ifndef HSMINT_FAIR_H
#define HSMINT_FAIR_H

#include "pending.h"
#include <stdbool.h>

struct fair; /* opaque; made by fair_open, released by fair_close */

struct fair *fair_open(void); /* NULL: no memory */
void fair_close(struct fair *fair);

/* Whether one more of this group and member would be counted. */
bool fair_has_room(const struct fair *fair, const struct fair_who *who, unsigned free_places);

/*
 * Count the request among those of its group and member (pending->who), until fair_leave. False: they have too many
 * already, seen that `free_places` are left for everybody. Whoever uses a place makes less room for itself than for
 * others, on all three levels, so that one who takes all it can get leaves a part to each newcomer.
 */
bool fair_join(struct fair *fair, struct pending *pending, unsigned free_places) HM_MUST_USE;
void fair_leave(struct fair *fair, struct pending *pending);

/* Of one that joined: stand at the end of its line; or, for one that was served in vain, before everybody. */
void fair_wait(struct fair *fair, struct pending *pending);
void fair_wait_first(struct fair *fair, struct pending *pending);

/* Take out the one whose turn it is; NULL: nobody waits. */
struct pending *fair_next(struct fair *fair);
void fair_take_out(struct fair *fair, struct pending *pending); /* one that waits no longer */

unsigned fair_waiting(const struct fair *fair);

/* About how many will be served before one more of this group and member would be, it included. */
double fair_turns_until(const struct fair *fair, const struct fair_who *who);

#endif
