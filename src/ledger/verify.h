/* SPDX-License-Identifier: Apache-2.0 */
/* What docs/ledger.md promises, verified: one pass over all entries and tiles, in constant memory. */
#ifndef HSMINT_VERIFY_H
#define HSMINT_VERIFY_H

#include "entry.h"
#include "log_source.h"

/* What somebody must know. */
struct verify_finding {
	bool is_fault; /* else nothing is wrong, but it is known no better */
	unsigned shard;
	const char *place; /* "1/tile/entries/000", "1/checkpoint", "1" */
	bool has_entry;
	uint64_t entry;
	const char *text;
};

enum verify_what { VERIFY_CREDENTIAL, VERIFY_PROBE, VERIFY_CHECKPOINT, VERIFY_STATUS_LIST, VERIFY_WHATS };

/* One shard, when it was read. */
struct verify_shard {
	unsigned number;
	char origin[HM_ORIGIN_MAX + 1]; /* "": not known, as the checkpoint is not right */
	uint64_t checked;               /* entries under its checkpoint; 0 when that is not right */
	uint64_t size;                  /* entries that are there */
	uint64_t begin;                 /* the first that was read: those before were trusted */
	struct merkle_hash root;        /* of all entries */
	bool is_closed;
	uint64_t types[ENTRY_TYPES];       /* entries that were read */
	uint64_t signatures[VERIFY_WHATS]; /* counted */
	bool is_counted;                   /* false: not all entries were read, so that counts say nothing */
	int64_t first_time, last_time;     /* of the entries that were read; 0: none was */
};

/* Any may be NULL but `found`. */
struct verify_listener {
	void (*found)(void *context, const struct verify_finding *finding);
	void (*shard)(void *context, const struct verify_shard *shard);
	void (*progress)(void *context, unsigned shard, uint64_t done, uint64_t total);
	void *context;
};

struct verify_keys {
	const struct note_key *keys; /* at least one is a log's; witnesses' signatures are verified where they are */
	unsigned count;
};

/* A checkpoint that one of the keys signed, of the shard whose number stands behind the key's name in its origin.
 * HM_REFUSED: it is none. Source: verify.c */
hm_result verify_checkpoint(const struct verify_keys *keys, const char *note, size_t length,
	struct checkpoint *checkpoint, unsigned *number, struct hm_problem *why) HM_MUST_USE;

struct verify_terms {
	struct verify_keys keys;
	const char *trusted; /* a checkpoint that was verified before; NULL: begin at the beginning */
	size_t trusted_length;
};

/*
 * Verify the shards of a ledger in their order; `*faults` is how many faults were found. HM_REFUSED: the terms cannot
 * be used. HM_UNAVAILABLE: no memory. Source: verify.c
 */
hm_result verify_ledger(const struct log_ledger *ledger, const struct verify_terms *terms,
	const struct verify_listener *listener, uint64_t *faults, struct hm_problem *why) HM_MUST_USE;

#endif
