/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store that several mints share: a PostgreSQL database. Whoever commits locks the one row of hsmint.meta first, so
 * that commits have their numbers in the order in which they become visible, and who has read up to a number has missed
 * nothing before it. A row that was deleted stays without a body for a day, so that the others hear of it.
 */
#include "store_backend.h"

#include "postgres.h"
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TRIES = 5, NUMBER_MAX = 24 };

struct database {
	struct postgres *postgres;
};

/* ---- the schema ---- */

/* Migration n brings schema n - 1 to n. One that was published is never changed. */
static const char *const migrations[] = {
	"CREATE SCHEMA hsmint;"
	"CREATE TABLE hsmint.meta (one boolean PRIMARY KEY DEFAULT true CHECK (one), schema integer NOT NULL,"
	" sequence bigint NOT NULL, purged bigint NOT NULL);"
	"INSERT INTO hsmint.meta (schema, sequence, purged) VALUES (1, 0, 0);"
	"CREATE TABLE hsmint.record (kind smallint NOT NULL, key text COLLATE \"C\" NOT NULL, version bigint NOT NULL,"
	" body text, written timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (kind, key));"
	"CREATE INDEX record_version ON hsmint.record (version);"
	"CREATE INDEX record_deleted ON hsmint.record (written) WHERE body IS NULL;"
	"CREATE TABLE hsmint.anchor (origin text PRIMARY KEY, note text NOT NULL)",
};
enum { SCHEMA = sizeof migrations / sizeof *migrations };

static bool read_number(const PGresult *result, int column, uint64_t *number)
{
	char *end;
	const char *text = PQgetvalue(result, 0, column);
	*number = strtoull(text, &end, 10);
	return *text >= '0' && *text <= '9' && !*end;
}

static bool take_number(void *number, const PGresult *result)
{
	return read_number(result, 0, number);
}

static hm_result read_schema(struct postgres *postgres, uint64_t *schema, struct hm_problem *why)
{
	uint64_t is_there = 0;
	*schema = 0;
	HM_TRY(postgres_ask(postgres, "SELECT (to_regclass('hsmint.meta') IS NOT NULL)::int", NULL, 0, take_number,
		&is_there, why));
	return is_there ? postgres_ask(postgres, "SELECT schema FROM hsmint.meta", NULL, 0, take_number, schema, why)
			: HM_OK;
}

static hm_result migrate_from(struct postgres *postgres, uint64_t schema, struct hm_problem *why)
{
	char note[96];
	if (schema > SCHEMA)
		return hm_refuse(why, "config", NULL,
			"the store was written by a later version of hsmint (schema %" PRIu64 "): run that one",
			schema);
	for (; schema < SCHEMA; schema++) {
		HM_TRY(postgres_run(postgres, migrations[schema], why));
		snprintf(note, sizeof note, "UPDATE hsmint.meta SET schema = %" PRIu64, schema + 1);
		HM_TRY(postgres_run(postgres, note, why));
	}
	return postgres_commit(postgres, why);
}

/* One node does it; the others wait for its lock, and find it done. */
static hm_result migrate(struct postgres *postgres, struct hm_problem *why)
{
	uint64_t schema;
	HM_TRY(postgres_run(postgres, "BEGIN; SELECT pg_advisory_xact_lock(hashtext('hsmint migration'))", why));
	hm_result result = read_schema(postgres, &schema, why);
	if (result == HM_OK)
		result = migrate_from(postgres, schema, why);
	if (result != HM_OK)
		postgres_hang_up(postgres);
	return result;
}

/* A server that was away may have been replaced by one of another schema. */
static hm_result be_connected(struct database *database, struct hm_problem *why)
{
	bool is_new;
	HM_TRY(postgres_connect(database->postgres, &is_new, why));
	if (!is_new)
		return HM_OK;
	HM_TRY(migrate(database->postgres, why));
	hm_result result = postgres_run(database->postgres, "LISTEN hsmint", why);
	if (result != HM_OK)
		postgres_hang_up(database->postgres); /* or the next call would take it for one that listens */
	return result;
}

/* ---- reading ---- */

struct reading {
	store_row_use *use;
	void *context;
	uint64_t newest; /* of what was given */
};

