/* SPDX-License-Identifier: Apache-2.0 */
#include "merkle.h"

/* The number of bits that it takes to write `value`; 0 for 0. */
static unsigned bits(uint64_t value)
{
	return value ? 64 - (unsigned)__builtin_clzll(value) : 0;
}

static unsigned ones_above(uint64_t value, unsigned bit)
{
	return bit < 64 ? (unsigned)__builtin_popcountll(value >> bit) : 0;
}

/* ---- making ---- */

/* The root of `count` leaves from `begin` on, where the tree has a subtree of them: whole subtrees from right to left.
 */
static hm_result range_root(const struct merkle_source *source, uint64_t begin, uint64_t count,
	struct merkle_hash *root, struct hm_problem *why)
{
	uint64_t end = begin + count;
	bool is_first = true;
	for (unsigned level = 0; level < bits(count); level++) {
		struct merkle_hash left;
		if (!(count >> level & 1))
			continue;
		end -= UINT64_C(1) << level;
		HM_TRY(source->subtree(source->context, level, end >> level, is_first ? root : &left, why));
		if (!is_first)
			merkle_node(&left, root, root);
		is_first = false;
	}
	return HM_OK;
}

hm_result merkle_root(
	const struct merkle_source *source, uint64_t size, struct merkle_hash *root, struct hm_problem *why)
{
	if (size)
		return range_root(source, 0, size, root, why);
	merkle_empty(root);
	return HM_OK;
}

/* Leaves of the left subtree of a tree of `size` leaves, at least 2: the largest power of two below it. */
static uint64_t left_of(uint64_t size)
{
	uint64_t left = 1;
	while (left < size - left)
		left <<= 1;
	return left;
}

/* Found from the root down, told from the leaf up. */
static void reverse(struct merkle_hash *hashes, unsigned count)
{
	for (unsigned i = 0; i < count / 2; i++) {
		struct merkle_hash hash = hashes[i];
		hashes[i] = hashes[count - 1 - i];
		hashes[count - 1 - i] = hash;
	}
}

hm_result merkle_inclusion(const struct merkle_source *source, uint64_t index, uint64_t size,
	struct merkle_hash path[MERKLE_PATH_MAX], unsigned *count, struct hm_problem *why)
{
	uint64_t begin = 0;
	*count = 0;
	if (index >= size)
		return hm_broken(why, "entry %llu is not in a tree of %llu", (unsigned long long)index,
			(unsigned long long)size);
	while (size > 1) {
		uint64_t left = left_of(size);
		bool is_left = index - begin < left;
		uint64_t other = is_left ? begin + left : begin;
		HM_TRY(range_root(source, other, is_left ? size - left : left, &path[(*count)++], why));
		begin = is_left ? begin : begin + left;
		size = is_left ? left : size - left;
	}
	reverse(path, *count);
	return HM_OK;
}

hm_result merkle_consistency(const struct merkle_source *source, uint64_t before, uint64_t size,
	struct merkle_hash proof[MERKLE_PATH_MAX + 1], unsigned *count, struct hm_problem *why)
{
	uint64_t begin = 0;
	*count = 0;
	if (before > size)
		return hm_broken(why, "a tree of %llu does not begin one of %llu", (unsigned long long)before,
			(unsigned long long)size);
	if (before == 0 || before == size)
		return HM_OK;
	while (begin + size != before) {
		uint64_t left = left_of(size);
		bool is_left = before - begin <= left;
		uint64_t other = is_left ? begin + left : begin;
		HM_TRY(range_root(source, other, is_left ? size - left : left, &proof[(*count)++], why));
		begin = is_left ? begin : begin + left;
		size = is_left ? left : size - left;
	}
	if (begin) /* else it is the root of the tree before, which is known */
		HM_TRY(range_root(source, begin, size, &proof[(*count)++], why));
	reverse(proof, *count);
	return HM_OK;
}

/* ---- verifying ---- */

/* Go up from a subtree along `path`, where the subtree is a right one at each level whose bit is set. */
static void climb(struct merkle_hash *hash, uint64_t is_right, const struct merkle_hash *path, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (is_right >> i & 1)
			merkle_node(&path[i], hash, hash);
		else
			merkle_node(hash, &path[i], hash);
}

/* The same, where it is always a right one, or (`count` being that of the levels) where only right ones count. */
static void climb_right(struct merkle_hash *hash, uint64_t is_right, const struct merkle_hash *path, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (is_right >> i & 1)
			merkle_node(&path[i], hash, hash);
}

/*
 * A path first goes through `inner` levels, at which the leaf and the last leaf of the tree are in different subtrees;
 * then along the tree's right edge, where there is a hash for each left neighbour alone.
 */
bool merkle_includes(const struct merkle_hash *leaf, uint64_t index, uint64_t size, const struct merkle_hash *path,
	unsigned count, const struct merkle_hash *root)
{
	if (index >= size)
		return false;
	unsigned inner = bits(index ^ (size - 1));
	unsigned border = ones_above(index, inner);
	if (count != inner + border)
		return false;
	struct merkle_hash hash = *leaf;
	climb(&hash, index, path, inner);
	climb_right(&hash, UINT64_MAX, path + inner, border);
	return merkle_equal(&hash, root);
}

/* From the largest whole subtree that ends the tree before, both roots must be reached: that of the tree before by its
 * left neighbours alone. */
bool merkle_is_consistent(uint64_t before, const struct merkle_hash *root_before, uint64_t size,
	const struct merkle_hash *root, const struct merkle_hash *proof, unsigned count)
{
	struct merkle_hash empty;
	merkle_empty(&empty);
	if (before > size)
		return false;
	if (before == 0)
		return count == 0 && merkle_equal(root_before, &empty) && (size || merkle_equal(root, &empty));
	if (before == size)
		return count == 0 && merkle_equal(root_before, root);

	unsigned level = (unsigned)__builtin_ctzll(before);
	bool is_whole = before == UINT64_C(1) << level; /* then its root begins the proof, and is not in it */
	unsigned inner = bits((before - 1) ^ (size - 1)) - level;
	unsigned border = ones_above(before - 1, inner + level);
	if (count != !is_whole + inner + border)
		return false;
	struct merkle_hash old = is_whole ? *root_before : proof[0];
	struct merkle_hash new = old;
	const struct merkle_hash *path = is_whole ? proof : proof + 1;
	climb_right(&old, (before - 1) >> level, path, inner);
	climb_right(&old, UINT64_MAX, path + inner, border);
	climb(&new, (before - 1) >> level, path, inner);
	climb_right(&new, UINT64_MAX, path + inner, border);
	return merkle_equal(&old, root_before) && merkle_equal(&new, root);
}
