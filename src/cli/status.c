/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

static const char help[] =
	"Usage: hsmint status [--control PATH] [--json]\n"
	"\n"
	"Show how the service is: its processes, tokens, issuers and keys, and what it minted since it started.\n"
	"\n"
	"  --control PATH  the service's control socket (otherwise HSMINT_CONTROL)\n"
	"  --json          print the service's reply\n"
	"\n"
	"Example:\n"
	"  hsmint status --control run/control.sock";

static const char *text(const json_t *object, const char *member)
{
	const char *value = json_string_value(json_object_get(object, member));
	return value ? value : "-";
}

static json_int_t number(const json_t *object, const char *member)
{
	return json_integer_value(json_object_get(object, member));
}

static void print_service(const json_t *status)
{
	json_int_t up = number(status, "uptime_s");
	bool ready = json_is_true(json_object_get(status, "ready"));
	printf("hsmint %s  pid %" JSON_INTEGER_FORMAT "  up %" JSON_INTEGER_FORMAT "h%02dm%02ds  %s%s\n",
		text(status, "version"), number(status, "pid"), up / 3600, (int)(up / 60 % 60), (int)(up % 60),
		ready ? "ready" : "not ready: ", ready ? "" : text(status, "reason"));
	printf("minted %" JSON_INTEGER_FORMAT "  refused %" JSON_INTEGER_FORMAT "  failed %" JSON_INTEGER_FORMAT
	       "  pending %" JSON_INTEGER_FORMAT "\n",
		number(status, "minted"), number(status, "refused"), number(status, "failed"),
		number(status, "pending"));
}

static void print_gate(const json_t *gate)
{
	printf("gate %s  pid %" JSON_INTEGER_FORMAT "  restarts %" JSON_INTEGER_FORMAT "  %s\n", text(gate, "state"),
		number(gate, "pid"), number(gate, "restarts"), text(gate, "sandbox"));
}

static void print_ledger(const json_t *ledger)
{
	const char *error = text(ledger, "last_error"), *anchor = text(ledger, "anchor");
	printf("ledger %s  %s  entries %" JSON_INTEGER_FORMAT "  under a checkpoint %" JSON_INTEGER_FORMAT
	       "  anchor %s%s%s\n",
		text(ledger, "origin"), text(ledger, "state"), number(ledger, "size"),
		number(ledger, "checkpoint_size"), *anchor ? anchor : "none: an old copy of it would not be noticed",
		*error ? "\n  " : "", error);
}

static void print_clock(const json_t *clock)
{
	if (strcmp(text(clock, "state"), "stepped") != 0)
		return;
	fputs("clock stepped", stdout);
	if (number(clock, "by_ms"))
		printf(" by %+.1f s", (double)number(clock, "by_ms") / 1000);
	printf("  %s\n  nothing is struck until it has been synchronised for 10 s, or: hsmint clock accept\n",
		json_is_true(json_object_get(clock, "synchronised")) ? "synchronised" : "not synchronised");
}

/* What the people who log it in have to do. */
static void print_unlock(const json_t *token)
{
	if (strcmp(text(token, "state"), "waiting_for_operator") != 0)
		return;
	printf("  waits for: hsmint token unlock --token %s", text(token, "name"));
	if (number(token, "parts_missing"))
		printf(" (parts missing: %" JSON_INTEGER_FORMAT ")", number(token, "parts_missing"));
	printf("\n");
}

static void print_token(const json_t *token)
{
	printf("token %s  %s  pid %" JSON_INTEGER_FORMAT "  restarts %" JSON_INTEGER_FORMAT
	       "  threads %" JSON_INTEGER_FORMAT "  %" JSON_INTEGER_FORMAT "/s\n",
		text(token, "name"), text(token, "state"), number(token, "pid"), number(token, "restarts"),
		number(token, "threads"), number(token, "rate"));
	printf("  queued %" JSON_INTEGER_FORMAT "  outstanding %" JSON_INTEGER_FORMAT "  signed %" JSON_INTEGER_FORMAT
	       "  failed %" JSON_INTEGER_FORMAT,
		number(token, "queued"), number(token, "outstanding"), number(token, "signed"),
		number(token, "failed"));
	const json_t *last = json_object_get(token, "last_signed_s_ago");
	if (json_is_integer(last) && json_integer_value(last) >= 0)
		printf("  last signed %" JSON_INTEGER_FORMAT " s ago", json_integer_value(last));
	const char *error = json_string_value(json_object_get(token, "last_error"));
	printf("%s%s\n", error && *error ? "\n  last error: " : "", error ? error : "");
	print_unlock(token);
}

static void print_issuer(const json_t *issuer)
{
	size_t i;
	json_t *key;
	printf("issuer %s  %s  trust domain %s\n", text(issuer, "name"), text(issuer, "url"),
		text(issuer, "trust_domain"));
	json_array_foreach(json_object_get(issuer, "keys"), i, key) printf("  key %s  %s  %s  on %s  kid %s\n",
		text(key, "name"), text(key, "state"), text(key, "use"), text(key, "token"), text(key, "kid"));
}

static void print_trust(const json_t *trust)
{
	const json_t *age = json_object_get(trust, "age_s");
	printf("issuer %s trusts %s  keys %" JSON_INTEGER_FORMAT, text(trust, "issuer"), text(trust, "name"),
		number(trust, "keys"));
	if (age)
		printf("  asked for %" JSON_INTEGER_FORMAT " s ago", json_integer_value(age));
	const char *error = text(trust, "last_error");
	printf("%s%s\n", *error ? "\n  last error: " : "", error);
}

static int print_status(const char *reply)
{
	size_t i;
	json_t *part;
	json_t *status = json_loads(reply, 0, NULL); /* the library has parsed it before */
	print_service(status);
	print_gate(json_object_get(status, "gate"));
	print_ledger(json_object_get(status, "ledger"));
	print_clock(json_object_get(status, "clock"));
	json_array_foreach(json_object_get(status, "tokens"), i, part) print_token(part);
	json_array_foreach(json_object_get(status, "issuers"), i, part) print_issuer(part);
	json_array_foreach(json_object_get(status, "trust"), i, part) print_trust(part);
	json_decref(status);
	return flush_output();
}

int command_status(int argc, char **argv)
{
	return control_command(argc, argv, help, "{\"command\":\"status\"}", print_status);
}
