/* SPDX-License-Identifier: Apache-2.0 */
/* A copy of a shard elsewhere that goes on as the shard does. Nothing enters it that its checkpoint does not prove. */
#ifndef HSMINT_MIRROR_H
#define HSMINT_MIRROR_H

#include "log_source.h"

struct mirror_terms {
	const char *directory; /* of the ledger's copy; it is there */
	const struct note_key *keys;
	unsigned count;
};

/*
 * Bring the copy of shard `number` to the checkpoint of `log`; `*size` is how many entries it then has, `*added` how
 * many of them are new. HM_REFUSED: the checkpoint is not signed, goes behind the copy or contradicts it, or the
 * entries are not its; the copy stays as it was. HM_UNAVAILABLE: something cannot be read or written now. Source:
 * mirror.c
 */
hm_result mirror_shard(const struct mirror_terms *terms, unsigned number, struct log_shard *log, uint64_t *size,
	uint64_t *added, struct hm_problem *why) HM_MUST_USE;

#endif
