/* SPDX-License-Identifier: Apache-2.0 */
/* The store in SQLite: what is committed is there after a new start, all of an act or nothing. */
#include "store.h"

#include <criterion/criterion.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 1024 };

static char directory[] = "/tmp/hsmint-store-XXXXXX", path[sizeof directory + 16];
static uv_loop_t loop;
static struct store *store;
static struct hm_problem why;

/* What the views would have heard, as "KIND KEY VERSION BODY". */
static char heard[ROWS][128];
static unsigned heard_count;

static void row(void *context, const struct store_row *row)
{
	(void)context;
	cr_assert_lt(heard_count, (unsigned)ROWS);
	cr_expect(!row->body || strlen(row->body) == row->length);
	snprintf(heard[heard_count++], sizeof *heard, "%d %s %llu %s", (int)row->kind, row->key,
		(unsigned long long)row->version, row->body ? row->body : "-");
}

static void ignore(void *context)
{
	(void)context;
}

static hm_result try_open(void)
{
	static const struct store_events events = {.row = row, .changed = ignore};
	heard_count = 0;
	why = (struct hm_problem){.code = NULL};
	return store_open(&loop, NULL, directory, &events, &store, &why);
}

static void open_store(void)
{
	cr_assert_eq(try_open(), HM_OK, "%s", why.detail);
}

static void ended(void *context)
{
	*(bool *)context = true;
}

static void close_store(void)
{
	bool over = false;
	store_end(store, ended, &over);
	while (!over)
		uv_run(&loop, UV_RUN_ONCE);
	store_close(store);
	store = NULL;
}

static void make_directory(void)
{
	cr_assert_not_null(mkdtemp(directory));
	snprintf(path, sizeof path, "%s/store.db", directory);
	cr_assert_eq(uv_loop_init(&loop), 0);
}

static void remove_directory(void)
{
	char command[64];
	uv_run(&loop, UV_RUN_DEFAULT);
	cr_expect_eq(uv_loop_close(&loop), 0);
	snprintf(command, sizeof command, "rm -r %s", directory);
	cr_expect_eq(system(command), 0);
}

TestSuite(store, .init = make_directory, .fini = remove_directory);

/* ---- acts ---- */

struct answer {
	bool is_done;
	hm_result result;
	uint64_t sequence;
	const char *code;
};

static void done(void *context, hm_result result, uint64_t sequence, const struct hm_problem *fault)
{
	*(struct answer *)context = (struct answer){true, result, sequence, result == HM_OK ? NULL : fault->code};
}

static struct changes *change(struct changes *changes, const char *key, uint64_t seen, const char *body)
{
	if (!changes)
		changes = changes_open();
	cr_assert_not_null(changes);
	cr_assert(body ? changes_put(changes, RECORD_TASK, key, seen, body, strlen(body))
		       : changes_delete(changes, RECORD_TASK, key, seen));
	return changes;
}

static struct answer commit(struct changes *changes)
{
	struct answer answer = {.is_done = false};
	store_commit(store, changes, done, &answer);
	cr_expect_not(answer.is_done, "it is never answered from within");
	while (!answer.is_done)
		uv_run(&loop, UV_RUN_ONCE);
	return answer;
}

static void expect_committed(struct changes *changes, uint64_t sequence)
{
	struct answer answer = commit(changes);
	cr_assert_eq(answer.result, HM_OK);
	cr_expect_eq(answer.sequence, sequence);
	cr_expect_eq(store_sequence(store), sequence);
}

static void expect_conflict(struct changes *changes)
{
	uint64_t before = store_sequence(store);
	unsigned rows = heard_count;
	struct answer answer = commit(changes);
	cr_assert_eq(answer.result, HM_REFUSED);
	cr_expect_str_eq(answer.code, "store_conflict");
	cr_expect_eq(store_sequence(store), before);
	cr_expect_eq(heard_count, rows);
}

Test(store, what_is_committed_is_there_after_a_new_start)
{
	open_store();
	cr_expect_eq(store_sequence(store), 0u);
	expect_committed(change(change(NULL, "one", 0, "{\"a\":1}"), "two", 0, "{}"), 1);
	expect_committed(change(NULL, "one", 1, "{\"a\":2}"), 2);
	expect_committed(change(change(NULL, "two", 1, NULL), "three", 0, "{}"), 3);
	cr_expect_eq(heard_count, 5u);
	cr_expect_str_eq(heard[3], "2 two 3 -");
	close_store();
	open_store();
	cr_expect_eq(store_sequence(store), 3u);
	cr_assert_eq(heard_count, 2u);
	cr_expect_str_eq(heard[0], "2 one 2 {\"a\":2}");
	cr_expect_str_eq(heard[1], "2 three 3 {}");
	expect_committed(change(NULL, "two", 0, "{}"), 4);
	close_store();
}

