/* SPDX-License-Identifier: Apache-2.0 */
/* One mint's own store: a SQLite file that nobody else opens while it runs, so that the views are always fresh. */
#include "store_backend.h"

#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define SCHEMA 1

enum { BUSY_MS = 2000 };

enum query { BEGIN, COMMIT, ROLLBACK, SAVEPOINT, RELEASE, BACK, VERSION, PUT, DELETE, SEQUENCE, QUERIES };

static const char *const queries[QUERIES] = {"BEGIN IMMEDIATE", "COMMIT", "ROLLBACK", "SAVEPOINT item", "RELEASE item",
	"ROLLBACK TO item", "SELECT version FROM record WHERE kind = ?1 AND key = ?2",
	("INSERT INTO record (kind, key, version, body) VALUES (?1, ?2, ?3, ?4) "
	 "ON CONFLICT (kind, key) DO UPDATE SET version = excluded.version, body = excluded.body"),
	"DELETE FROM record WHERE kind = ?1 AND key = ?2", "UPDATE meta SET sequence = ?1"};

struct database {
	sqlite3 *file;
	sqlite3_stmt *prepared[QUERIES];
};

static hm_result failed(const struct database *database, struct hm_problem *why)
{
	return hm_unavailable(why, "store_unavailable", "store.db: %s (%d)", sqlite3_errmsg(database->file),
		sqlite3_extended_errcode(database->file));
}

/* ---- opening ---- */

static hm_result run(struct database *database, const char *sql, struct hm_problem *why)
{
	return sqlite3_exec(database->file, sql, NULL, NULL, NULL) == SQLITE_OK ? HM_OK : failed(database, why);
}

static hm_result read_number(struct database *database, const char *sql, int64_t *number, struct hm_problem *why)
{
	sqlite3_stmt *statement = NULL;
	int result = sqlite3_prepare_v2(database->file, sql, -1, &statement, NULL);
	if (result == SQLITE_OK)
		result = sqlite3_step(statement);
	if (result == SQLITE_ROW)
		*number = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	return result == SQLITE_ROW ? HM_OK : failed(database, why);
}

/* Before anything in it is changed. */
static hm_result check_ours(struct database *database, int64_t *schema, struct hm_problem *why)
{
	int64_t tables = 0;
	HM_TRY(read_number(database, "PRAGMA user_version", schema, why));
	HM_TRY(read_number(database, "SELECT count(*) FROM sqlite_master", &tables, why));
	if (*schema > SCHEMA)
		return hm_refuse(why, "config", NULL,
			"store.db was written by a later version of hsmint (schema %" PRId64 "): run that one",
			*schema);
	if (*schema < 0 || (*schema == 0 && tables))
		return hm_refuse(why, "config", NULL, "store.db is not a store of hsmint: move it away");
	return HM_OK;
}

/* From nothing to schema 1; later ones add a step each. */
static hm_result migrate(struct database *database, int64_t schema, struct hm_problem *why)
{
	if (schema == SCHEMA)
		return HM_OK;
	return run(database,
		"BEGIN IMMEDIATE;"
		"CREATE TABLE record (kind INTEGER NOT NULL, key TEXT NOT NULL, version INTEGER NOT NULL, body TEXT "
		"NOT "
		"NULL, PRIMARY KEY (kind, key)) WITHOUT ROWID;"
		"CREATE TABLE meta (sequence INTEGER NOT NULL);"
		"INSERT INTO meta VALUES (0);"
		"PRAGMA user_version = 1;"
		"COMMIT",
		why);
}

static hm_result prepare(struct database *database, struct hm_problem *why)
{
	for (int i = 0; i < QUERIES; i++)
		if (sqlite3_prepare_v3(database->file, queries[i], -1, SQLITE_PREPARE_PERSISTENT,
			    &database->prepared[i], NULL) != SQLITE_OK)
			return failed(database, why);
	return HM_OK;
}

