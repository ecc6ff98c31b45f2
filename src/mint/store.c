/* SPDX-License-Identifier: Apache-2.0 */
#include "store.h"

#include "store_backend.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

enum { BATCH = 256, POLL_MS = 250, FAULT_MAX = sizeof((struct hm_problem *)0)->detail };

struct commit {
	TAILQ_ENTRY(commit) link;
	struct changes *changes;
	store_done *done;
	void *context;
};
TAILQ_HEAD(commit_list, commit);

/* A socket that is watched while no worker has it: one that a worker has closed may be another's by now. */
struct watch {
	uv_poll_t handle;
	struct store *store;
};

struct store {
	uv_loop_t *loop;
	struct store_events events;
	const struct store_backend *backend;
	void *database;
	uint64_t sequence, fresh_ms; /* the newest that the views have, and when they were known to have all */
	char fault[FAULT_MAX];       /* "": it could be written when it was last tried */
	uv_timer_t poll;             /* these two where there are others */
	struct watch *watch;         /* NULL: none */

	struct commit_list waiting;
	unsigned waits;
	uv_work_t work;
	bool is_working;
	struct commit *batch[BATCH]; /* the worker's, */
	struct store_item items[BATCH];
	unsigned count;
	bool is_poll;            /* nothing is written */
	uint64_t began_ms, next; /* and what came of it: up to this sequence the views have all rows with these: */
	struct changes *others;  /* what others wrote, each as a change whose `seen` is its version */
	bool has_dropped;        /* not all of it */
	hm_result result;
	struct hm_problem why;

	void (*ended)(void *context); /* NULL: it goes on */
	void *ended_context;
};

static uint64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- what came of it ---- */

static void give_others(struct store *store)
{
	for (unsigned i = 0; i < store->others->count; i++) {
		const struct change *change = &store->others->items[i];
		const struct store_row row = {change->kind, change->key, change->seen, change->body, change->length};
		store->events.row(store->events.context, &row);
	}
	changes_close(store->others);
	store->others = NULL;
}

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

/* ---- the end ---- */

static void free_watch(uv_handle_t *handle)
{
	free(handle->data);
}

static void forget_watch(struct store *store)
{
	if (store->watch)
		uv_close((uv_handle_t *)&store->watch->handle, free_watch);
	store->watch = NULL;
}

static void on_closed(uv_handle_t *handle)
{
	struct store *store = handle->data;
	store->ended(store->ended_context);
}

static void look_whether_ended(struct store *store)
{
	if (!store->ended || store->is_working || store->waits || uv_is_closing((uv_handle_t *)&store->poll))
		return;
	forget_watch(store);
	uv_close((uv_handle_t *)&store->poll, on_closed);
}

/* ---- what came of a batch ---- */

static void start(struct store *store);
static void work(struct store *store);

/* Earlier ones are told before later ones, so that one that was refused finds in the views what came before it. */
static void finish_batch(struct store *store)
{
	static const struct hm_problem conflict = {
		.code = "store_conflict", .detail = "a new try: another act came first"};
	unsigned count = store->count;
	for (unsigned i = 0; i < count; i++) {
		const struct store_item *item = &store->items[i];
		hm_result result = store->result == HM_OK ? item->result : HM_UNAVAILABLE;
		finish(store, store->batch[i], result, item->sequence, result == HM_REFUSED ? &conflict : &store->why);
	}
	store->count = 0;
}

/* In the worker. Without one of them the views would be wrong for ever: they are asked for again. */
static void keep_other(void *context, const struct store_row *row)
{
	struct store *store = context;
	bool is_kept = row->body ? changes_put(store->others, row->kind, row->key, row->version, row->body, row->length)
				 : changes_delete(store->others, row->kind, row->key, row->version);
	store->has_dropped |= !is_kept;
}

static void in_worker(uv_work_t *work)
{
	struct store *store = work->data;
	const struct store_backend *backend = store->backend;
	store->next = store->sequence;
	store->result = store->is_poll ? backend->poll(store->database, keep_other, store, &store->next, &store->why)
				       : backend->commit(store->database, store->items, store->count, keep_other, store,
						 &store->next, &store->why);
}

