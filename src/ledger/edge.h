/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The right edge of a growing tree: what of it is not in full tiles yet. Enough to add leaves and to know the root; a
 * fixed size, however large the tree.
 */
#ifndef HSMINT_EDGE_H
#define HSMINT_EDGE_H

#include "merkle.h"
#include "tile.h"

struct edge {
	uint64_t size; /* leaves */
	struct edge_level {
		unsigned count; /* hashes of this level's last tile, below TILE_WIDTH */
		struct merkle_hash hashes[TILE_WIDTH];
	} levels[TILE_LEVELS];
};

/* A tile that has become full: `number` of `level`. */
typedef hm_result edge_take_tile(void *context, unsigned level, uint64_t number,
	const struct merkle_hash hashes[TILE_WIDTH], struct hm_problem *why);

/* Add a leaf; each tile that it fills goes to `take` (may be NULL). Returns what `take` returned. Source: edge.c */
hm_result edge_add(struct edge *edge, const struct merkle_hash *leaf, edge_take_tile *take, void *context,
	struct hm_problem *why) HM_MUST_USE;

/* The edge of a tree of `size` leaves, a multiple of TILE_WIDTH, from the hashes of its whole subtrees. Returns what
 * the source returned. */
hm_result edge_begin(
	struct edge *edge, uint64_t size, const struct merkle_source *source, struct hm_problem *why) HM_MUST_USE;

void edge_root(const struct edge *edge, struct merkle_hash *root);

#endif
