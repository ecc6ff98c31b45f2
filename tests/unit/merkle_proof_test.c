/* SPDX-License-Identifier: Apache-2.0 */
/* Against RFC 6962, section 2.1, written down as it stands there: recursive, over all leaves. */
#include "merkle.h"

#include <criterion/criterion.h>
#include <string.h>

enum { LEAVES = 66000, SMALL = 40 };

static struct merkle_hash leaves[LEAVES];
static struct hm_problem why;

static void make_leaves(void)
{
	for (uint32_t i = 0; i < LEAVES; i++)
		merkle_leaf(&i, sizeof i, &leaves[i]);
}

TestSuite(merkle_proof, .init = make_leaves);

static uint64_t split(uint64_t n)
{
	uint64_t k = 1;
	while (k * 2 < n)
		k *= 2;
	return k;
}

/* MTH(D[n]) */
static struct merkle_hash mth(const struct merkle_hash *d, uint64_t n)
{
	struct merkle_hash hash;
	if (n == 0)
		merkle_empty(&hash);
	else if (n == 1)
		hash = d[0];
	else {
		struct merkle_hash left = mth(d, split(n)), right = mth(d + split(n), n - split(n));
		merkle_node(&left, &right, &hash);
	}
	return hash;
}

/* PATH(m, D[n]) */
static unsigned rfc_path(uint64_t m, const struct merkle_hash *d, uint64_t n, struct merkle_hash *out)
{
	if (n == 1)
		return 0;
	uint64_t k = split(n);
	unsigned count = m < k ? rfc_path(m, d, k, out) : rfc_path(m - k, d + k, n - k, out);
	out[count] = m < k ? mth(d + k, n - k) : mth(d, k);
	return count + 1;
}

/* SUBPROOF(m, D[n], b) */
static unsigned rfc_subproof(uint64_t m, const struct merkle_hash *d, uint64_t n, bool b, struct merkle_hash *out)
{
	if (m == n) {
		if (!b)
			out[0] = mth(d, n);
		return !b;
	}
	uint64_t k = split(n);
	unsigned count = m <= k ? rfc_subproof(m, d, k, b, out) : rfc_subproof(m - k, d + k, n - k, false, out);
	out[count] = m <= k ? mth(d + k, n - k) : mth(d, k);
	return count + 1;
}

/* Whole subtrees alone, and none beyond the tree. */
static hm_result subtree(
	void *context, unsigned level, uint64_t number, struct merkle_hash *hash, struct hm_problem *problem)
{
	uint64_t size = *(uint64_t *)context;
	(void)problem;
	cr_assert_leq((number + 1) << level, size);
	*hash = mth(leaves + (number << level), UINT64_C(1) << level);
	return HM_OK;
}

static const uint64_t sizes[] = {255, 256, 257, 300, 511, 512, 513, 65535, 65536, 65537, 65999};
enum { SIZES = sizeof sizes / sizeof *sizes };

/* Indices worth a look in a tree of this size. */
static unsigned places(uint64_t size, uint64_t *at)
{
	const uint64_t some[] = {0, 1, 254, 255, 256, 257, 511, 512, 65535, 65536, size / 2, size - 2, size - 1};
	unsigned count = 0;
	for (size_t i = 0; i < sizeof some / sizeof *some; i++)
		if (some[i] < size)
			at[count++] = some[i];
	return count;
}

static void expect_path(uint64_t index, uint64_t size)
{
	struct merkle_source source = {subtree, &size};
	struct merkle_hash path[MERKLE_PATH_MAX], expected[MERKLE_PATH_MAX], root = mth(leaves, size);
	unsigned count, expected_count = rfc_path(index, leaves, size, expected);
	cr_assert_eq(merkle_inclusion(&source, index, size, path, &count, &why), HM_OK);
	cr_assert_eq(count, expected_count, "%u instead of %u for %lu of %lu", count, expected_count, index, size);
	cr_assert_arr_eq(path, expected, count * sizeof *path, "%lu of %lu", index, size);
	cr_assert(merkle_includes(&leaves[index], index, size, path, count, &root), "%lu of %lu", index, size);
}