static hm_result open_file(struct database *database, const char *path, struct hm_problem *why)
{
	int64_t schema = 0;
	mode_t before = umask(0077);
	int result = sqlite3_open_v2(path, &database->file,
		SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW, NULL);
	umask(before);
	if (result != SQLITE_OK)
		return failed(database, why);
	sqlite3_busy_timeout(database->file, BUSY_MS);
	HM_TRY(run(database, "PRAGMA locking_mode = EXCLUSIVE", why));
	HM_TRY(check_ours(database, &schema, why));
	HM_TRY(run(database, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL", why));
	HM_TRY(migrate(database, schema, why));
	return prepare(database, why);
}

static void close_database(void *context)
{
	struct database *database = context;
	for (int i = 0; i < QUERIES; i++)
		sqlite3_finalize(database->prepared[i]);
	sqlite3_close(database->file);
	free(database);
}

/* ---- reading ---- */

static hm_result load(void *context, store_row_use *use, void *use_context, uint64_t *sequence, struct hm_problem *why)
{
	struct database *database = context;
	sqlite3_stmt *rows = NULL;
	int64_t number = 0;
	HM_TRY(read_number(database, "SELECT sequence FROM meta", &number, why));
	*sequence = (uint64_t)number;
	int result = sqlite3_prepare_v2(
		database->file, "SELECT kind, key, version, body FROM record ORDER BY version", -1, &rows, NULL);
	while (result == SQLITE_OK || result == SQLITE_ROW) {
		result = sqlite3_step(rows);
		if (result != SQLITE_ROW)
			break;
		const struct store_row row = {.kind = (enum record_kind)sqlite3_column_int(rows, 0),
			.key = (const char *)sqlite3_column_text(rows, 1),
			.version = (uint64_t)sqlite3_column_int64(rows, 2),
			.body = (const char *)sqlite3_column_text(rows, 3),
			.length = (size_t)sqlite3_column_bytes(rows, 3)};
		use(use_context, &row);
	}
	sqlite3_finalize(rows);
	return result == SQLITE_DONE ? HM_OK : failed(database, why);
}

/* ---- writing ---- */

/* Steps a statement that gives at most one number. SQLITE_ROW, SQLITE_DONE, or an error. */
static int step(struct database *database, enum query query, uint64_t *number)
{
	sqlite3_stmt *statement = database->prepared[query];
	int result = sqlite3_step(statement);
	if (result == SQLITE_ROW && number)
		*number = (uint64_t)sqlite3_column_int64(statement, 0);
	sqlite3_reset(statement);
	return result;
}

static void bind_row(struct database *database, enum query query, const struct change *change)
{
	sqlite3_bind_int(database->prepared[query], 1, (int)change->kind);
	sqlite3_bind_text(database->prepared[query], 2, change->key, -1, SQLITE_STATIC);
}

static bool ran(struct database *database, enum query query)
{
	return step(database, query, NULL) == SQLITE_DONE;
}

/* HM_REFUSED: the row is not what it was; HM_UNAVAILABLE: the file cannot be written. */
static hm_result apply(struct database *database, const struct change *change, uint64_t sequence)
{
	uint64_t version = 0;
	bind_row(database, VERSION, change);
	int found = step(database, VERSION, &version);
	if (found != SQLITE_ROW && found != SQLITE_DONE)
		return HM_UNAVAILABLE;
	if (version != change->seen)
		return HM_REFUSED;
	if (change->act == CHANGE_GUARD)
		return HM_OK;
	if (change->act == CHANGE_DELETE) {
		bind_row(database, DELETE, change);
		return ran(database, DELETE) ? HM_OK : HM_UNAVAILABLE;
	}
	bind_row(database, PUT, change);
	sqlite3_bind_int64(database->prepared[PUT], 3, (int64_t)sequence);
	sqlite3_bind_text(database->prepared[PUT], 4, change->body, (int)change->length, SQLITE_STATIC);
	return ran(database, PUT) ? HM_OK : HM_UNAVAILABLE;
}

static hm_result apply_item(struct database *database, struct store_item *item, uint64_t sequence)
{
	if (!ran(database, SAVEPOINT))
		return HM_UNAVAILABLE;
	hm_result result = HM_OK;
	for (unsigned i = 0; i < item->changes->count && result == HM_OK; i++)
		result = apply(database, &item->changes->items[i], sequence);
	if (result == HM_REFUSED && !ran(database, BACK))
		result = HM_UNAVAILABLE;
	return ran(database, RELEASE) ? result : HM_UNAVAILABLE;
}

static bool apply_all(struct database *database, struct store_item *items, unsigned count, uint64_t *sequence)
{
	if (!ran(database, BEGIN))
		return false;
	for (unsigned i = 0; i < count; i++) {
		items[i].result = apply_item(database, &items[i], *sequence + 1);
		if (items[i].result == HM_UNAVAILABLE)
			return false;
		if (items[i].result == HM_OK)
			items[i].sequence = ++*sequence;
	}
	sqlite3_bind_int64(database->prepared[SEQUENCE], 1, (int64_t)*sequence);
	return ran(database, SEQUENCE) && ran(database, COMMIT);
}

static hm_result commit(void *context, struct store_item *items, unsigned count, store_row_use *use, void *use_context,
	uint64_t *sequence, struct hm_problem *why)
{
	struct database *database = context;
	uint64_t next = *sequence;
	(void)use, (void)use_context; /* there are no others */
	if (apply_all(database, items, count, &next)) {
		*sequence = next;
		return HM_OK;
	}
	hm_result result = failed(database, why);
	if (!sqlite3_get_autocommit(database->file))
		(void)ran(database, ROLLBACK);
	return result;
}

hm_result store_sqlite_open(const char *state, const struct store_backend **backend, void **out, struct hm_problem *why)
{
	static const struct store_backend own = {load, commit, NULL, NULL, NULL, close_database};
	char path[HM_PATH_MAX];
	if (snprintf(path, sizeof path, "%s/store.db", state) >= (int)sizeof path)
		return hm_refuse(why, "config", NULL, "%s: path too long", state);
	struct database *database = calloc(1, sizeof *database);
	if (!database)
		return hm_unavailable(why, "system", "no memory");
	hm_result result = open_file(database, path, why);
	if (result != HM_OK) {
		close_database(database);
		return result;
	}
	*backend = &own;
	*out = database;
	return HM_OK;
}
