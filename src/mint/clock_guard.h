/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether wall time may be believed. What stands in credentials, and what is ended by its time, is only as good as the
 * clock; so wall time is compared with the time since boot, which nobody can set. Both go on while a machine is
 * suspended, and both at the rate to which the kernel adjusts its clock: their difference changes only when somebody
 * sets wall time. This room reads no clock itself.
 */
#ifndef HSMINT_CLOCK_GUARD_H
#define HSMINT_CLOCK_GUARD_H

#include <stdbool.h>
#include <stdint.h>

enum {
	CLOCK_STEP_MS = 2000,    /* what wall time may be off; beyond, it was stepped */
	CLOCK_AGREE_MS = 10000,  /* synchronised, and not set, for so long, it is believed again; */
	CLOCK_WATCHED_MS = 3000, /* in which nobody failed to look for longer than this: of a suspended machine's time
				    nobody knows whether it was synchronised */
	CLOCK_FOLLOW_MS = 1,     /* what is below the limit (leap seconds, corrections) is taken for right by so much */
	CLOCK_FOLLOWED_MS = 1000 /* each so long */
};

/* What the clocks show, read together. */
struct clock_reading {
	int64_t wall_ms, boot_ms; /* since 1970; since boot, time suspended included */
	bool is_synchronised;     /* the kernel says that something keeps wall time right */
};

struct clock_guard {
	bool is_stepped;
	int64_t by_ms; /* how far ahead of what it should be (negative: behind) wall time was then; 0: not known */

	/* Differences of wall time and time since boot: */
	int64_t believed_ms; /* what it should be, */
	int64_t seen_ms;     /* and was when it was last looked at and found right */
	int64_t followed_ms; /* since boot: when the one last came nearer to the other */

	bool agrees;                        /* while stepped: it is synchronised, */
	int64_t agreed_ms, agreed_since_ms; /* with this difference, since then (since boot), */
	int64_t watched_ms;                 /* as was seen last then */
};

enum clock_change {
	CLOCK_UNCHANGED,
	CLOCK_STEPPED, /* it is stepped now */
	CLOCK_AGREED   /* it no longer is: synchronised time has agreed for long enough */
};

/* A service starts, whose ledger's last entry is of `last_entry` (seconds since 1970; 0: there is none), which time
 * may not be before; `was_stepped`: it was when the service ended. */
void clock_guard_begin(
	struct clock_guard *guard, const struct clock_reading *now, int64_t last_entry, bool was_stepped);

/* To be called each second; more often does no harm. */
enum clock_change clock_guard_look(struct clock_guard *guard, const struct clock_reading *now);

/* Somebody says that wall time is right as it is. */
void clock_guard_accept(struct clock_guard *guard, const struct clock_reading *now);

/* The time to go by, in ms since 1970: wall time; while that is stepped, what it would be had nobody set it. */
int64_t clock_guard_time_ms(const struct clock_guard *guard, const struct clock_reading *now);

#endif