static void expect_proof(uint64_t before, uint64_t size)
{
	struct merkle_source source = {subtree, &size};
	struct merkle_hash proof[MERKLE_PATH_MAX + 1], expected[MERKLE_PATH_MAX + 1];
	struct merkle_hash old = mth(leaves, before), new = mth(leaves, size);
	unsigned count, expected_count = before ? rfc_subproof(before, leaves, size, true, expected) : 0;
	cr_assert_eq(merkle_consistency(&source, before, size, proof, &count, &why), HM_OK);
	cr_assert_eq(count, expected_count, "%u instead of %u for %lu in %lu", count, expected_count, before, size);
	cr_assert_arr_eq(proof, expected, count * sizeof *proof, "%lu in %lu", before, size);
	cr_assert(merkle_is_consistent(before, &old, size, &new, proof, count), "%lu in %lu", before, size);
}

Test(merkle_proof, a_root_is_that_of_the_rfc)
{
	for (uint64_t size = 0; size < SMALL + SIZES; size++) {
		uint64_t of = size < SMALL ? size : sizes[size - SMALL];
		struct merkle_source source = {subtree, &of};
		struct merkle_hash root, expected = mth(leaves, of);
		cr_assert_eq(merkle_root(&source, of, &root, &why), HM_OK);
		cr_assert(merkle_equal(&root, &expected), "%lu", of);
	}
}

Test(merkle_proof, a_path_is_that_of_the_rfc_and_leads_to_the_root)
{
	uint64_t at[16];
	for (uint64_t size = 1; size <= SMALL; size++)
		for (uint64_t index = 0; index < size; index++)
			expect_path(index, size);
	for (unsigned i = 0; i < SIZES; i++)
		for (unsigned j = places(sizes[i], at); j-- > 0;)
			expect_path(at[j], sizes[i]);
}

Test(merkle_proof, a_consistency_proof_is_that_of_the_rfc_and_holds)
{
	uint64_t at[16];
	for (uint64_t size = 0; size <= SMALL; size++)
		for (uint64_t before = 0; before <= size; before++)
			expect_proof(before, size);
	for (unsigned i = 0; i < SIZES; i++)
		for (unsigned j = places(sizes[i], at); j-- > 0;)
			expect_proof(at[j], sizes[i]);
}

/* ---- what must not hold ---- */

/* The proofs differ when hash `which` has a bit changed. */
static void change(struct merkle_hash *hashes, unsigned which)
{
	hashes[which].bytes[which % 32] ^= (uint8_t)(1U << which % 8);
}

static void refuse_paths(uint64_t index, uint64_t size)
{
	struct merkle_hash path[MERKLE_PATH_MAX + 1] = {0}, root = mth(leaves, size), other = mth(leaves, size + 1);
	const struct merkle_hash *leaf = &leaves[index];
	unsigned count = rfc_path(index, leaves, size, path);

	for (unsigned i = 0; i < count; i++) {
		change(path, i);
		cr_assert_not(merkle_includes(leaf, index, size, path, count, &root), "hash %u", i);
		change(path, i);
	}
	cr_assert_not(merkle_includes(&leaves[index + 1], index, size, path, count, &root));
	cr_assert_not(merkle_includes(leaf, index, size, path, count, &other));
	cr_assert_not(merkle_includes(leaf, index, size, path, count + 1, &root));
	if (count)
		cr_assert_not(merkle_includes(leaf, index, size, path, count - 1, &root));
	for (uint64_t wrong = 0; wrong < size + 3; wrong++)
		cr_assert(wrong == index || !merkle_includes(leaf, wrong, size, path, count, &root),
			"%lu as %lu of %lu", index, wrong, size);
}

static void refuse_proofs(uint64_t before, uint64_t size)
{
	struct merkle_hash proof[MERKLE_PATH_MAX + 2] = {0};
	struct merkle_hash old = mth(leaves, before), new = mth(leaves, size), other = mth(leaves, size + 1);
	unsigned count = rfc_subproof(before, leaves, size, true, proof);

	for (unsigned i = 0; i < count; i++) {
		change(proof, i);
		cr_assert_not(merkle_is_consistent(before, &old, size, &new, proof, count), "hash %u", i);
		change(proof, i);
	}
	cr_assert_not(merkle_is_consistent(before, &other, size, &new, proof, count));
	cr_assert_not(merkle_is_consistent(before, &old, size, &other, proof, count));
	cr_assert_not(merkle_is_consistent(before, &old, size, &new, proof, count + 1));
	if (count)
		cr_assert_not(merkle_is_consistent(before, &old, size, &new, proof, count - 1));
	for (uint64_t wrong = 0; wrong <= size; wrong++)
		cr_assert(wrong == before || !merkle_is_consistent(wrong, &old, size, &new, proof, count),
			"%lu as %lu in %lu", before, wrong, size);
	cr_assert_not(merkle_is_consistent(size + 1, &old, size, &new, proof, count));
}

