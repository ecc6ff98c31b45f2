/* SPDX-License-Identifier: Apache-2.0 */
/* `hsmint ledger find` and `hsmint ledger export` */
#include "ledger.h"

#include "json_write.h"
#include "ledger_chain.h"
#include "ledger_input.h"
#include "ledger_scan.h"
#include "options.h"
#include <getopt.h>
#include <string.h>
#include <time.h>

enum { WANTED_MAX = 16, WANTED_TEXT_MAX = 6 * HM_SPIFFE_ID_MAX + 3 };

static const char help_find[] =
	"Usage: hsmint ledger find DIR [--agent SPIFFE-ID] [--task TASK] [--since TIME] [--context KEY=VALUE...]\n"
	"                          [--type TYPE]\n"
	"       hsmint ledger find DIR --chain ID\n"
	"\n"
	"Print the entries that have all of these, one line of JSON each: {\"origin\",\"index\",\"entry\"}.\n"
	"\n"
	"  --agent SPIFFE-ID    the credential's subject\n"
	"  --task TASK          the task\n"
	"  --since TIME         not before: 2026-11-25, 2026-11-25T12:00:00Z or seconds since 1970\n"
	"  --context KEY=VALUE  a member of the request's context; several times: all of them\n"
	"  --type TYPE          credential, retry, void, refused, command, ...\n"
	"  --chain ID           what led to the credential with this jti: its entry, those of the tokens from which it "
	"was\n"
	"                       exchanged, back to the start, and those of their tasks and approvals\n"
	"\n"
	"Example:\n"
	"  hsmint ledger find ledger --agent spiffe://demo.test/agent/first --since 2026-11-25";

static const char help_export[] =
	"Usage: hsmint ledger export DIR\n"
	"\n"
	"Print every entry as a line of JSON, for a SIEM: {\"origin\",\"index\",\"entry\"}. Origin and index are its "
	"place for\n"
	"good.\n"
	"\n"
	"Example:\n"
	"  hsmint ledger export ledger | your-log-shipper";

/* A string as an entry has it: in canonical JSON, with its quotes. */
struct wanted {
	char text[WANTED_TEXT_MAX];
};

struct search {
	struct wanted agent, task; /* "": any */
	struct {
		struct wanted key, value;
	} context[WANTED_MAX];
	unsigned context_count;
	int64_t since;
	enum entry_type type;
	bool has_type, has_failed;
	const char *chain; /* NULL: none is looked for */
};

/* ---- what is wanted ---- */

static bool want(struct wanted *wanted, const char *text, size_t length)
{
	struct hm_json json = hm_json(wanted->text, sizeof wanted->text - 1);
	hm_json_text(&json, text, length);
	wanted->text[json.out.used] = 0;
	return !json.out.failed;
}

static bool want_context(struct search *search, const char *text)
{
	const char *equals = strchr(text, '=');
	if (!equals || search->context_count == WANTED_MAX)
		return false;
	struct wanted *key = &search->context[search->context_count].key;
	if (!want(key, text, (size_t)(equals - text)) ||
		!want(&search->context[search->context_count].value, equals + 1, strlen(equals + 1)))
		return false;
	size_t length = strlen(key->text); /* a name is given without its quotes */
	memmove(key->text, key->text + 1, length - 2);
	key->text[length - 2] = 0;
	search->context_count++;
	return true;
}

static bool read_time(const char *text, int64_t *time)
{
	static const char *const forms[] = {"%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d"};
	long seconds;
	if (parse_number(text, 0, INT32_MAX * 2L, &seconds)) {
		*time = seconds;
		return true;
	}
	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
		struct tm utc = {0};
		const char *end = strptime(text, forms[i], &utc);
		*time = timegm(&utc);
		if (end && !*end)
			return true;
	}
	return false;
}

/* ---- looking ---- */

static bool has_context(const struct search *search, struct hm_bytes context)
{
	for (unsigned i = 0; i < search->context_count; i++) {
		struct hm_bytes value;
		if (!entry_find(context, search->context[i].key.text, &value) ||
			!entry_is(value, search->context[i].value.text))
			return false;
	}
	return true;
}

