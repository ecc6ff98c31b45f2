/* SPDX-License-Identifier: Apache-2.0 */
/* What a token can do: how many signatures a second while somebody waits, and how many requests at once. */
#ifndef HSMINT_PACE_H
#define HSMINT_PACE_H

#include <stdbool.h>
#include <stdint.h>

enum {
	PACE_MEASURED_NS = 100 * 1000 * 1000, /* the rate is measured when somebody has waited for so long in all, */
	PACE_MEASURED_SIGNATURES = 4,         /* and so many signatures came */
	PACE_PAUSE_MS = 20,                   /* after pressure it gets nothing for so long, and up to as much again, */
	PACE_EASE_MS = 2000                   /* and after so long without any, one request more at once */
};

struct pace {
	double rate;               /* signatures a second; 0: not seen yet */
	bool was_behind;           /* somebody waited when it was last looked at, */
	uint64_t looked_ns;        /* then */
	uint64_t behind_ns;        /* how long somebody waited since the rate was last measured, */
	unsigned signatures;       /* and how many came meanwhile */
	unsigned threads, at_once; /* fewer than its threads: more requests at once were too much for it, */
	uint64_t pressed_ms;       /* then, or it was given one more then, */
	uint64_t paused_until_ms;  /* and gets none before */
};

/* A process got ready, of which nothing else is known. */
void pace_begin(struct pace *pace, unsigned threads);

/* What was measured holds no more. */
void pace_forget_rate(struct pace *pace);

/* To be called whenever it may have changed whether somebody waits for a token that is ready: only what it does then
 * tells what it can do. */
void pace_look(struct pace *pace, bool is_behind, uint64_t now_ns);

/* A signature came. */
void pace_count(struct pace *pace);

/* Now and then, after pace_look: a slow token needs longer until its signatures are enough to tell. */
void pace_measure(struct pace *pace);

/* It refused one of the `at_hand` requests that it had, being asked for too much at once. Returns for how many ms it
 * gets none; `random` spreads that over those who do the same. */
unsigned pace_relieve(struct pace *pace, unsigned at_hand, uint8_t random, uint64_t now_ms);

/* Whether it gets nothing now. */
bool pace_is_paused(const struct pace *pace, uint64_t now_ms);

/* Only one request more can tell whether it can do more again. True: it gets one more from now on. */
bool pace_ease(struct pace *pace, uint64_t now_ms);

#endif