static bool give_row(void *context, const PGresult *result)
{
	struct reading *reading = context;
	uint64_t kind;
	struct store_row row = {.key = PQgetvalue(result, 0, 1)};
	if (!read_number(result, 0, &kind) || !read_number(result, 2, &row.version) || kind >= RECORD_KINDS)
		return false;
	row.kind = (enum record_kind)kind;
	row.body = PQgetisnull(result, 0, 3) ? NULL : PQgetvalue(result, 0, 3);
	row.length = row.body ? (size_t)PQgetlength(result, 0, 3) : 0;
	reading->use(reading->context, &row);
	reading->newest = row.version;
	return true;
}

/* Rows after `*sequence`; all of a commit's are seen, or none. */
static hm_result read_rows(
	struct postgres *postgres, store_row_use *use, void *context, uint64_t *sequence, struct hm_problem *why)
{
	char after[NUMBER_MAX];
	const char *const parameters[] = {after};
	struct reading reading = {use, context, *sequence};
	snprintf(after, sizeof after, "%" PRIu64, *sequence);
	HM_TRY(postgres_ask(postgres,
		"SELECT kind, key, version, body FROM hsmint.record WHERE version > $1 AND ($1 > 0 OR body IS NOT "
		"NULL) ORDER BY version",
		parameters, 1, give_row, &reading, why));
	*sequence = reading.newest;
	return HM_OK;
}

/* The sequence that is committed, and the newest deletion that is forgotten. */
struct meta {
	uint64_t sequence, purged;
};

static bool take_meta(void *context, const PGresult *result)
{
	struct meta *meta = context;
	return read_number(result, 0, &meta->sequence) && read_number(result, 1, &meta->purged);
}

static hm_result set_back(uint64_t known, uint64_t sequence, struct hm_problem *why)
{
	return hm_refuse(why, "store_unavailable", NULL,
		"the store has been set back: %" PRIu64 " commits were known, it has %" PRIu64, known, sequence);
}

/* Rows of commits up to the one that `meta` tells, and perhaps some that came since. */
static hm_result catch_up(struct postgres *postgres, const struct meta *meta, store_row_use *use, void *context,
	uint64_t *sequence, struct hm_problem *why)
{
	if (meta->sequence < *sequence)
		return set_back(*sequence, meta->sequence, why);
	if (*sequence && *sequence < meta->purged)
		return hm_refuse(why, "store_unavailable", NULL,
			"the store was out of reach for so long that it no longer tells what was deleted meanwhile");
	if (meta->sequence == *sequence)
		return HM_OK;
	uint64_t newest = *sequence;
	HM_TRY(read_rows(postgres, use, context, &newest, why));
	*sequence = newest > meta->sequence ? newest : meta->sequence;
	return HM_OK;
}

static hm_result read_news(
	void *context, store_row_use *use, void *use_context, uint64_t *sequence, struct hm_problem *why)
{
	struct database *database = context;
	struct meta meta = {0};
	HM_TRY(be_connected(database, why));
	HM_TRY(postgres_ask(
		database->postgres, "SELECT sequence, purged FROM hsmint.meta", NULL, 0, take_meta, &meta, why));
	return catch_up(database->postgres, &meta, use, use_context, sequence, why);
}

static hm_result load(void *context, store_row_use *use, void *use_context, uint64_t *sequence, struct hm_problem *why)
{
	*sequence = 0;
	return read_news(context, use, use_context, sequence, why);
}

/* ---- a transaction ---- */

/* The rows that a batch is about, by "KIND KEY": the version that each has, and what is written. */
struct batch {
	json_t *versions; /* 0: there is none */
	json_t *rows;
	uint64_t sequence;
	bool has_deleted;
	bool has_failed; /* no memory, or a text that is not UTF-8 */
};

static void name_of(const struct change *change, char name[HM_STORE_KEY_MAX + 16])
{
	snprintf(name, HM_STORE_KEY_MAX + 16, "%d %s", (int)change->kind, change->key);
}

static bool take_version(void *context, const PGresult *result)
{
	struct batch *batch = context;
	char name[HM_STORE_KEY_MAX + 16];
	uint64_t version;
	snprintf(name, sizeof name, "%s %s", PQgetvalue(result, 0, 0), PQgetvalue(result, 0, 1));
	return read_number(result, 2, &version) &&
	       json_object_set_new(batch->versions, name, json_integer((json_int_t)version)) == 0;
}

