/* SPDX-License-Identifier: Apache-2.0 */
#include "postgres.h"

#include "limits.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct postgres {
	PGconn *connection; /* NULL: none */
	char *url;
	bool must_retry;
};

/* ---- the address ---- */

static hm_result check_options(const PQconninfoOption *options, struct hm_problem *why)
{
	for (; options->keyword; options++)
		if (options->val && strchr(options->dispchar, '*')) /* libpq's own mark of what is not to be shown */
			return hm_refuse(why, "config", NULL,
				"no password here: name a file of mode 0600 that has it, \"?passfile=/…\", or use a "
				"client certificate or peer authentication");
	return HM_OK;
}

/* A message is one line of a log. */
static void clean(char *text)
{
	for (char *c = text; *c; c++)
		if ((unsigned char)*c < ' ')
			*c = ' ';
	for (size_t length = strlen(text); length && text[length - 1] == ' '; length--)
		text[length - 1] = 0;
}

hm_result postgres_check_url(const char *url, struct hm_problem *why)
{
	char *fault = NULL;
	if (strncmp(url, "postgresql://", 13) != 0)
		return hm_refuse(why, "config", NULL, "\"postgresql://USER@HOST/DATABASE\", or nothing for SQLite");
	PQconninfoOption *options = PQconninfoParse(url, &fault);
	hm_result result = options ? check_options(options, why)
				   : hm_refuse(why, "config", NULL, "%.200s", fault ? fault : "no memory");
	PQconninfoFree(options);
	PQfreemem(fault);
	if (result != HM_OK)
		clean(why->detail);
	return result;
}

/* ---- connecting ---- */

struct postgres *postgres_open(const char *url)
{
	struct postgres *postgres = calloc(1, sizeof *postgres);
	if (!postgres)
		return NULL;
	postgres->url = strdup(url);
	if (postgres->url)
		return postgres;
	free(postgres);
	return NULL;
}

void postgres_hang_up(struct postgres *postgres)
{
	PQfinish(postgres->connection);
	postgres->connection = NULL;
}

void postgres_close(struct postgres *postgres)
{
	if (!postgres)
		return;
	postgres_hang_up(postgres);
	free(postgres->url);
	free(postgres);
}

static hm_result lost(struct postgres *postgres, const char *what, struct hm_problem *why)
{
	char message[300];
	snprintf(message, sizeof message, "%s", what);
	clean(message);
	postgres_hang_up(postgres);
	postgres->must_retry = false;
	return hm_unavailable(why, "store_unavailable", "PostgreSQL: %s", message);
}

static hm_result lost_connection(struct postgres *postgres, struct hm_problem *why)
{
	return postgres->connection ? lost(postgres, PQerrorMessage(postgres->connection), why)
				    : lost(postgres, "no memory for a connection", why);
}

/* False: it is silent for too long. What goes wrong else is seen by who reads. */
static bool wait_for(const struct postgres *postgres, short events)
{
	struct pollfd socket = {.fd = PQsocket(postgres->connection), .events = events};
	int ready;
	do
		ready = poll(&socket, 1, HM_POSTGRES_SILENCE_MS);
	while (ready < 0 && errno == EINTR);
	return ready != 0;
}

/* Each but the last may be overridden in the URL. A server that is not on this machine must show who it is. Of several
 * hosts, one that is silent is given up for the next: only libpq's own waiting does that. */
static PGconn *connect_to(const char *url)
{
	static const char *const names[] = {"application_name", "client_encoding", "gssencmode", "sslmode",
		"target_session_attrs", "tcp_user_timeout", "dbname", "connect_timeout", NULL};
	char seconds[16];
	const char *values[] = {"hsmint", "UTF8", "disable", "verify-full", "read-write", "5000", url, seconds, NULL};
	snprintf(seconds, sizeof seconds, "%d", HM_POSTGRES_SILENCE_MS / 1000);
	return PQconnectdbParams(names, values, 1);
}

/* Commits are on stable storage when they are answered, and a node that hangs within one is given up before those who
 * wait for it give up. */
static const char settings[] =
	"SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';"
	"SET default_transaction_isolation = 'read committed'; SET idle_in_transaction_session_timeout = '2s'; SET "
	"lock_timeout = '5s'";

static void say_nothing(void *context, const PGresult *notice)
{
	(void)context, (void)notice;
}

hm_result postgres_connect(struct postgres *postgres, bool *is_new, struct hm_problem *why)
{
	*is_new = !postgres->connection;
	if (postgres->connection)
		return HM_OK;
	postgres->connection = connect_to(postgres->url);
	if (PQstatus(postgres->connection) != CONNECTION_OK || PQsetnonblocking(postgres->connection, 1) != 0)
		return lost_connection(postgres, why);
	PQsetNoticeReceiver(postgres->connection, say_nothing, NULL);
	hm_result result = postgres_run(postgres, settings, why);
	if (result != HM_OK)
		postgres_hang_up(postgres);
	return result;
}

