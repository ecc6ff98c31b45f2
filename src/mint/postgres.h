/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection to PostgreSQL that never waits for ever: a server which says nothing for HM_POSTGRES_SILENCE_MS is given
 * up, whatever it is that hangs, and the next call connects anew. All of it blocks, and is for one thread at a time.
 */
#ifndef HSMINT_POSTGRES_H
#define HSMINT_POSTGRES_H

#include "result.h"
#include <libpq-fe.h>
#include <stdbool.h>

struct postgres; /* opaque; made by postgres_open, released by postgres_close */

/* Whether `url` is a "postgresql://…" that can be used. HM_REFUSED: it is not, or has a password in it. */
hm_result postgres_check_url(const char *url, struct hm_problem *why) HM_MUST_USE;

struct postgres *postgres_open(const char *url);  /* does not connect yet; `url` is copied; NULL: no memory */
void postgres_close(struct postgres *postgres);   /* NULL is fine */
void postgres_hang_up(struct postgres *postgres); /* what was asked for and not committed is not done */

/* Connect, unless it is: then nothing. `*is_new`: it was not. HM_UNAVAILABLE: why. */
hm_result postgres_connect(struct postgres *postgres, bool *is_new, struct hm_problem *why) HM_MUST_USE;

/* Several statements without parameters. HM_UNAVAILABLE: one of them failed; see postgres_must_retry. */
hm_result postgres_run(struct postgres *postgres, const char *sql, struct hm_problem *why) HM_MUST_USE;

/* One row, or none, in text. `use` may be NULL. False ends the reading: it could not take the row. */
typedef bool postgres_row(void *context, const PGresult *result);

/* One statement with text parameters; its rows come one by one, and need no memory together. `use`: NULL, none are
 * wanted. Results as postgres_run. */
hm_result postgres_ask(struct postgres *postgres, const char *sql, const char *const *parameters, int count,
	postgres_row *use, void *context, struct hm_problem *why) HM_MUST_USE;

/* Ends a transaction. HM_UNAVAILABLE: nothing was committed, or, when the connection broke, it may have been. */
hm_result postgres_commit(struct postgres *postgres, struct hm_problem *why) HM_MUST_USE;

/* What failed last was undone by the server for another transaction's sake (class 40): the same may succeed now. */
bool postgres_must_retry(const struct postgres *postgres);

/* Whether another connection has notified since this was asked last. Does not block. */
bool postgres_was_notified(struct postgres *postgres);

/* Which becomes readable when the server notifies; -1: not connected. */
int postgres_socket(const struct postgres *postgres);

#endif
