/* SPDX-License-Identifier: Apache-2.0 */
/* `hsmint ledger verify` */
#include "ledger.h"

#include "base64.h"
#include "file.h"
#include "ledger_input.h"
#include "ledger_server.h"
#include "options.h"
#include "verify.h"
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { SHOWN_MAX = 1000, BAR_WIDTH = 40 };

static const char help[] =
	"Usage: hsmint ledger verify DIR|URL --vkey KEY [--vkey KEY...] [--trusted FILE] [--json]\n"
	"                             [--ca FILE] [--cert FILE --key FILE]\n"
	"\n"
	"Verify a ledger: the signature of each shard's checkpoint, every entry, hash and tile, that the shards "
	"follow\n"
	"one another, that what retries and voids name is there, and that no key signed more than is recorded. Each\n"
	"fault is named with its file and entry.\n"
	"\n"
	"  --vkey KEY      a key that signs the ledger's checkpoints, as hsmint ledger vkey prints it, or a witness's\n"
	"  --trusted FILE  a checkpoint that was verified before: prove that the ledger continues it, and do not read\n"
	"                  the entries before it again\n"
	"  --json          print what was found as JSON\n"
	"\n"
	"Of a ledger that a service shows at URL, https://HOST/ledger:\n" LEDGER_SERVER_HELP "\n"
	"Exit status: 0 nothing is wrong, 1 something is, 2 wrong usage.\n"
	"\n"
	"Example:\n"
	"  hsmint ledger verify ledger --vkey mint.example.org/ledger+3b8b4f4f+Aa…";

struct report {
	json_t *json; /* NULL: print for people */
	json_t *faults, *notes, *shards;
	uint64_t shown, entries;
	bool has_bar;
	time_t drawn;
};

/* ---- progress ---- */

static void clear_bar(struct report *report)
{
	if (report->has_bar && report->drawn)
		fprintf(stderr, "\r\033[K");
	report->drawn = 0;
}

static void draw_bar(void *context, unsigned shard, uint64_t done, uint64_t total)
{
	static const char full[] = "########################################";
	struct report *report = context;
	time_t now = time(NULL);
	if (!report->has_bar || now == report->drawn)
		return;
	int filled = (int)((double)done / (double)total * BAR_WIDTH);
	fprintf(stderr, "\rshard %u [%.*s%*s] %" PRIu64 " of %" PRIu64 " entries", shard, filled, full,
		BAR_WIDTH - filled, "", done, total);
	report->drawn = now;
}

/* ---- what is found ---- */

static void keep_finding(json_t *list, const struct verify_finding *finding)
{
	json_t *kept =
		json_pack("{s:i,s:s,s:s}", "shard", finding->shard, "place", finding->place, "text", finding->text);
	if (kept && finding->has_entry)
		json_object_set_new(kept, "entry", json_integer((json_int_t)finding->entry));
	json_array_append_new(list, kept);
}

static void take_finding(void *context, const struct verify_finding *finding)
{
	struct report *report = context;
	if (report->shown++ >= SHOWN_MAX)
		return; /* they are counted all the same */
	if (report->json) {
		keep_finding(finding->is_fault ? report->faults : report->notes, finding);
		return;
	}
	clear_bar(report);
	printf("%s: %s", finding->is_fault ? "fault" : "note", finding->place);
	if (finding->has_entry)
		printf(", entry %" PRIu64, finding->entry);
	printf(": %s\n", finding->text);
}

/* ---- shards ---- */

static void keep_shard(struct report *report, const struct verify_shard *shard)
{
	char root[64] = "";
	json_t *types = json_object(), *signatures = json_object();
	base64_encode(shard->root.bytes, sizeof shard->root.bytes, root);
	for (unsigned i = 0; i < ENTRY_TYPES; i++)
		if (shard->types[i])
			json_object_set_new(types, entry_type_name(i), json_integer((json_int_t)shard->types[i]));
	static const char *const whats[VERIFY_WHATS] = {"credential", "probe", "checkpoint", "status_list"};
	for (unsigned i = 0; i < VERIFY_WHATS; i++)
		json_object_set_new(signatures, whats[i], json_integer((json_int_t)shard->signatures[i]));
	json_array_append_new(report->shards,
		json_pack("{s:i,s:s,s:I,s:I,s:I,s:s,s:b,s:b,s:o,s:o}", "shard", shard->number, "origin", shard->origin,
			"entries", (json_int_t)shard->size, "checkpoint", (json_int_t)shard->checked, "read_from",
			(json_int_t)shard->begin, "root", root, "closed", shard->is_closed, "counts_checked",
			shard->is_counted, "types", types, "signatures", signatures));
}