static json_t *keys_of(const struct store_item *items, unsigned count)
{
	json_t *keys = json_array();
	bool is_whole = keys;
	for (unsigned i = 0; i < count; i++)
		for (unsigned k = 0; k < items[i].changes->count; k++) {
			const struct change *change = &items[i].changes->items[k];
			is_whole &= json_array_append_new(keys,
					    json_pack("{s:i, s:s}", "k", (int)change->kind, "n", change->key)) == 0;
		}
	if (is_whole)
		return keys;
	json_decref(keys);
	return NULL;
}

static hm_result cannot_send(struct hm_problem *why)
{
	return hm_unavailable(why, "store_unavailable", "no memory, or a row is not in UTF-8");
}

static hm_result ask_with_json(struct postgres *postgres, const char *sql, json_t *json, const char *more,
	postgres_row *use, void *context, struct hm_problem *why)
{
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	const char *const parameters[] = {text, more};
	hm_result result =
		text ? postgres_ask(postgres, sql, parameters, more ? 2 : 1, use, context, why) : cannot_send(why);
	free(text);
	return result;
}

static hm_result read_versions(struct postgres *postgres, const struct store_item *items, unsigned count,
	struct batch *batch, struct hm_problem *why)
{
	json_t *keys = keys_of(items, count);
	hm_result result = ask_with_json(postgres,
		"SELECT r.kind, r.key, r.version FROM json_to_recordset($1::json) AS w(k smallint, n text) JOIN "
		"hsmint.record r ON r.kind = w.k AND r.key = w.n WHERE r.body IS NOT NULL",
		keys, NULL, take_version, batch, why);
	json_decref(keys);
	return result;
}

static bool is_as_seen(const struct batch *batch, const struct changes *changes)
{
	char name[HM_STORE_KEY_MAX + 16];
	for (unsigned i = 0; i < changes->count; i++) {
		name_of(&changes->items[i], name);
		json_int_t version = json_integer_value(json_object_get(batch->versions, name));
		if ((uint64_t)version != changes->items[i].seen)
			return false;
	}
	return true;
}

static bool set_row(struct batch *batch, const char *name, const struct change *change, json_int_t version)
{
	json_t *row = json_pack("{s:i, s:s, s:I}", "k", (int)change->kind, "n", change->key, "v", version);
	if (!row || json_object_set_new(batch->rows, name, row) != 0)
		return false;
	json_t *body = change->body ? json_stringn(change->body, change->length) : json_null();
	return json_object_set_new(row, "b", body) == 0;
}

static void put_in_batch(struct batch *batch, const struct change *change)
{
	char name[HM_STORE_KEY_MAX + 16];
	json_int_t version = (json_int_t)batch->sequence;
	bool is_deleted = change->act == CHANGE_DELETE;
	name_of(change, name);
	batch->has_deleted |= is_deleted;
	batch->has_failed |= !set_row(batch, name, change, version) ||
			     json_object_set_new(batch->versions, name, json_integer(is_deleted ? 0 : version)) != 0;
}

/* Later items see what earlier ones changed. */
static void decide(struct batch *batch, struct store_item *items, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		const struct changes *changes = items[i].changes;
		items[i].result = is_as_seen(batch, changes) ? HM_OK : HM_REFUSED;
		if (items[i].result != HM_OK)
			continue;
		items[i].sequence = ++batch->sequence;
		for (unsigned k = 0; k < changes->count; k++)
			if (changes->items[k].act != CHANGE_GUARD)
				put_in_batch(batch, &changes->items[k]);
	}
}

static hm_result write_batch(struct postgres *postgres, const struct batch *batch, struct hm_problem *why)
{
	char sequence[NUMBER_MAX];
	snprintf(sequence, sizeof sequence, "%" PRIu64, batch->sequence);
	json_t *rows = json_array();
	const char *name;
	json_t *row;
	bool is_whole = rows && !batch->has_failed;
	json_object_foreach(batch->rows, name, row) is_whole &= json_array_append(rows, row) == 0;
	hm_result result =
		!is_whole ? cannot_send(why)
			  : ask_with_json(postgres,
				    "WITH put AS (INSERT INTO hsmint.record (kind, key, version, body) SELECT k, n, v, "
				    "b FROM "
				    "json_to_recordset($1::json) AS w(k smallint, n text, v bigint, b text) ON "
				    "CONFLICT (kind, key) DO UPDATE "
				    "SET version = excluded.version, body = excluded.body, written = excluded.written) "
				    "UPDATE hsmint.meta SET sequence = $2::bigint RETURNING pg_notify('hsmint', "
				    "$2::text)",
				    rows, sequence, NULL, NULL, why);
	json_decref(rows);
	return result;
}

