/* SPDX-License-Identifier: Apache-2.0 */
/* EVP has no context without an allocation; millions of small hashes are made here. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "merkle.h"

#include <openssl/sha.h>
#include <string.h>

void merkle_leaf(const void *entry, size_t length, struct merkle_hash *hash)
{
	static const uint8_t prefix = 0;
	SHA256_CTX context;
	SHA256_Init(&context);
	SHA256_Update(&context, &prefix, 1);
	SHA256_Update(&context, entry, length);
	SHA256_Final(hash->bytes, &context);
}

void merkle_node(const struct merkle_hash *left, const struct merkle_hash *right, struct merkle_hash *hash)
{
	static const uint8_t prefix = 1;
	SHA256_CTX context;
	SHA256_Init(&context);
	SHA256_Update(&context, &prefix, 1);
	SHA256_Update(&context, left->bytes, sizeof left->bytes);
	SHA256_Update(&context, right->bytes, sizeof right->bytes);
	SHA256_Final(hash->bytes, &context);
}

void merkle_empty(struct merkle_hash *hash)
{
	SHA256(NULL, 0, hash->bytes);
}

bool merkle_equal(const struct merkle_hash *a, const struct merkle_hash *b)
{
	return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

/* RFC 6962, section 2.1: split at the largest power of two below the number. */
void merkle_root_of(const struct merkle_hash *hashes, unsigned count, struct merkle_hash *root)
{
	unsigned split = 1;
	struct merkle_hash left, right;
	if (count == 1) {
		*root = hashes[0];
		return;
	}
	while (split * 2 < count)
		split *= 2;
	merkle_root_of(hashes, split, &left);
	merkle_root_of(hashes + split, count - split, &right);
	merkle_node(&left, &right, root);
}
