/* SPDX-License-Identifier: Apache-2.0 */
#include "store.h"

#include "store_backend.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

enum { BATCH = 256, FAULT_MAX = sizeof((struct hm_problem *)0)->detail };

struct commit {
	TAILQ_ENTRY(commit) link;
	struct changes *changes;
	store_done *done;
	void *context;
};
TAILQ_HEAD(commit_list, commit);

struct store {
	uv_loop_t *loop;
	struct store_events events;
	const struct store_backend *backend;
	void *database;
	uint64_t sequence;
	char fault[FAULT_MAX]; /* "": it could be written when it was last tried */

	struct commit_list waiting;
	unsigned waits;
	uv_work_t work;
	bool is_working;
	struct commit *batch[BATCH]; /* the worker's, */
	struct store_item items[BATCH];
	unsigned count;
	hm_result result; /* and what came of it */
	struct hm_problem why;

	void (*ended)(void *context); /* NULL: it goes on */
	void *ended_context;
};

/* ---- what came of it ---- */

static void give_rows(struct store *store, const struct changes *changes, uint64_t sequence)
{
	for (unsigned i = 0; i < changes->count; i++) {
		const struct change *change = &changes->items[i];
		const struct store_row row = {change->kind, change->key, sequence, change->body, change->length};
		if (change->act != CHANGE_GUARD)
			store->events.row(store->events.context, &row);
	}
}

static void finish(
	struct store *store, struct commit *commit, hm_result result, uint64_t sequence, const struct hm_problem *why)
{
	if (result == HM_OK)
		give_rows(store, commit->changes, sequence);
	commit->done(commit->context, result, sequence, why);
	changes_close(commit->changes);
	free(commit);
}

static void set_fault(struct store *store, const char *fault)
{
	bool is_new = strcmp(store->fault, fault) != 0;
	snprintf(store->fault, sizeof store->fault, "%s", fault);
	if (is_new)
		store->events.changed(store->events.context);
}

static void look_whether_ended(struct store *store)
{
	if (store->ended && !store->is_working && !store->waits) {
		void (*ended)(void *context) = store->ended;
		store->ended = NULL;
		ended(store->ended_context);
	}
}

static void start(struct store *store);

/* Earlier ones are told before later ones, so that one that was refused finds in the views what came before it. */
static void finish_batch(struct store *store)
{
	static const struct hm_problem conflict = {
		.code = "store_conflict", .detail = "a new try: another act came first"};
	unsigned count = store->count;
	for (unsigned i = 0; i < count; i++) {
		const struct store_item *item = &store->items[i];
		hm_result result = store->result == HM_OK ? item->result : HM_UNAVAILABLE;
		if (result == HM_OK)
			store->sequence = item->sequence;
		finish(store, store->batch[i], result, item->sequence, result == HM_REFUSED ? &conflict : &store->why);
	}
	store->count = 0;
}

static void in_worker(uv_work_t *work)
{
	struct store *store = work->data;
	store->result = store->backend->commit(store->database, store->items, store->count, &store->why);
}

static void on_worked(uv_work_t *work, int status)
{
	struct store *store = work->data;
	(void)status;
	set_fault(store, store->result == HM_OK ? "" : store->why.detail);
	finish_batch(store);
	store->is_working = false;
	start(store);
	look_whether_ended(store);
}

static void work(struct store *store)
{
	store->is_working = uv_queue_work(store->loop, &store->work, in_worker, on_worked) == 0;
}

/* All that wait go together. */
static void start(struct store *store)
{
	struct commit *commit;
	if (store->is_working || !store->waits)
		return;
	while (store->count < BATCH && (commit = TAILQ_FIRST(&store->waiting))) {
		TAILQ_REMOVE(&store->waiting, commit, link);
		store->waits--;
		store->items[store->count] = (struct store_item){.changes = commit->changes};
		store->batch[store->count++] = commit;
	}
	work(store);
}

/* ---- for the others ---- */

hm_result store_open(uv_loop_t *loop, const char *url, const char *state, const char *node,
	const struct store_events *events, struct store **out, struct hm_problem *why)
{
	(void)node;
	struct store *store = calloc(1, sizeof *store);
	if (!store)
		return hm_unavailable(why, "system", "no memory");
	store->loop = loop;
	store->events = *events;
	store->work.data = store;
	TAILQ_INIT(&store->waiting);
	hm_result result = url ? hm_refuse(why, "config", NULL,
					 "store: only SQLite in the state directory is there so far: leave it out")
			       : store_sqlite_open(state, &store->backend, &store->database, why);
	if (result == HM_OK && store->backend)
		result = store->backend->load(store->database, events->row, events->context, &store->sequence, why);
	if (result != HM_OK) {
		store_close(store);
		return result;
	}
	*out = store;
	return HM_OK;
}

/* An answer is never given from within: the loop's next round does. */
void store_commit(struct store *store, struct changes *changes, store_done *done, void *context)
{
	struct commit *commit = calloc(1, sizeof *commit);
	if (!commit)
		abort(); /* whoever waits would wait for ever */
	*commit = (struct commit){.changes = changes, .done = done, .context = context};
	TAILQ_INSERT_TAIL(&store->waiting, commit, link);
	store->waits++;
	start(store);
}

uint64_t store_age_ms(const struct store *store)
{
	(void)store; /* nobody else writes to it */
	return 0;
}

uint64_t store_sequence(const struct store *store)
{
	return store->sequence;
}

const char *store_fault(const struct store *store)
{
	return store->fault[0] ? store->fault : NULL;
}

void store_tick(struct store *store)
{
	if (store->fault[0] && !store->is_working)
		work(store); /* a commit of nothing tells */
}

void store_end(struct store *store, void (*ended)(void *context), void *context)
{
	store->ended = ended;
	store->ended_context = context;
	look_whether_ended(store);
}

void store_close(struct store *store)
{
	if (!store)
		return;
	if (store->database)
		store->backend->close(store->database);
	free(store);
}
