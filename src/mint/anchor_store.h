/* SPDX-License-Identifier: Apache-2.0 */
/* The newest checkpoint as a row of the PostgreSQL database that is the store, one for each ledger that has its anchor
 * there. By a connection of its own; all of it blocks. */
#ifndef HSMINT_ANCHOR_STORE_H
#define HSMINT_ANCHOR_STORE_H

#include "note.h"

struct anchor_store; /* opaque; made by anchor_store_open, released by anchor_store_close */

/* `url`: the store's; `origin`: the ledger's. Both are copied or must outlive it: url, origin. NULL: no memory. */
struct anchor_store *anchor_store_open(const char *url, const char *origin);
void anchor_store_close(struct anchor_store *anchor); /* NULL is fine */

/* `*is_there` false: there is no row; `*length` 0: it is new. HM_UNAVAILABLE: the database cannot be asked. */
hm_result anchor_store_read(struct anchor_store *anchor, char note[NOTE_MAX], size_t *length, bool *is_there,
	struct hm_problem *why) HM_MUST_USE;

hm_result anchor_store_keep(
	struct anchor_store *anchor, const char *note, size_t length, struct hm_problem *why) HM_MUST_USE;

#endif
