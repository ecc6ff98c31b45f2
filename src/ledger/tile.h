/* SPDX-License-Identifier: Apache-2.0 */
/* The layout of C2SP tlog-tiles: names of tiles and entry bundles, and what is in them. */
#ifndef HSMINT_TILE_H
#define HSMINT_TILE_H

#include "merkle.h"

enum {
	TILE_WIDTH = 256, /* hashes in a full tile, entries in a full bundle */
	TILE_HEIGHT = 8,  /* levels of the tree in one level of tiles */
	TILE_LEVELS = 8,  /* of tiles: 2^64 entries */
	TILE_BYTES = TILE_WIDTH * sizeof(struct merkle_hash),
	TILE_ENTRIES = -1,      /* in place of a level: an entry bundle */
	TILE_NAME_MAX = 64,     /* "entries/x123/x456/789.p/255", with its NUL */
	TILE_ENTRY_MAX = 65535, /* bytes of an entry */
	TILE_BUNDLE_MAX = TILE_WIDTH * (2 + TILE_ENTRY_MAX),
};

struct tile_name {
	int level; /* or TILE_ENTRIES */
	uint64_t number;
	unsigned width; /* TILE_WIDTH, or of a partial one 1 to 255 */
};

/* The name behind "tile/": "0/x001/x234/067", "entries/000.p/5". Source: tile.c */
void tile_name_write(const struct tile_name *name, char text[TILE_NAME_MAX]);

/* False: not such a name, or not the only way to write it. */
bool tile_name_read(const char *text, struct tile_name *name) HM_MUST_USE;

/* The hash of the subtree with 2^`level` leaves (`level` below TILE_HEIGHT) that is number `at` in a tile. */
void tile_subtree(const struct merkle_hash *hashes, unsigned level, unsigned at, struct merkle_hash *hash);

/* Go to the next entry of a bundle: `*entry` and `*length` are its bytes, `*bundle` and `*left` what follows. False:
 * nothing is left, or (`*left` not 0) what is left is not an entry. */
bool tile_next_entry(const uint8_t **bundle, size_t *left, const uint8_t **entry, size_t *length) HM_MUST_USE;

#endif
