/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The view of client assertions that were used (RFC 7523, section 3, rule 7): each is good once, at whichever node. Its
 * row is committed before anything is decided for it, and stays until the assertion has expired for everybody.
 */
#ifndef HSMINT_ASSERTIONS_H
#define HSMINT_ASSERTIONS_H

#include "store.h"

/* One that authenticates a client. */
struct assertion {
	char key[44];  /* of its row: base64url of a hash over issuer, client and what names the assertion; "": none */
	int64_t until; /* seconds since 1970; nobody accepts it from then on */
};

/* `id`: its jti. HM_BROKEN: no memory for the hash. */
hm_result assertion_of(const char *issuer, const char *client, const char *id, int64_t until, struct assertion *out,
	struct hm_problem *why) HM_MUST_USE;

struct assertions; /* opaque; made by assertions_open, released by assertions_close */

struct assertions *assertions_open(void); /* NULL: no memory */
void assertions_close(struct assertions *assertions);

/* A row of RECORD_ASSERTION. HM_BROKEN: it is not as docs/governance.md says; nothing changed. */
hm_result assertions_take(
	struct assertions *assertions, const struct store_row *row, struct hm_problem *why) HM_MUST_USE;

bool assertions_was_used(const struct assertions *assertions, const struct assertion *assertion);

/* The change that uses it up; where another used it first, its commit is a conflict. False: no memory. */
bool assertions_put(struct changes *changes, const struct assertion *assertion) HM_MUST_USE;

/* Changes that delete those that nobody accepts any more, whatever a node's clock says. `most` are looked at, others
 * with the next call. How many. */
unsigned assertions_expire(struct assertions *assertions, int64_t now, unsigned most, struct changes *changes);

#endif
