/* SPDX-License-Identifier: Apache-2.0 */
#include "edge.h"

hm_result edge_add(
	struct edge *edge, const struct merkle_hash *leaf, edge_take_tile *take, void *context, struct hm_problem *why)
{
	struct merkle_hash root = *leaf;
	edge->size++;
	for (unsigned level = 0; level < TILE_LEVELS; level++) {
		struct edge_level *at = &edge->levels[level];
		at->hashes[at->count++] = root;
		if (at->count < TILE_WIDTH)
			return HM_OK;
		at->count = 0;
		uint64_t number = (edge->size >> (TILE_HEIGHT * (level + 1))) - 1;
		if (take)
			HM_TRY(take(context, level, number, at->hashes, why));
		merkle_root_of(at->hashes, TILE_WIDTH, &root);
	}
	return hm_broken(why, "a tree of more than 2^64 leaves");
}

hm_result edge_begin(struct edge *edge, uint64_t size, const struct merkle_source *source, struct hm_problem *why)
{
	*edge = (struct edge){.size = size};
	if (size % TILE_WIDTH)
		return hm_broken(why, "an edge begins within a tile");
	for (unsigned level = 1; level < TILE_LEVELS; level++) {
		uint64_t subtrees = size >> (TILE_HEIGHT * level);
		struct edge_level *at = &edge->levels[level];
		for (; at->count < subtrees % TILE_WIDTH; at->count++)
			HM_TRY(source->subtree(source->context, TILE_HEIGHT * level,
				subtrees - subtrees % TILE_WIDTH + at->count, &at->hashes[at->count], why));
	}
	return HM_OK;
}

/* The tree's right edge, from the leaves up: what each level has left of it hangs to the left of what is below. */
void edge_root(const struct edge *edge, struct merkle_hash *root)
{
	struct merkle_hash hashes[TILE_WIDTH + 1];
	bool has_below = false;
	merkle_empty(root);
	for (unsigned level = 0; level < TILE_LEVELS; level++) {
		const struct edge_level *at = &edge->levels[level];
		if (!at->count)
			continue;
		for (unsigned i = 0; i < at->count; i++)
			hashes[i] = at->hashes[i];
		hashes[at->count] = *root;
		merkle_root_of(hashes, at->count + has_below, root);
		has_below = true;
	}
}