/* A row that could not be kept, for want of memory or since it is larger than any of ours, is one that nobody may go on
 * without. */
static void take_others(struct store *store)
{
	give_others(store);
	store->sequence = store->next;
	if (store->has_dropped)
		store->events.lost(store->events.context, "a row of the store is too large, or there is no memory");
	else if (store->result == HM_REFUSED)
		store->events.lost(store->events.context, store->why.detail);
	else if (store->result == HM_OK)
		store->fresh_ms = store->began_ms;
}

/* ---- hearing of others ---- */

static void begin_poll(struct store *store)
{
	if (store->is_working || store->ended || !store->backend->poll)
		return;
	store->is_poll = true;
	work(store);
}

static void on_readable(uv_poll_t *handle, int status, int events)
{
	(void)status, (void)events; /* a connection that broke, too, is found by asking */
	begin_poll(((struct watch *)handle->data)->store);
}

static void on_poll(uv_timer_t *timer)
{
	begin_poll(timer->data);
}

static struct watch *watch_open(struct store *store, int socket)
{
	struct watch *watch = calloc(1, sizeof *watch);
	if (!watch)
		return NULL;
	watch->handle.data = watch;
	watch->store = store;
	if (uv_poll_init(store->loop, &watch->handle, socket) == 0)
		return watch;
	free(watch);
	return NULL; /* the timer will do */
}

/* While nobody else uses the connection. */
static void listen_to(struct store *store)
{
	int socket = store->backend->socket(store->database);
	if (socket >= 0)
		store->watch = watch_open(store, socket);
	if (store->watch)
		uv_poll_start(&store->watch->handle, UV_READABLE, on_readable);
}

static void go_on_listening(struct store *store)
{
	if (store->is_working || !store->backend->poll)
		return;
	if (store->backend->has_news(store->database))
		begin_poll(store);
	else
		listen_to(store);
}

/* ---- working ---- */

static void on_worked(uv_work_t *work, int status)
{
	struct store *store = work->data;
	(void)status;
	take_others(store);
	if (store->result != HM_OK || !store->is_poll) /* a poll does not tell whether it can be written */
		set_fault(store, store->result == HM_OK ? "" : store->why.detail);
	finish_batch(store);
	store->is_poll = false;
	store->is_working = false; /* what is committed from within waits until here */
	start(store);
	go_on_listening(store);
	look_whether_ended(store);
}

static void work(struct store *store)
{
	forget_watch(store);
	store->others = changes_open();
	store->has_dropped = false;
	store->began_ms = now_ms();
	if (!store->others || uv_queue_work(store->loop, &store->work, in_worker, on_worked) != 0)
		abort(); /* who waits would wait for ever */
	store->is_working = true;
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

static hm_result open_backend(struct store *store, const char *url, const char *state, struct hm_problem *why)
{
	HM_TRY(url ? store_postgres_open(url, &store->backend, &store->database, why)
		   : store_sqlite_open(state, &store->backend, &store->database, why));
	store->fresh_ms = now_ms();
	return store->backend->load(store->database, store->events.row, store->events.context, &store->sequence, why);
}

hm_result store_open(uv_loop_t *loop, const char *url, const char *state, const struct store_events *events,
	struct store **out, struct hm_problem *why)
{
	struct store *store = calloc(1, sizeof *store);
	if (!store)
		return hm_unavailable(why, "system", "no memory");
	store->loop = loop;
	store->events = *events;
	store->work.data = store;
	TAILQ_INIT(&store->waiting);
	hm_result result = open_backend(store, url, state, why);
	if (result != HM_OK) {
		store_close(store);
		return result;
	}
	uv_timer_init(loop, &store->poll);
	store->poll.data = store;
	if (store->backend->poll)
		uv_timer_start(&store->poll, on_poll, POLL_MS, POLL_MS);
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
	return store->backend->poll ? now_ms() - store->fresh_ms : 0; /* nobody else writes to SQLite's */
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
	if (store->fault[0] && !store->is_working && !store->ended)
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