Test(merkle_proof, no_changed_path_leads_to_the_root)
{
	for (uint64_t size = 1; size <= SMALL; size++)
		for (uint64_t index = 0; index < size; index++)
			refuse_paths(index, size);
	refuse_paths(256, 300);
	refuse_paths(65535, 65537);
	refuse_paths(65536, 65537);
}

Test(merkle_proof, no_changed_consistency_proof_holds)
{
	for (uint64_t size = 1; size <= SMALL; size++)
		for (uint64_t before = 1; before <= size; before++)
			refuse_proofs(before, size);
	refuse_proofs(256, 300);
	refuse_proofs(257, 513);
	refuse_proofs(65536, 65537);
}

/* The same hashes would also be a proof for some other sizes of the same shape, were the root not bound to one: a path
 * of another length is refused before a hash is made. */
Test(merkle_proof, a_path_of_another_trees_length_is_refused)
{
	struct merkle_hash path[MERKLE_PATH_MAX], root = mth(leaves, 5);
	unsigned count = rfc_path(4, leaves, 5, path);
	cr_assert_eq(count, 1);
	cr_expect_not(merkle_includes(&leaves[4], 4, 6, path, count, &root));
	cr_expect_not(merkle_includes(&leaves[4], 4, 4, path, count, &root));
	cr_expect_not(merkle_includes(&leaves[4], 0, 0, path, 0, &leaves[4]));
}

Test(merkle_proof, of_no_entries_only_the_empty_root_begins_a_tree)
{
	struct merkle_hash empty, root = mth(leaves, 3);
	merkle_empty(&empty);
	cr_expect(merkle_is_consistent(0, &empty, 3, &root, NULL, 0));
	cr_expect(merkle_is_consistent(0, &empty, 0, &empty, NULL, 0));
	cr_expect_not(merkle_is_consistent(0, &root, 3, &root, NULL, 0));
	cr_expect_not(merkle_is_consistent(0, &empty, 0, &root, NULL, 0));
	cr_expect_not(merkle_is_consistent(0, &empty, 3, &root, &root, 1));
}

Test(merkle_proof, what_is_not_in_the_tree_has_no_proof)
{
	uint64_t size = 5;
	struct merkle_source source = {subtree, &size};
	struct merkle_hash path[MERKLE_PATH_MAX + 1];
	unsigned count;
	cr_expect_eq(merkle_inclusion(&source, 5, 5, path, &count, &why), HM_BROKEN);
	cr_expect_eq(merkle_inclusion(&source, 0, 0, path, &count, &why), HM_BROKEN);
	cr_expect_eq(merkle_consistency(&source, 6, 5, path, &count, &why), HM_BROKEN);
}

/* The largest trees there can be have paths of 64 hashes. */
static hm_result zero_subtree(
	void *context, unsigned level, uint64_t number, struct merkle_hash *hash, struct hm_problem *problem)
{
	(void)problem;
	*hash = ((struct merkle_hash *)context)[level];
	(void)number;
	return HM_OK;
}

Test(merkle_proof, the_largest_trees_have_proofs)
{
	struct merkle_hash whole[64] = {0}, path[MERKLE_PATH_MAX + 1], root, old;
	struct merkle_source source = {zero_subtree, whole};
	static const uint64_t indices[] = {0, 1, UINT64_MAX / 2, UINT64_MAX / 2 + 1, UINT64_MAX - 1};
	unsigned count;
	for (unsigned level = 1; level < 64; level++)
		merkle_node(&whole[level - 1], &whole[level - 1], &whole[level]);
	cr_assert_eq(merkle_root(&source, UINT64_MAX, &root, &why), HM_OK);
	for (size_t i = 0; i < sizeof indices / sizeof *indices; i++) {
		cr_assert_eq(merkle_inclusion(&source, indices[i], UINT64_MAX, path, &count, &why), HM_OK);
		cr_expect_leq(count, MERKLE_PATH_MAX);
		cr_expect(merkle_includes(&whole[0], indices[i], UINT64_MAX, path, count, &root), "%lu", indices[i]);
		cr_assert_eq(merkle_root(&source, indices[i] + 1, &old, &why), HM_OK);
		cr_assert_eq(merkle_consistency(&source, indices[i] + 1, UINT64_MAX, path, &count, &why), HM_OK);
		cr_expect_leq(count, MERKLE_PATH_MAX + 1);
		cr_expect(
			merkle_is_consistent(indices[i] + 1, &old, UINT64_MAX, &root, path, count), "%lu", indices[i]);
	}
}