/* Who was away for a day must load anew. */
static hm_result purge(struct postgres *postgres, struct hm_problem *why)
{
	return postgres_run(postgres,
		"WITH gone AS (DELETE FROM hsmint.record WHERE body IS NULL AND written < now() - interval '1 day' "
		"RETURNING "
		"version) UPDATE hsmint.meta SET purged = greatest(purged, (SELECT max(version) FROM gone))",
		why);
}

static hm_result run_locked(struct postgres *postgres, struct store_item *items, unsigned count, struct batch *batch,
	struct hm_problem *why)
{
	HM_TRY(read_versions(postgres, items, count, batch, why));
	decide(batch, items, count);
	HM_TRY(write_batch(postgres, batch, why));
	if (batch->has_deleted)
		HM_TRY(purge(postgres, why));
	return postgres_commit(postgres, why);
}

/* The lock is held until the end. `*sequence` is then what the views know before the items. */
static hm_result lock(
	struct postgres *postgres, store_row_use *use, void *context, uint64_t *sequence, struct hm_problem *why)
{
	struct meta meta = {0};
	HM_TRY(postgres_run(postgres, "BEGIN ISOLATION LEVEL READ COMMITTED", why));
	HM_TRY(postgres_ask(postgres, "UPDATE hsmint.meta SET sequence = sequence RETURNING sequence, purged", NULL, 0,
		take_meta, &meta, why));
	return catch_up(postgres, &meta, use, context, sequence, why);
}

static hm_result try_once(struct database *database, struct store_item *items, unsigned count, store_row_use *use,
	void *context, uint64_t *sequence, struct hm_problem *why)
{
	HM_TRY(be_connected(database, why));
	HM_TRY(lock(database->postgres, use, context, sequence, why));
	struct batch batch = {.versions = json_object(), .rows = json_object(), .sequence = *sequence};
	hm_result result = batch.versions && batch.rows ? run_locked(database->postgres, items, count, &batch, why)
							: cannot_send(why);
	json_decref(batch.versions);
	json_decref(batch.rows);
	if (result == HM_OK)
		*sequence = batch.sequence;
	return result;
}

/* What is left of a transaction that failed. */
static void roll_back(struct postgres *postgres)
{
	struct hm_problem unneeded;
	if (postgres_run(postgres, "ROLLBACK", &unneeded) != HM_OK)
		postgres_hang_up(postgres);
}

static hm_result commit(void *context, struct store_item *items, unsigned count, store_row_use *use, void *use_context,
	uint64_t *sequence, struct hm_problem *why)
{
	struct database *database = context;
	for (unsigned tries = 1;; tries++) {
		hm_result result = try_once(database, items, count, use, use_context, sequence, why);
		if (result == HM_OK)
			return HM_OK;
		bool must_retry = postgres_must_retry(database->postgres);
		roll_back(database->postgres);
		if (!must_retry || tries == TRIES)
			return result;
	}
}

/* ---- as a backend ---- */

static bool has_news(void *context)
{
	struct database *database = context;
	return postgres_was_notified(database->postgres);
}

static int socket_of(void *context)
{
	struct database *database = context;
	return postgres_socket(database->postgres);
}

static void close_database(void *context)
{
	struct database *database = context;
	postgres_close(database->postgres);
	free(database);
}

hm_result store_postgres_open(const char *url, const struct store_backend **backend, void **out, struct hm_problem *why)
{
	static const struct store_backend shared = {load, commit, read_news, has_news, socket_of, close_database};
	struct database *database = calloc(1, sizeof *database);
	if (database)
		database->postgres = postgres_open(url);
	if (!database || !database->postgres) {
		free(database);
		return hm_unavailable(why, "system", "no memory");
	}
	*backend = &shared;
	*out = database;
	return HM_OK;
}
