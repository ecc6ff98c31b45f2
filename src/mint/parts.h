/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What people gave in one unlock of a token: the custodians' parts of its PIN, which stay in their sealed memfds and
 * are never read here; or, where the token asks for its PIN itself, their word alone.
 */
#ifndef HSMINT_PARTS_H
#define HSMINT_PARTS_H

#include "limits.h"
#include "result.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct parts {
	unsigned wanted;           /* how many custodians there are */
	bool begun;                /* the rest means something: */
	uint8_t id[HM_UNLOCK_ID];  /* of this unlock, at random */
	uint64_t begun_ms;         /* when the first part came, */
	int fds[HM_PIN_PARTS_MAX]; /* and the parts, in the custodians' order; -1: yet to come */
	size_t lengths[HM_PIN_PARTS_MAX];
};

/*
 * Take over the part of the custodian at this place, in the place of one that was there (`*replaced`); with the first
 * begins an unlock. HM_REFUSED: it is empty, or makes the PIN too long, or could be changed or cut.
 */
hm_result parts_take(struct parts *parts, unsigned place, int *fd, uint64_t now_ms, bool *replaced,
	struct hm_problem *why) HM_MUST_USE;

/* Begin an unlock to which nothing is given but somebody's word. */
hm_result parts_begin(struct parts *parts, uint64_t now_ms, struct hm_problem *why) HM_MUST_USE;

unsigned parts_missing(const struct parts *parts);
bool parts_are_whole(const struct parts *parts);

/* Whether some are missing since too long ago. */
bool parts_are_late(const struct parts *parts, uint64_t now_ms);

/* Throw it all away. What a process was given of it, it has. */
void parts_forget(struct parts *parts);

/* `to` has from now on what `from` had. */
void parts_move(struct parts *to, struct parts *from);

#endif
