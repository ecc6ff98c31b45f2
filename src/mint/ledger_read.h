/* SPDX-License-Identifier: Apache-2.0 */
/* What is read of the ledger over HTTP (docs/ledger.md): a path, and the answer to it out of the shards' files. */
#ifndef HSMINT_LEDGER_READ_H
#define HSMINT_LEDGER_READ_H

#include "gate_protocol.h"
#include "tile.h"

enum ledger_part { LEDGER_CHECKPOINT, LEDGER_TILE, LEDGER_PROOF };

struct ledger_question {
	enum ledger_part part;
	unsigned shard;        /* 0: none is named, so that it is the open one */
	struct tile_name tile; /* of LEDGER_TILE: a hash tile or an entry bundle */
	uint64_t index;        /* of LEDGER_PROOF */
};

/* False: not such a path, or not the only way to write it. */
bool ledger_question_read(const char *path, struct ledger_question *question) HM_MUST_USE;

/* The open shard, and how many entries it has, under a checkpoint or not. */
struct ledger_now {
	unsigned shard;
	uint64_t size;
};

struct ledger_reader; /* opaque; made by ledger_reader_open, released by ledger_reader_close. For one thread at a time
		       */

struct ledger_reader *ledger_reader_open(const char *directory); /* NULL: no memory */
void ledger_reader_close(struct ledger_reader *reader);          /* NULL is fine */

/*
 * Read, up to the size of the shard's newest checkpoint; blocks. The caller frees the reply's body. What is not there
 * is not_found, what is to come checkpoint_pending; any other failure is that of files that cannot be read or
 * contradict each other.
 */
hm_result ledger_read(struct ledger_reader *reader, const struct ledger_question *question,
	const struct ledger_now *now, struct gate_reply *reply, struct hm_problem *why) HM_MUST_USE;

#endif
