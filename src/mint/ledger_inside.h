/* SPDX-License-Identifier: Apache-2.0 */
/* What the rooms of the ledger's writer share: ledger.c (adding, and what becomes durable), ledger_files.c (the work
 * that blocks), ledger_open.c (recovery), ledger_shard.c (from one shard to the next). */
#ifndef HSMINT_LEDGER_INSIDE_H
#define HSMINT_LEDGER_INSIDE_H

#include "edge.h"
#include "ledger.h"
#include "note.h"
#include "segment.h"
#include "shard.h"
#include <jansson.h>
#include <sys/queue.h>

enum { LEDGER_FAULT_MAX = 200, LEDGER_OPEN_MAX = 16 * 1024 /* the entry that begins a shard */ };

/* Entries of one bundle, in the form of a bundle. */
struct bundle {
	TAILQ_ENTRY(bundle) link;
	uint64_t number;
	unsigned count;
	size_t used, size;
	uint8_t *data;
	struct merkle_hash leaves[TILE_WIDTH];
};
TAILQ_HEAD(bundle_list, bundle);

/* A tile that has become full and is not in its file yet. */
struct full_tile {
	STAILQ_ENTRY(full_tile) link;
	struct tile_name name;
	struct merkle_hash hashes[TILE_WIDTH];
};
STAILQ_HEAD(full_tile_list, full_tile);

/* Bytes of a segment: one frame that grows, or several. */
struct block {
	uint8_t *data;
	size_t used, size;
};

/* What is written to a segment, in a worker; one at a time. */
struct ledger_write {
	uv_work_t work;
	struct ledger *ledger;
	int shard;     /* its directory's descriptor */
	bool is_fresh; /* a segment of its own, which takes the place of the one before */
	struct block block;
	int room;    /* for a fresh one; -1: none */
	int segment; /* written to, at `offset`; of a fresh one: what was made */
	off_t offset;
	uint64_t ticket, size;        /* what is durable when it is done: tickets, and entries of the shard */
	char fault[LEDGER_FAULT_MAX]; /* "": it is on stable storage */
};

/* Full bundles and tiles, written to files of their own in a worker; one at a time. */
struct ledger_flush {
	uv_work_t work;
	struct ledger *ledger;
	int shard;
	const struct bundle *bundles[HM_LEDGER_FLUSH_MOST]; /* the ledger's, which leaves them alone meanwhile */
	unsigned count;
	struct full_tile_list tiles;
	uint64_t upto; /* entries */
	int room;      /* made for the segment that follows; -1: none */
	char fault[LEDGER_FAULT_MAX];
};

struct ledger {
	uv_loop_t *loop;
	struct ledger_events events;
	char directory[HM_PATH_MAX], origin[HM_ORIGIN_MAX - 10];
	unsigned shard;
	int shard_fd; /* its directory */
	int64_t began;
	int64_t last_time;         /* in the last entry of before the start */
	struct ledger_head closed; /* of the shard before, */
	bool has_unsigned_close;   /* when its last checkpoint is not signed yet */

	struct edge edge;
	struct bundle_list bundles; /* of every entry from `bundled` on */
	uint64_t bundled;           /* entries whose bundles and tiles are in files */
	struct full_tile_list tiles;

	uint64_t tickets, durable; /* given, and on stable storage */
	uint64_t durable_size;     /* entries of the open shard that are */
	bool wants_checkpoint;

	struct block next; /* the frame of what waits: head, body; */
	uint64_t next_first;
	unsigned next_count;
	struct merkle_hash *next_leaves;
	unsigned next_leaves_size;

	int room; /* for the next segment; -1: none */
	int segment;
	off_t segment_used;
	bool is_writing, is_flushing;
	bool wants_fresh; /* the next write is to a fresh one: this one is long, or a write or sync of it failed */
	char fault[LEDGER_FAULT_MAX];       /* "": it can be written */
	char flush_fault[LEDGER_FAULT_MAX]; /* why bundles could not be, when it was tried last; "" */
	struct ledger_write write;
	struct ledger_flush flush;

	void (*ended)(void *context);
	void *ended_context;
};

/* ---- ledger.c ---- */

/* The entry's place in tree and bundles, without a frame. False: no memory. */
bool ledger_take_entry(struct ledger *ledger, const void *entry, size_t length);

/* Every entry from `bundled` on as frames of a new segment. False: no memory. */
bool ledger_all_frames(const struct ledger *ledger, struct block *block);
/* What waits, to the segment, here and now; nothing is being written. False: it goes to a fresh one, later. */
bool ledger_write_now(struct ledger *ledger);
bool block_reserve(struct block *block, size_t more);
void ledger_drop(struct ledger *ledger); /* bundles and tiles, all of them */
void ledger_set_fault(struct ledger *ledger, const char *fault);

/* What the entry that begins a shard says of those before; each may be NULL. */
struct ledger_beginning {
	const struct checkpoint *previous; /* how the shard before ended */
	const struct checkpoint *restored; /* what was accepted as lost: an anchor's newest checkpoint */
	const char *carried;               /* a JSON array */
};

/* ---- ledger_open.c ---- */

/* An entry of a shard as JSON: the caller's. NULL: there is none. */
json_t *ledger_load_entry(struct shard *shard, uint64_t index);

/* One with nothing in it. NULL: no memory. */
struct ledger *ledger_make(const char *directory, const char *origin);

/* Begin a shard with its first entry, durably. */
hm_result ledger_begin(struct ledger *ledger, unsigned shard, const struct ledger_beginning *beginning,
	struct hm_problem *why) HM_MUST_USE;

/* Write all that is in memory to a segment of its own, here and now. */
hm_result ledger_write_all(struct ledger *ledger, struct hm_problem *why) HM_MUST_USE;

/* ---- ledger_shard.c ---- */

/* That entry, of the open shard. 0: no room. */
size_t ledger_write_open(
	const struct ledger *ledger, const struct ledger_beginning *beginning, char *entry, size_t size);

/* Begin the shard after one that is closed. False: it could not be written yet. */
bool ledger_begin_next(struct ledger *ledger, int shard_fd, const struct ledger_head *closed, const char *carried,
	struct hm_problem *why) HM_MUST_USE;

/* ---- ledger_files.c: these block; `fault` (of LEDGER_FAULT_MAX) says why they failed ---- */

bool ledger_write_block(int segment, off_t offset, const struct block *block, char *fault);

/*
 * A file of zeros for the next segment: what is written over them is on stable storage for half of what it costs at the
 * end of a file, whose length has to be kept, too. -1: there is no room, and it can be done without.
 */
int ledger_make_room(int shard);
void ledger_drop_room(int shard, int room); /* -1 is fine */

/* Write a segment beside the one that is there (into `room`, which is used up; -1: there is none), sync it and put it
 * in its place. Returns its descriptor, or -1. */
int ledger_write_fresh(int shard, int room, const struct block *block, char *fault);
bool ledger_write_bundle(int shard, const struct bundle *bundle, char *fault);
bool ledger_write_tile(int shard, const struct full_tile *tile, char *fault);

/* Make a shard's directory, or open it. -1: `fault` says why. */
int ledger_make_shard(const char *directory, unsigned number, char *fault);

/* Remove one that a crash left with nothing in it; it is made again when it is wanted. */
void ledger_remove_shard(const char *directory, unsigned number);

#endif
