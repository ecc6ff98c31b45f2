/* SPDX-License-Identifier: Apache-2.0 */
/* How often this process had each key sign, and what: told to mint, which records it (docs/ledger.md). */
#ifndef HSMINT_TALLY_H
#define HSMINT_TALLY_H

#include "failure.h"
#include <stdatomic.h>

/* Of one key, in the process's life. */
struct tally {
	char kid[HM_KID_MAX + 1];
	atomic_uint_fast64_t counts[SIGNED_WHATS];
};

struct tallies {
	uint8_t epoch[HM_EPOCH]; /* of the process's life, at random */
	atomic_uint count;
	struct tally items[HM_TALLIES_MAX]; /* never removed, and in their place from then on */
};

hm_result tallies_open(struct tallies *tallies, struct token_failure *why) HM_MUST_USE;

/* The tally of the key with this kid, begun when there is none; one thread at a time. NULL: no place is left. */
struct tally *tallies_find(struct tallies *tallies, const char *kid);

/* C_Sign has given a signature, whatever becomes of it. Any thread. */
void tally_count(struct tally *tally, enum signed_what what);

/* What was counted so far. Any thread. */
void tallies_tell(const struct tallies *tallies, struct token_counts *counts);

#endif
