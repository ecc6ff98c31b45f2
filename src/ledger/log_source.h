/* SPDX-License-Identifier: Apache-2.0 */
/* Where a ledger is read from that is to be verified: a directory, or a server. What is read is not verified. */
#ifndef HSMINT_LOG_SOURCE_H
#define HSMINT_LOG_SOURCE_H

#include "note.h"
#include "tile.h"

/* One shard, open. The functions are as those of shard.h; a partial tile is asked for at the size of the checkpoint. */
struct log_shard {
	hm_result (*checkpoint)(void *context, char note[NOTE_MAX], size_t *length, struct hm_problem *why);
	hm_result (*tile)(void *context, const struct tile_name *name, struct merkle_hash hashes[TILE_WIDTH],
		struct hm_problem *why);
	hm_result (*bundle)(
		void *context, const struct tile_name *name, uint8_t **bundle, size_t *length, struct hm_problem *why);
	void (*close)(void *context);
	void *context;

	/* A directory has entries behind its checkpoint too, and no partial tiles. */
	bool is_directory;
	uint64_t size;    /* of a directory: entries that are there */
	uint64_t bundled; /* and how many of them are in bundles; the rest is in the segment */
};

struct log_ledger {
	/* HM_UNAVAILABLE: this shard is not there, as one that was moved elsewhere; all else is HM_REFUSED. */
	hm_result (*open)(void *context, unsigned number, struct log_shard *log, struct hm_problem *why);
	void *context;
	unsigned first, last; /* shards; one between them may be missing */
};

/* `path` must outlive the ledger. HM_UNAVAILABLE: no shard is there, or it cannot be read. Source: log_source.c */
hm_result log_directory(const char *path, struct log_ledger *ledger, struct hm_problem *why) HM_MUST_USE;

void log_close(struct log_shard *log); /* one that was not opened, all zero, is fine */

#endif
