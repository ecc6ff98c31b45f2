/* SPDX-License-Identifier: Apache-2.0 */
/* What a key for checkpoints may sign: heads of its own ledger, each no step back behind the one before. */
#ifndef HSMINT_CHECKPOINT_H
#define HSMINT_CHECKPOINT_H

#include "key.h"
#include "note.h"

/* What was signed last in this process's life. */
struct checkpoint_last {
	unsigned shard; /* 0: nothing yet */
	uint64_t size;
	struct merkle_hash root;
};

/*
 * TOKEN_REFUSED unless the key is ES256 or Ed25519, and `tbs` is exactly a checkpoint's three lines (docs/ledger.md),
 * of a shard of the key's origin, and neither of an earlier shard than `last`, nor smaller, nor of the same size with
 * another root. `next` is what takes the place of `last` once it is signed.
 */
hm_result checkpoint_check(const struct key *key, const struct checkpoint_last *last, struct hm_bytes tbs,
	struct checkpoint_last *next, struct token_failure *why) HM_MUST_USE;

#endif
