/* SPDX-License-Identifier: Apache-2.0 */
#include "edge.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The leaves and roots that Certificate Transparency's own implementations test themselves with. */
static const struct {
	const char *bytes;
	size_t length;
	const char *root; /* of the tree that ends with it */
} vectors[] = {
	{"", 0, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"},
	{"\x00", 1, "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"},
	{"\x10", 1, "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"},
	{"\x20\x21", 2, "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"},
	{"\x30\x31", 2, "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"},
	{"\x40\x41\x42\x43", 4, "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef"},
	{"\x50\x51\x52\x53\x54\x55\x56\x57", 8, "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"},
	{"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f", 16,
		"5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"},
};

static void check_hex(const struct merkle_hash *hash, const char *hex)
{
	char text[65];
	for (unsigned i = 0; i < sizeof hash->bytes; i++)
		snprintf(text + 2 * i, 3, "%02x", hash->bytes[i]);
	cr_assert_str_eq(text, hex);
}

Test(merkle, known_trees)
{
	struct hm_problem why;
	struct merkle_hash leaves[8], root;
	static struct edge edge;
	merkle_empty(&root);
	check_hex(&root, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	edge_root(&edge, &root);
	check_hex(&root, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	for (unsigned i = 0; i < sizeof vectors / sizeof *vectors; i++) {
		merkle_leaf(vectors[i].bytes, vectors[i].length, &leaves[i]);
		merkle_root_of(leaves, i + 1, &root);
		check_hex(&root, vectors[i].root);
		cr_assert_eq(edge_add(&edge, &leaves[i], NULL, NULL, &why), HM_OK);
		edge_root(&edge, &root);
		check_hex(&root, vectors[i].root);
	}
}

/* RFC 6962, section 2.1, word by word. */
static struct merkle_hash naive(const struct merkle_hash *leaves, unsigned count)
{
	struct merkle_hash left, right, root;
	unsigned k = 1;
	if (count == 1)
		return leaves[0];
	while (k << 1 < count)
		k <<= 1;
	left = naive(leaves, k);
	right = naive(leaves + k, count - k);
	merkle_node(&left, &right, &root);
	return root;
}

enum { MANY = 66200 };
static struct merkle_hash many[MANY];
static unsigned tiles[TILE_LEVELS];

static hm_result count_tile(void *context, unsigned level, uint64_t number, const struct merkle_hash hashes[TILE_WIDTH],
	struct hm_problem *why)
{
	struct merkle_hash wanted;
	unsigned span = 1U << (TILE_HEIGHT * level);
	(void)context, (void)why;
	cr_assert_eq(number, tiles[level]++);
	for (unsigned i = 0; i < TILE_WIDTH; i += 85) {
		wanted = naive(many + (number * TILE_WIDTH + i) * span, span);
		cr_assert(merkle_equal(&wanted, &hashes[i]));
	}
	return HM_OK;
}

static hm_result subtree_of_many(
	void *context, unsigned level, uint64_t number, struct merkle_hash *hash, struct hm_problem *why)
{
	(void)context, (void)why;
	*hash = naive(many + (number << level), 1U << level);
	return HM_OK;
}

Test(edge, grows_as_the_tree_does)
{
	struct hm_problem why;
	struct merkle_hash root, wanted;
	static struct edge edge, begun;
	for (unsigned i = 0; i < MANY; i++) {
		merkle_leaf(&i, sizeof i, &many[i]);
		cr_assert_eq(edge_add(&edge, &many[i], count_tile, NULL, &why), HM_OK);
		if (i > 600 && i < MANY - 3 && i % 9973)
			continue;
		edge_root(&edge, &root);
		wanted = naive(many, i + 1);
		cr_assert(merkle_equal(&root, &wanted), "%u leaves", i + 1);
	}
	cr_assert_eq(tiles[0], MANY / TILE_WIDTH);
	cr_assert_eq(tiles[1], 1);

	const struct merkle_source source = {subtree_of_many, NULL};
	cr_assert_eq(edge_begin(&begun, MANY / TILE_WIDTH * TILE_WIDTH, &source, &why), HM_OK);
	for (unsigned i = begun.size; i < MANY; i++)
		cr_assert_eq(edge_add(&begun, &many[i], NULL, NULL, &why), HM_OK);
	edge_root(&begun, &wanted);
	cr_assert(merkle_equal(&root, &wanted));
	cr_assert_eq(edge_begin(&begun, 255, &source, &why), HM_BROKEN);
}
