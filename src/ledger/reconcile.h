/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an HSM says in its own log that its keys signed, against what the ledger says that was counted (docs/ledger.md).
 * The ledger is read first, then the log line by line. What is read of the ledger is not verified: see verify.h.
 */
#ifndef HSMINT_RECONCILE_H
#define HSMINT_RECONCILE_H

#include "result.h"
#include <stddef.h>

enum reconcile_kind {
	RECONCILE_MORE,    /* a key signed more than was counted: somebody else had it sign */
	RECONCILE_UNKNOWN, /* it cannot be known */
	RECONCILE_FEWER,   /* the log lacks what was counted */
	RECONCILE_NOTE     /* something was left out, and nothing is wrong */
};

struct reconcile; /* opaque; made by reconcile_open, released by reconcile_close */

struct reconcile_listener {
	void (*found)(void *context, enum reconcile_kind kind, const char *text);
	void *context;
};

/* Read every shard in this directory. HM_REFUSED: an entry is none, or a shard between two others is missing.
 * HM_UNAVAILABLE: it cannot be read. */
hm_result reconcile_open(const char *directory, const struct reconcile_listener *listener, struct reconcile **out,
	struct hm_problem *why) HM_MUST_USE;
void reconcile_close(struct reconcile *reconcile); /* NULL is fine */

/* Take a line of the log, without its newline: seconds since 1970, a key's kid, CKA_LABEL or CKA_ID in hexadecimal, and
 * how many signatures. HM_REFUSED: it is none. */
hm_result reconcile_line(
	struct reconcile *reconcile, const char *line, size_t length, struct hm_problem *why) HM_MUST_USE;

/* After the last line: tell what is found of each key. */
void reconcile_end(struct reconcile *reconcile);

#endif
