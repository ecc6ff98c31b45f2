/* SPDX-License-Identifier: Apache-2.0 */
/* The files of one shard, read: names, tiles, bundles, the newest entries. What is read is not verified. */
#ifndef HSMINT_SHARD_H
#define HSMINT_SHARD_H

#include "note.h"
#include "segment.h"
#include "tile.h"

struct shard; /* opaque; made by shard_open, released by shard_close */

/* Open the directory `ledger`/`number`. HM_UNAVAILABLE: there is none, or it cannot be read. Source: shard.c */
hm_result shard_open(const char *ledger, unsigned number, struct shard **shard, struct hm_problem *why) HM_MUST_USE;
void shard_close(struct shard *shard); /* NULL is fine */

#define SHARD_AUTO __attribute__((cleanup(shard_auto_close))) struct shard
static inline void shard_auto_close(struct shard **shard)
{
	shard_close(*shard);
}

/* The lowest and the highest number of a shard in a ledger's directory; 0 and 0: there is none. */
hm_result shard_numbers(const char *ledger, unsigned *first, unsigned *last, struct hm_problem *why) HM_MUST_USE;

/* The newest checkpoint, as text with a NUL behind. HM_UNAVAILABLE: there is none yet (`*length` 0), or it cannot be
 * read. */
hm_result shard_checkpoint(
	struct shard *shard, char note[NOTE_MAX], size_t *length, struct hm_problem *why) HM_MUST_USE;

/* How many entries there are, by the segment; and how many of them are in full bundles before it. */
uint64_t shard_size(const struct shard *shard);
uint64_t shard_bundled(const struct shard *shard);

/* A hash tile of this width: read from its file, or made of what is in it. HM_UNAVAILABLE: not there. */
hm_result shard_tile(struct shard *shard, const struct tile_name *name, struct merkle_hash hashes[TILE_WIDTH],
	struct hm_problem *why) HM_MUST_USE;

/* The entries of a bundle of this width, in the form of a bundle; the caller frees. */
hm_result shard_bundle(struct shard *shard, const struct tile_name *name, uint8_t **bundle, size_t *length,
	struct hm_problem *why) HM_MUST_USE;

/*
 * What is full has a file soon, though its entries are still in the segment, from which it is read: HM_REFUSED when
 * that file is there and holds something else.
 */
hm_result shard_check_file(struct shard *shard, const struct tile_name *name, const void *data, size_t length,
	struct hm_problem *why) HM_MUST_USE;

/* For merkle_root and the proofs; keeps the tile that was read last of each level. */
struct merkle_source shard_source(struct shard *shard);

#endif
