/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Merkle tree hashes, roots and proofs as RFC 6962, section 2.1, has them. Proofs are made from the hashes of whole
 * subtrees, wherever these come from.
 */
#ifndef HSMINT_MERKLE_H
#define HSMINT_MERKLE_H

#include "result.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MERKLE_PATH_MAX = 64 /* hashes in an inclusion path; a consistency proof has one more at most */ };

struct merkle_hash {
	uint8_t bytes[32];
};

/* Source: merkle.c */
void merkle_leaf(const void *entry, size_t length, struct merkle_hash *hash);
void merkle_node(const struct merkle_hash *left, const struct merkle_hash *right, struct merkle_hash *hash);
void merkle_empty(struct merkle_hash *hash); /* the root of no entries */
bool merkle_equal(const struct merkle_hash *a, const struct merkle_hash *b);

/* The root of `count` hashes (1 to 256) of neighbours of one level; a power of two of them is a whole subtree. */
void merkle_root_of(const struct merkle_hash *hashes, unsigned count, struct merkle_hash *root);

/* Where hashes come from: of the whole subtree with 2^level leaves, the one with this number at its level. */
struct merkle_source {
	hm_result (*subtree)(
		void *context, unsigned level, uint64_t number, struct merkle_hash *hash, struct hm_problem *why);
	void *context;
};

/* Source: merkle_proof.c. HM_BROKEN: index or size out of range; else what the source returned. */
hm_result merkle_root(const struct merkle_source *source, uint64_t size, struct merkle_hash *root,
	struct hm_problem *why) HM_MUST_USE;
hm_result merkle_inclusion(const struct merkle_source *source, uint64_t index, uint64_t size,
	struct merkle_hash path[MERKLE_PATH_MAX], unsigned *count, struct hm_problem *why) HM_MUST_USE;
hm_result merkle_consistency(const struct merkle_source *source, uint64_t before, uint64_t size,
	struct merkle_hash proof[MERKLE_PATH_MAX + 1], unsigned *count, struct hm_problem *why) HM_MUST_USE;

/* True when the path leads from the leaf to the root; when the tree of `before` is the beginning of that of `size`. */
bool merkle_includes(const struct merkle_hash *leaf, uint64_t index, uint64_t size, const struct merkle_hash *path,
	unsigned count, const struct merkle_hash *root) HM_MUST_USE;
bool merkle_is_consistent(uint64_t before, const struct merkle_hash *root_before, uint64_t size,
	const struct merkle_hash *root, const struct merkle_hash *proof, unsigned count) HM_MUST_USE;

#endif