static bool is_wanted(const struct search *search, const struct entry *entry)
{
	return entry->time >= search->since && (!search->has_type || entry->type == search->type) &&
	       (!*search->agent.text || entry_is(entry->members[ENTRY_SUBJECT], search->agent.text)) &&
	       (!*search->task.text || entry_is(entry->members[ENTRY_TASK], search->task.text)) &&
	       has_context(search, entry->members[ENTRY_CONTEXT]);
}

static bool take(void *context, const struct ledger_scanned *scanned)
{
	struct search *search = context;
	if (is_wanted(search, &scanned->entry))
		search->has_failed = !ledger_print_scanned(scanned);
	return !search->has_failed;
}

static int search_in(const char *place, struct search *search)
{
	struct log_ledger ledger;
	struct hm_problem why;
	if (!ledger_input_open(place, &ledger))
		return EXIT_FAILED;
	if (ledger_scan(&ledger, take, search, &why) != HM_OK) {
		(void)flush_output();
		return ledger_input_failed(&why);
	}
	return flush_output();
}

/* ---- the command lines ---- */

enum { OPTION_AGENT = 256, OPTION_TASK, OPTION_SINCE, OPTION_CONTEXT, OPTION_TYPE, OPTION_CHAIN, OPTION_HELP };

static const struct option find_options[] = {{"agent", required_argument, NULL, OPTION_AGENT},
	{"task", required_argument, NULL, OPTION_TASK}, {"since", required_argument, NULL, OPTION_SINCE},
	{"context", required_argument, NULL, OPTION_CONTEXT}, {"type", required_argument, NULL, OPTION_TYPE},
	{"chain", required_argument, NULL, OPTION_CHAIN}, {"help", no_argument, NULL, OPTION_HELP}, {0}};

static bool is_id(const char *text)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	size_t length = strlen(text);
	return length && length <= HM_ID_MAX && strspn(text, alphabet) == length;
}

static bool take_option(struct search *search, int option, const char *value)
{
	switch (option) {
	case OPTION_AGENT:
		return want(&search->agent, value, strlen(value));
	case OPTION_TASK:
		return want(&search->task, value, strlen(value));
	case OPTION_SINCE:
		return read_time(value, &search->since);
	case OPTION_CONTEXT:
		return want_context(search, value);
	case OPTION_CHAIN:
		search->chain = value;
		return is_id(value);
	case OPTION_TYPE:
		search->has_type = true;
		return entry_type_read(value, &search->type);
	default:
		return false;
	}
}

static const char *what_it_takes(int option)
{
	switch (option) {
	case OPTION_SINCE:
		return "--since takes 2026-11-25, 2026-11-25T12:00:00Z or seconds since 1970";
	case OPTION_CHAIN:
		return "--chain takes a credential's jti";
	case OPTION_CONTEXT:
		return "--context takes KEY=VALUE, 16 times at most";
	case OPTION_TYPE:
		return "--type takes a type of entry, such as credential or refused";
	default:
		return "it is too long";
	}
}

int ledger_find(int argc, char **argv)
{
	static struct search search;
	int option;
	unsigned options = 0;
	while ((option = getopt_long(argc, argv, "", find_options, NULL)) != -1) {
		if (option == OPTION_HELP)
			return print_line(help_find);
		if (option == '?')
			return usage_error(argv[0], "see the options");
		if (!take_option(&search, option, optarg))
			return usage_error(argv[0], "'%s': %s", optarg, what_it_takes(option));
		options++;
	}
	if (argc - optind != 1)
		return usage_error(argv[0], "which ledger? one DIR");
	if (search.chain && options > 1)
		return usage_error(argv[0], "--chain goes with no other condition");
	return search.chain ? ledger_chain(argv[optind], search.chain) : search_in(argv[optind], &search);
}

static const struct option export_options[] = {{"help", no_argument, NULL, OPTION_HELP}, {0}};

int ledger_export(int argc, char **argv)
{
	static struct search all;
	int option = getopt_long(argc, argv, "", export_options, NULL);
	if (option == OPTION_HELP)
		return print_line(help_export);
	if (option != -1)
		return usage_error(argv[0], "see the options");
	if (argc - optind != 1)
		return usage_error(argv[0], "which ledger? one DIR");
	return search_in(argv[optind], &all);
}
