/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger's writer (docs/ledger.md): entries are added in order and become durable together. One segment is written,
 * one write at a time, in libuv's thread pool; everything else is the loop's.
 */
#ifndef HSMINT_LEDGER_H
#define HSMINT_LEDGER_H

#include "merkle.h"
#include "limits.h"
#include <uv.h>

struct ledger; /* opaque; made by ledger_open, released by ledger_close */

/* Where an entry stands. */
struct receipt {
	unsigned shard;
	uint64_t index;
};

/* A tree head: so many entries of a shard have this root. */
struct ledger_head {
	unsigned shard;
	uint64_t size;
	struct merkle_hash root;
};

struct ledger_events {
	/* Every entry up to this ticket (ledger_add) is on stable storage. */
	void (*durable)(void *context, uint64_t ticket);
	/* It cannot be written (`why`), or can again (NULL). */
	void (*changed)(void *context, const char *why);
	void *context;
};

/*
 * Open the ledger in `directory`, or begin one, and recover what a crash left. HM_REFUSED: its files contradict each
 * other or their checkpoint; `why` names file and entry. HM_UNAVAILABLE: it cannot be written. It is open for entries
 * from then on. Source: ledger_open.c
 */
hm_result ledger_open(uv_loop_t *loop, const char *directory, const char *origin, const struct ledger_events *events,
	struct ledger **out, struct hm_problem *why) HM_MUST_USE;

/* No entry may be added any more; `ended` is called when what was added is on stable storage, or cannot be. Source:
 * ledger.c */
void ledger_end(struct ledger *ledger, void (*ended)(void *context), void *context);
void ledger_close(struct ledger *ledger); /* after `ended`, or before the loop ran; NULL is fine */

/*
 * Add an entry (canonical JSON, at most HM_LEDGER_ENTRY_MAX bytes). Returns its ticket, which rises with each;
 * `receipt` (may be NULL) says where it stands. Entries are taken while the ledger cannot be written, too: they wait.
 * With `quiet` it is no reason for a checkpoint. 0: no memory.
 */
uint64_t ledger_add(struct ledger *ledger, const void *entry, size_t length, bool quiet, struct receipt *receipt);

uint64_t ledger_durable(const struct ledger *ledger); /* the last ticket that is on stable storage */

/* Why it cannot be written; NULL: it can. */
const char *ledger_fault(const struct ledger *ledger);

/* Before the loop waits: write what was added; what is being written already keeps the rest back. */
void ledger_write_waiting(struct ledger *ledger);

/* Each second: try again what failed. */
void ledger_tick(struct ledger *ledger);

/* What there is by now, and whether all of it is on stable storage; whether something asks for a checkpoint since the
 * last call of ledger_head_taken. */
struct ledger_head ledger_head(const struct ledger *ledger);
bool ledger_head_is_durable(const struct ledger *ledger, const struct ledger_head *head);
bool ledger_wants_checkpoint(const struct ledger *ledger);
void ledger_head_taken(struct ledger *ledger);

/* The open shard's number, how many entries it has by now, and the time in the first. */
unsigned ledger_shard(const struct ledger *ledger);
uint64_t ledger_size(const struct ledger *ledger);
int64_t ledger_shard_began(const struct ledger *ledger);

/* The time in the last entry that was there when it was opened, seconds since 1970; 0: there was none. */
int64_t ledger_last_time(const struct ledger *ledger);

/*
 * Close the open shard and begin the next, whose first entry has `carried` (a JSON array). Blocks until both, and what
 * was added before, are on stable storage, without an event of `durable`: it happens once in a shard's period. False:
 * something is being written, or it failed; try again.
 * Source: ledger_shard.c
 */
bool ledger_next_shard(struct ledger *ledger, const char *carried);

/* Whether the last checkpoint of the shard before is still to be signed, and of what; and that it is. */
bool ledger_unsigned_close(const struct ledger *ledger, struct ledger_head *closed);
void ledger_close_signed(struct ledger *ledger);

/* The origin of a shard: the ledger's, a slash and the number. */
void ledger_origin(const struct ledger *ledger, unsigned shard, char text[HM_ORIGIN_MAX + 1]);
const char *ledger_directory(const struct ledger *ledger);

#endif
