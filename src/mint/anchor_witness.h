/* SPDX-License-Identifier: Apache-2.0 */
/* A client of a witness (C2SP tlog-witness): it is given checkpoints, proves that each goes on from the one before, and
 * gets cosignatures. Blocks; not for two threads at once. */
#ifndef HSMINT_ANCHOR_WITNESS_H
#define HSMINT_ANCHOR_WITNESS_H

#include "config.h"
#include "note.h"

struct witness; /* opaque; made by witness_open, released by witness_close */

/* HM_REFUSED: its key or URL cannot be used. Source: anchor_witness.c */
hm_result witness_open(
	const struct config_witness *config, struct witness **witness, struct hm_problem *why) HM_MUST_USE;
void witness_close(struct witness *witness); /* NULL is fine */

/*
 * Give it the checkpoint of this note, of shard `shard` in `directory`, and append its cosignature to the note.
 * HM_REFUSED: it knows a tree that this checkpoint does not go on from; `*knows` is the size of one that is larger, or
 * 0. HM_UNAVAILABLE: it did not answer, does not know this log, or its answer is of no use.
 */
hm_result witness_add(struct witness *witness, const char *directory, unsigned shard, char note[NOTE_MAX],
	size_t *length, uint64_t *knows, struct hm_problem *why) HM_MUST_USE;

#endif
