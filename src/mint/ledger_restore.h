/* SPDX-License-Identifier: Apache-2.0 */
/* An old copy of the ledger, accepted knowingly: it goes on in a shard of its own, whose first entry says so. */
#ifndef HSMINT_LEDGER_RESTORE_H
#define HSMINT_LEDGER_RESTORE_H

#include "config.h"
#include "note.h"

struct ledger_restored {
	struct checkpoint found;        /* what the directory has; size 0: nothing */
	char origin[HM_ORIGIN_MAX + 1]; /* under which it goes on */
};

/*
 * Begin a shard after the newest one in the directory, and after the one of `remembered`, the newest checkpoint that an
 * anchor has of what is lost; NULL: it is not known. Its `store` is the commit up to which that is given up; 0: it is
 * not. The service must not run. HM_REFUSED: that is of another ledger.
 * HM_UNAVAILABLE: the directory cannot be read or written. Source: ledger_restore.c
 */
hm_result ledger_restore(const struct config_ledger *ledger, const struct checkpoint *remembered,
	struct ledger_restored *restored, struct hm_problem *why) HM_MUST_USE;

/* Whether the shard that a checkpoint is of was given up so, with this checkpoint as the newest known. Without
 * `has_root`, whatever was known of it. */
bool ledger_was_restored(const struct config_ledger *ledger, const struct checkpoint *checkpoint, bool has_root);

/* Whether an old copy of the store was accepted after this checkpoint, which lacks what it tells of. */
bool ledger_gave_up_store(const struct config_ledger *ledger, const struct checkpoint *checkpoint);

#endif