static void print_time(const char *what, int64_t seconds)
{
	time_t time = (time_t)seconds;
	struct tm utc;
	char date[32];
	if (seconds && gmtime_r(&time, &utc) && strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", &utc))
		printf("%s%s", what, date);
}

static void print_shard(const struct verify_shard *shard)
{
	char root[64] = "";
	base64_encode(shard->root.bytes, sizeof shard->root.bytes, root);
	printf("shard %u: %s\n", shard->number, *shard->origin ? shard->origin : "no checkpoint");
	printf("  %" PRIu64 " entries, %" PRIu64 " of them under the checkpoint; %s", shard->size, shard->checked,
		shard->is_closed ? "closed" : "open");
	print_time("; ", shard->first_time);
	print_time(" to ", shard->last_time);
	printf("\n  root %s\n ", root);
	if (shard->begin)
		printf(" from entry %" PRIu64 " on:", shard->begin);
	for (unsigned i = 0; i < ENTRY_TYPES; i++)
		if (shard->types[i])
			printf(" %s %" PRIu64, entry_type_name(i), shard->types[i]);
	printf("\n  signatures counted: credential %" PRIu64 ", probe %" PRIu64 ", checkpoint %" PRIu64 "%s\n",
		shard->signatures[VERIFY_CREDENTIAL], shard->signatures[VERIFY_PROBE],
		shard->signatures[VERIFY_CHECKPOINT],
		shard->is_counted ? "" : " (not held against the entries: not all were read)");
}

static void take_shard(void *context, const struct verify_shard *shard)
{
	struct report *report = context;
	report->entries += shard->size - shard->begin;
	clear_bar(report);
	if (report->json)
		keep_shard(report, shard);
	else
		print_shard(shard);
}

/* ---- the whole ---- */

static int print_json(struct report *report, uint64_t faults)
{
	json_object_set_new(report->json, "ok", json_boolean(faults == 0));
	json_object_set_new(report->json, "fault_count", json_integer((json_int_t)faults));
	json_object_set_new(report->json, "entries", json_integer((json_int_t)report->entries));
	char *text = json_dumps(report->json, JSON_COMPACT);
	int status = text ? print_line(text) : EXIT_FAILED;
	free(text);
	json_decref(report->json);
	return status;
}

static int print_end(const struct report *report, uint64_t faults)
{
	if (report->shown > SHOWN_MAX)
		printf("%" PRIu64 " more were found, which are not shown\n", report->shown - SHOWN_MAX);
	if (faults)
		printf("%" PRIu64 " fault%s in %" PRIu64 " entries\n", faults, faults > 1 ? "s" : "", report->entries);
	else
		printf("ok: %" PRIu64 " entries verified\n", report->entries);
	return flush_output();
}

static int verify(const struct log_ledger *ledger, const struct verify_terms *terms, bool as_json)
{
	struct report report = {.has_bar = isatty(STDERR_FILENO)};
	struct verify_listener listener = {
		.found = take_finding, .shard = take_shard, .progress = draw_bar, .context = &report};
	struct hm_problem why;
	uint64_t faults;
	if (as_json) {
		report.faults = json_array();
		report.notes = json_array();
		report.shards = json_array();
		report.json = json_pack(
			"{s:o,s:o,s:o}", "faults", report.faults, "notes", report.notes, "shards", report.shards);
	}
	hm_result result = verify_ledger(ledger, terms, &listener, &faults, &why);
	clear_bar(&report);
	if (result != HM_OK) {
		json_decref(report.json);
		return ledger_input_failed(&why);
	}
	int status = as_json ? print_json(&report, faults) : print_end(&report, faults);
	return faults ? EXIT_FAILED : status;
}

enum { OPTION_VKEY = 256, OPTION_TRUSTED, OPTION_JSON, OPTION_SERVER, OPTION_HELP };

static const struct option options[] = {{"vkey", required_argument, NULL, OPTION_VKEY},
	{"trusted", required_argument, NULL, OPTION_TRUSTED}, {"json", no_argument, NULL, OPTION_JSON},
	{"ca", required_argument, NULL, OPTION_SERVER}, {"cert", required_argument, NULL, OPTION_SERVER},
	{"key", required_argument, NULL, OPTION_SERVER}, {"help", no_argument, NULL, OPTION_HELP}, {0}};

static int verify_server(struct ledger_server *server, const char *url, const struct verify_terms *terms, bool as_json)
{
	struct hm_problem why;
	int status = ledger_server_open(server, url, &why) == HM_OK ? verify(&server->ledger, terms, as_json)
								    : ledger_input_failed(&why);
	ledger_server_close(server);
	return status;
}

int ledger_verify(int argc, char **argv)
{
	struct ledger_keys keys = {.count = 0};
	struct verify_terms terms = {.trusted = NULL};
	static char trusted[NOTE_MAX];
	struct log_ledger ledger;
	struct hm_problem why;
	struct ledger_server server = {.client = NULL};
	bool as_json = false;
	int option, at;
	while ((option = getopt_long(argc, argv, "", options, &at)) != -1) {
		if (option == OPTION_VKEY && !ledger_input_key(&keys, argv[0], optarg))
			return EXIT_USAGE;
		if (option == OPTION_TRUSTED)
			terms.trusted = optarg;
		if (option == OPTION_JSON)
			as_json = true;
		if (option == OPTION_SERVER)
			ledger_server_option(&server, options[at].name, optarg);
		if (option == OPTION_HELP)
			return print_line(help);
		if (option == '?')
			return usage_error(argv[0], "see the options");
	}
	if (argc - optind != 1)
		return usage_error(argv[0], "which ledger? one DIR or URL");
	if (!keys.count)
		return usage_error(argv[0], "--vkey is needed");
	terms.keys = (struct verify_keys){.keys = keys.keys, .count = keys.count};
	if (terms.trusted) {
		if (file_read(terms.trusted, false, trusted, sizeof trusted - 1, &terms.trusted_length, &why) != HM_OK)
			return ledger_input_failed(&why);
		terms.trusted = trusted;
	}
	if (ledger_is_url(argv[optind]))
		return verify_server(&server, argv[optind], &terms, as_json);
	return ledger_input_open(argv[optind], &ledger) ? verify(&ledger, &terms, as_json) : EXIT_FAILED;
}
