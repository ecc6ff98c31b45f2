/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where agents, tasks, approvals and revocations are kept: rows with a kind, a key and a JSON body, in SQLite or
 * PostgreSQL. The store knows nothing of what they mean. Views in memory (agents.h, tasks.h, …) hold all rows; an act
 * is decided on them, and committed only if the rows it was decided on are still what they were. Every commit has the
 * next number of one sequence, which is the version of each row it wrote.
 *
 * The calls return at once; databases are asked in worker threads, one commit or many at a time.
 */
#ifndef HSMINT_STORE_H
#define HSMINT_STORE_H

#include "limits.h"
#include "result.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

/* As the database has them: numbers are never used again. */
enum record_kind {
	RECORD_AGENT = 1,      /* ISSUER " " SPIFFE-ID, or a class's pattern */
	RECORD_TASK = 2,       /* its id */
	RECORD_REF = 3,        /* ISSUER " " CALLER " " REF: a task's id */
	RECORD_APPROVAL = 4,   /* its id */
	RECORD_REVOCATION = 5, /* docs/governance.md */
	RECORD_BLOCK = 6,      /* ISSUER " " LIST " " FIRST: places in a status list, and whose they are */
	RECORD_ASSERTION = 7,  /* a client's that was used: assertions.h */
	RECORD_KINDS
};

struct store_row {
	enum record_kind kind;
	const char *key;
	uint64_t version; /* the sequence of the commit that wrote it */
	const char *body; /* JSON, `length` bytes and a NUL; NULL: the row was deleted */
	size_t length;
};

struct store_events {
	/* A row as it is now: all of them before store_open returns, then each that any node changed. On the loop. */
	void (*row)(void *context, const struct store_row *row);
	/* It became available, or unavailable. */
	void (*changed)(void *context);
	/* The views cannot follow it any more: they must be made anew, by a new start. */
	void (*lost)(void *context, const char *why);
	void *context;
};

/* ---- what an act changes: all of it or nothing ---- */

struct changes; /* opaque; made by changes_open, released by changes_close, or taken by store_commit */

struct changes *changes_open(void);          /* NULL: no memory */
void changes_close(struct changes *changes); /* NULL is fine */

/* `seen` is the version of the row that the act was decided on; 0: there was none. Texts are copied. False: no memory,
 * or over HM_STORE_KEY_MAX or HM_STORE_BODY_MAX. */
bool changes_put(struct changes *changes, enum record_kind kind, const char *key, uint64_t seen, const char *body,
	size_t length) HM_MUST_USE;
bool changes_delete(struct changes *changes, enum record_kind kind, const char *key, uint64_t seen) HM_MUST_USE;
/* Nothing is written, but the row must still be what it was. */
bool changes_guard(struct changes *changes, enum record_kind kind, const char *key, uint64_t seen) HM_MUST_USE;

/* ---- the store ---- */

struct store; /* opaque */

/*
 * `url`: "postgresql://…", or NULL for the file store.db in `state`. Migrates it, and gives every row to `events`
 * before it returns. HM_REFUSED: what is there is not ours, or of a later version; HM_UNAVAILABLE: it cannot be read or
 * reached. Release with store_close.
 */
hm_result store_open(uv_loop_t *loop, const char *url, const char *state, const struct store_events *events,
	struct store **out, struct hm_problem *why) HM_MUST_USE;

/*
 * HM_OK: it is on stable storage as commit `sequence`, and its rows were given to `events` before this call.
 * HM_REFUSED with the code store_conflict: another act came first; what it changed was given to `events` before this
 * call, so decide anew. HM_UNAVAILABLE with the code store_unavailable: nothing was changed, or, when an answer was
 * lost on the way, it may have been: then its rows come later, or do not.
 */
typedef void store_done(void *context, hm_result result, uint64_t sequence, const struct hm_problem *why);

/* Takes `changes` over. `done` is called later, never from within; also when the store ends. */
void store_commit(struct store *store, struct changes *changes, store_done *done, void *context);

/* How old the views may be: milliseconds since they were last known to hold all that was committed anywhere, time in
 * which the machine was suspended among them. */
uint64_t store_age_ms(const struct store *store);

/* The newest sequence whose rows the views have. */
uint64_t store_sequence(const struct store *store);

/* NULL: it can be written; else why it could not when it was last tried. */
const char *store_fault(const struct store *store);

/* Called each second: whether it can be written again is tried. */
void store_tick(struct store *store);

/* No more commits: those under way are answered, then `ended` is called, and store_close may be. */
void store_end(struct store *store, void (*ended)(void *context), void *context);
void store_close(struct store *store); /* NULL is fine */

#endif
