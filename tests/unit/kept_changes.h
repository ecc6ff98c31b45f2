/* SPDX-License-Identifier: Apache-2.0 */
/* What an act changes, kept in order, for tests that look at it and give it to a view without a database. */
#ifndef HSMINT_TESTS_KEPT_CHANGES_H
#define HSMINT_TESTS_KEPT_CHANGES_H

#include "store.h"

#include <stdlib.h>
#include <string.h>

struct kept {
	enum record_kind kind;
	char *key, *body; /* body NULL: deleted, or only guarded */
	uint64_t seen;
	size_t length;
};

struct changes {
	struct kept *kept;
	size_t count;
};

struct changes *changes_open(void)
{
	return calloc(1, sizeof(struct changes));
}

void changes_close(struct changes *changes)
{
	for (size_t i = 0; changes && i < changes->count; i++) {
		free(changes->kept[i].key);
		free(changes->kept[i].body);
	}
	free(changes ? changes->kept : NULL);
	free(changes);
}

bool changes_put(
	struct changes *changes, enum record_kind kind, const char *key, uint64_t seen, const char *body, size_t length)
{
	changes->kept = realloc(changes->kept, (changes->count + 1) * sizeof *changes->kept);
	changes->kept[changes->count++] = (struct kept){kind, strdup(key), strndup(body, length), seen, length};
	return true;
}

#endif