Test(store, an_act_on_a_row_that_is_not_what_it_was_leaves_nothing)
{
	open_store();
	expect_committed(change(NULL, "one", 0, "{}"), 1);
	expect_conflict(change(NULL, "one", 0, "{\"a\":1}"));
	expect_conflict(change(NULL, "one", 2, "{\"a\":1}"));
	expect_conflict(change(NULL, "one", 2, NULL));
	expect_conflict(change(NULL, "none", 1, NULL));
	expect_conflict(change(change(NULL, "two", 0, "{}"), "one", 0, "{}"));
	struct changes *guarded = change(NULL, "two", 0, "{}");
	cr_assert(changes_guard(guarded, RECORD_TASK, "one", 0));
	expect_conflict(guarded);
	close_store();
	open_store();
	cr_assert_eq(heard_count, 1u);
	cr_expect_str_eq(heard[0], "2 one 1 {}");
	guarded = change(NULL, "two", 0, "{}");
	cr_assert(changes_guard(guarded, RECORD_TASK, "one", 1));
	cr_assert(changes_guard(guarded, RECORD_AGENT, "one", 0)); /* one of another kind is another */
	expect_committed(guarded, 2);
	cr_expect_eq(heard_count, 2u, "of a guard nothing is told");
	close_store();
}

/* All that wait while a worker is busy go together: one that is refused takes none of the others with it. */
Test(store, acts_that_go_together_stand_or_fall_alone)
{
	enum { MANY = 600 };
	static struct answer answers[MANY];
	char key[16];
	uint64_t sequence = 0;
	open_store();
	for (int i = 0; i < MANY; i++) {
		snprintf(key, sizeof key, "k%d", i % 3 == 2 ? i - 1 : i); /* every third comes second */
		store_commit(store, change(NULL, key, 0, "{}"), done, &answers[i]);
	}
	close_store();
	for (int i = 0; i < MANY; i++) {
		cr_assert(answers[i].is_done, "all are answered before it ends");
		cr_assert_eq(answers[i].result, i % 3 == 2 ? HM_REFUSED : HM_OK, "%d", i);
		if (i % 3 != 2)
			cr_assert_eq(answers[i].sequence, ++sequence);
	}
	open_store();
	cr_expect_eq(heard_count, sequence);
	cr_expect_eq(store_sequence(store), sequence);
	close_store();
}

/* ---- files that are not ours ---- */

static void write_file(const char *text)
{
	FILE *file = fopen(path, "w");
	cr_assert_not_null(file);
	cr_assert_geq(fputs(text, file), 0);
	cr_assert_eq(fclose(file), 0);
}

static void run_sql(const char *sql)
{
	sqlite3 *file;
	cr_assert_eq(sqlite3_open(path, &file), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(file, sql, NULL, NULL, NULL), SQLITE_OK, "%s", sqlite3_errmsg(file));
	cr_assert_eq(sqlite3_close(file), SQLITE_OK);
}

static void expect_none(hm_result result, const char *code, const char *said)
{
	cr_assert_eq(try_open(), result);
	cr_expect_str_eq(why.code, code);
	cr_expect_not_null(strstr(why.detail, said), "%s", why.detail);
	cr_expect_eq(heard_count, 0u);
}

Test(store, a_file_that_is_no_database_cannot_be_read)
{
	write_file("This is a text, and longer than the header of a database, which has a hundred bytes: it is none "
		   "that SQLite could read.\n");
	expect_none(HM_UNAVAILABLE, "store_unavailable", "store.db: ");
}

Test(store, one_of_a_later_version_is_refused)
{
	open_store();
	close_store();
	run_sql("PRAGMA user_version = 99");
	expect_none(HM_REFUSED, "config", "later version of hsmint (schema 99)");
}

Test(store, a_database_of_another_program_is_refused_and_left_as_it_was)
{
	run_sql("CREATE TABLE other (a INTEGER)");
	expect_none(HM_REFUSED, "config", "store.db is not a store of hsmint");
	run_sql("CREATE TABLE record (a INTEGER)"); /* would fail if ours had been made there */
	run_sql("PRAGMA user_version = -1");
	expect_none(HM_REFUSED, "config", "store.db is not a store of hsmint");
}

Test(store, one_whose_tables_are_missing_cannot_be_read)
{
	run_sql("PRAGMA user_version = 1");
	expect_none(HM_UNAVAILABLE, "store_unavailable", "no such table");
}
