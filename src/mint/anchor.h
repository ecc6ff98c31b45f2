/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Anchors: places outside the ledger's directory that remember its newest checkpoint, so that an old copy of the
 * directory is told from the newest one. A file on other storage, the store where that is PostgreSQL, and a witness
 * (C2SP tlog-witness) are asked here; what a token's data object holds comes in a frame, and is compared here like the
 * others.
 *
 * All of this blocks, and is called in a thread of the pool; one call on an anchor waits for another.
 */
#ifndef HSMINT_ANCHOR_H
#define HSMINT_ANCHOR_H

#include "config.h"
#include "note.h"

struct anchor; /* opaque; made by anchor_open, released by anchor_close */

/* `ledger` and what it points to must outlive the anchor. No anchor in the configuration: one that remembers nothing.
 * HM_REFUSED: the witness's key or URL cannot be used. Source: anchor.c */
hm_result anchor_open(const struct config_ledger *ledger, struct anchor **anchor, struct hm_problem *why) HM_MUST_USE;
void anchor_close(struct anchor *anchor); /* NULL is fine */

/* What a place remembers. */
struct anchor_memory {
	bool is_known; /* false: nothing was kept there yet */
	bool has_root; /* false: a witness that is ahead tells the size alone */
	struct checkpoint newest;
};

/* One that was kept as a note: in a file, or in a token's data object (`length` 0: none there). HM_REFUSED: it is not a
 * checkpoint. */
hm_result anchor_remember(
	const char *note, size_t length, struct anchor_memory *memory, struct hm_problem *why) HM_MUST_USE;

/* How the directory stands to it. */
enum anchor_relation {
	ANCHOR_NONE,        /* nothing is remembered */
	ANCHOR_SAME,        /* the directory ends there */
	ANCHOR_AHEAD,       /* the directory goes on from there: the usual case after a crash */
	ANCHOR_BEHIND,      /* the directory ends before it: an old copy */
	ANCHOR_CONTRADICTS, /* the directory has other entries */
};

struct anchor_finding {
	enum anchor_relation relation;
	uint64_t behind;  /* entries that are missing at least; 0 when a whole shard is */
	int64_t since;    /* time of the last entry that is there; 0: there is none, or it does not say */
	char detail[640]; /* BEHIND, CONTRADICTS: what was found, with the names of both, and what mends it */
};

/* Compare the ledger's directory with what `where` ("file /mnt/…", "token hsm") remembers. HM_UNAVAILABLE, HM_REFUSED:
 * the directory cannot be read. Source: anchor_compare.c */
hm_result anchor_compare(const struct config_ledger *ledger, const char *where, const struct anchor_memory *memory,
	struct anchor_finding *finding, struct hm_problem *why) HM_MUST_USE;

/* The newest checkpoint that is in the directory, and of which shard; `*shard` 0: there is none yet. */
hm_result anchor_newest(const struct config_ledger *ledger, unsigned *shard, char note[NOTE_MAX], size_t *length,
	struct hm_problem *why) HM_MUST_USE;

/*
 * At start: read what file, store and witness remember, and compare. A witness that is behind is told the directory's
 * newest checkpoint. HM_REFUSED: the directory is behind one of them or contradicts it, or a file is no checkpoint;
 * `why` says which. HM_UNAVAILABLE: one of them cannot be asked (and none of the others refuses).
 */
hm_result anchor_read(struct anchor *anchor, struct hm_problem *why) HM_MUST_USE;

/* Of what was read, the checkpoint that tells of the newest commit of the store; not while anchor_read runs. */
const struct checkpoint *anchor_remembered(const struct anchor *anchor);

/*
 * Keep a new checkpoint of shard `shard`: the file is replaced; the witness is given it with a proof from the shard's
 * directory, and its cosignature is verified and appended to the note. Each is tried, whatever the others do; the first
 * failure is returned. HM_REFUSED: the witness knows a larger or another tree: go no further (what anchor_read
 * refuses). HM_UNAVAILABLE: later may succeed; the next checkpoint makes up for this one.
 */
hm_result anchor_keep(
	struct anchor *anchor, unsigned shard, char note[NOTE_MAX], size_t *length, struct hm_problem *why) HM_MUST_USE;

#endif
