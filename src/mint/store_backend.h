/* SPDX-License-Identifier: Apache-2.0 */
/* What store.c asks of a database. All of it blocks: at the start on the loop, afterwards in one worker at a time. */
#ifndef HSMINT_STORE_BACKEND_H
#define HSMINT_STORE_BACKEND_H

#include "changes.h"
#include "store.h"

/* One set of changes and what became of it. */
struct store_item {
	struct changes *changes;
	hm_result result;  /* HM_OK; HM_REFUSED: store_conflict; HM_UNAVAILABLE: store_unavailable */
	uint64_t sequence; /* of a commit */
};

typedef void store_row_use(void *context, const struct store_row *row);

struct store_backend {
	/* Every row that is there, in the order in which they were written, and the newest sequence. */
	hm_result (*load)(
		void *database, store_row_use *use, void *context, uint64_t *sequence, struct hm_problem *why);
	/*
	 * All of the items in one transaction, each whole or not at all. What others wrote after `*sequence` and before
	 * these is given to `use`, and `*sequence` is then the newest that `use` or an item has, also on failure.
	 * HM_UNAVAILABLE: none of them, or nobody knows. HM_REFUSED: as poll.
	 */
	hm_result (*commit)(void *database, struct store_item *items, unsigned count, store_row_use *use, void *context,
		uint64_t *sequence, struct hm_problem *why);
	/* What others wrote after `*sequence`, which then is the newest; NULL: there are no others. HM_REFUSED: it
	 * cannot be told any more, or the store has been set back: all of it must be loaded anew. */
	hm_result (*poll)(
		void *database, store_row_use *use, void *context, uint64_t *sequence, struct hm_problem *why);
	/* These two do not block. Whether others told meanwhile that they have written; */
	bool (*has_news)(void *database);
	/* and what becomes readable when they do; -1: nothing now. NULL: as poll. */
	int (*socket)(void *database);
	void (*close)(void *database);
};

hm_result store_sqlite_open(
	const char *state, const struct store_backend **backend, void **database, struct hm_problem *why) HM_MUST_USE;
hm_result store_postgres_open(
	const char *url, const struct store_backend **backend, void **database, struct hm_problem *why) HM_MUST_USE;

#endif