/* ---- asking ---- */

static hm_result send_all(struct postgres *postgres, struct hm_problem *why)
{
	int left;
	while ((left = PQflush(postgres->connection)) == 1) {
		if (!wait_for(postgres, POLLIN | POLLOUT))
			return lost(postgres, "the server takes nothing", why);
		if (!PQconsumeInput(postgres->connection))
			return lost_connection(postgres, why);
	}
	return left == 0 ? HM_OK : lost_connection(postgres, why);
}

static hm_result next_result(struct postgres *postgres, PGresult **result, struct hm_problem *why)
{
	while (PQisBusy(postgres->connection)) {
		if (!wait_for(postgres, POLLIN))
			return lost(postgres, "the server does not answer", why);
		if (!PQconsumeInput(postgres->connection))
			return lost_connection(postgres, why);
	}
	*result = PQgetResult(postgres->connection);
	return HM_OK;
}

/* The primary message alone: the others may show what is in rows. */
static hm_result failed(struct postgres *postgres, const PGresult *result, struct hm_problem *why)
{
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	postgres->must_retry = state && strncmp(state, "40", 2) == 0;
	hm_result unavailable = hm_unavailable(why, "store_unavailable", "PostgreSQL: %.200s (%s)",
		message ? message : "it failed", state ? state : "no state");
	clean(why->detail);
	return unavailable;
}

static hm_result take(
	struct postgres *postgres, const PGresult *result, postgres_row *use, void *context, struct hm_problem *why)
{
	switch (PQresultStatus(result)) {
	case PGRES_COMMAND_OK:
		return HM_OK;
	case PGRES_SINGLE_TUPLE:
	case PGRES_TUPLES_OK:
		return !use || PQntuples(result) == 0 || use(context, result)
			       ? HM_OK
			       : hm_unavailable(why, "store_unavailable", "PostgreSQL: a row that cannot be taken");
	default:
		return failed(postgres, result, why);
	}
}

/* All results are read, also after one that failed: the connection is ready for the next statement then. */
static hm_result take_all(struct postgres *postgres, postgres_row *use, void *context, struct hm_problem *why)
{
	hm_result all = HM_OK;
	PGresult *result = NULL;
	HM_TRY(send_all(postgres, why));
	for (;;) {
		HM_TRY(next_result(postgres, &result, why));
		if (!result)
			return all;
		if (all == HM_OK)
			all = take(postgres, result, use, context, why);
		PQclear(result);
	}
}

static hm_result not_connected(struct hm_problem *why)
{
	return hm_unavailable(why, "store_unavailable", "PostgreSQL: not connected");
}

hm_result postgres_run(struct postgres *postgres, const char *sql, struct hm_problem *why)
{
	postgres->must_retry = false;
	if (!postgres->connection)
		return not_connected(why);
	if (!PQsendQuery(postgres->connection, sql))
		return lost_connection(postgres, why);
	return take_all(postgres, NULL, NULL, why);
}

hm_result postgres_ask(struct postgres *postgres, const char *sql, const char *const *parameters, int count,
	postgres_row *use, void *context, struct hm_problem *why)
{
	postgres->must_retry = false;
	if (!postgres->connection)
		return not_connected(why);
	if (!PQsendQueryParams(postgres->connection, sql, count, NULL, parameters, NULL, NULL, 0) ||
		!PQsetSingleRowMode(postgres->connection))
		return lost_connection(postgres, why);
	return take_all(postgres, use, context, why);
}

/* A transaction in which something failed is answered with ROLLBACK, and that is no error to PostgreSQL. */
hm_result postgres_commit(struct postgres *postgres, struct hm_problem *why)
{
	PGresult *result = NULL, *rest = NULL;
	postgres->must_retry = false;
	if (!postgres->connection)
		return not_connected(why);
	if (!PQsendQuery(postgres->connection, "COMMIT"))
		return lost_connection(postgres, why);
	HM_TRY(send_all(postgres, why));
	HM_TRY(next_result(postgres, &result, why));
	hm_result committed = take(postgres, result, NULL, NULL, why);
	if (committed == HM_OK && strcmp(PQcmdStatus(result), "COMMIT") != 0)
		committed = hm_unavailable(why, "store_unavailable", "PostgreSQL: the transaction was rolled back");
	PQclear(result);
	HM_TRY(next_result(postgres, &rest, why));
	PQclear(rest);
	return committed;
}

bool postgres_must_retry(const struct postgres *postgres)
{
	return postgres->must_retry;
}

bool postgres_was_notified(struct postgres *postgres)
{
	bool was_notified = false;
	PGnotify *notice;
	while (postgres->connection && (notice = PQnotifies(postgres->connection))) {
		was_notified |= notice->be_pid != PQbackendPID(postgres->connection);
		PQfreemem(notice);
	}
	return was_notified;
}

int postgres_socket(const struct postgres *postgres)
{
	return postgres->connection ? PQsocket(postgres->connection) : -1;
}
