/* SPDX-License-Identifier: Apache-2.0 */
#include "changes.h"

#include <stdlib.h>
#include <string.h>

struct changes *changes_open(void)
{
	return calloc(1, sizeof(struct changes));
}

void changes_close(struct changes *changes)
{
	if (!changes)
		return;
	for (unsigned i = 0; i < changes->count; i++) {
		free(changes->items[i].key);
		free(changes->items[i].body);
	}
	free(changes->items);
	free(changes);
}

static bool has_room(struct changes *changes)
{
	if (changes->count < changes->size)
		return true;
	unsigned size = changes->size ? 2 * changes->size : 4;
	struct change *items = realloc(changes->items, size * sizeof *items);
	if (!items)
		return false;
	changes->items = items;
	changes->size = size;
	return true;
}

static bool add(struct changes *changes, const struct change *change, const char *key, const char *body)
{
	if (strlen(key) > HM_STORE_KEY_MAX || change->length > HM_STORE_BODY_MAX || !has_room(changes))
		return false;
	struct change *added = &changes->items[changes->count];
	*added = *change;
	added->key = strdup(key);
	added->body = body ? strndup(body, change->length) : NULL;
	if (added->key && (added->body || !body)) {
		changes->count++;
		return true;
	}
	free(added->key);
	free(added->body);
	return false;
}

bool changes_put(
	struct changes *changes, enum record_kind kind, const char *key, uint64_t seen, const char *body, size_t length)
{
	return add(changes, &(struct change){CHANGE_PUT, kind, seen, NULL, NULL, length}, key, body);
}

bool changes_delete(struct changes *changes, enum record_kind kind, const char *key, uint64_t seen)
{
	return add(changes, &(struct change){CHANGE_DELETE, kind, seen, NULL, NULL, 0}, key, NULL);
}

bool changes_guard(struct changes *changes, enum record_kind kind, const char *key, uint64_t seen)
{
	return add(changes, &(struct change){CHANGE_GUARD, kind, seen, NULL, NULL, 0}, key, NULL);
}
