/* SPDX-License-Identifier: Apache-2.0 */
/* `hsmint ledger reconcile` */
#include "ledger.h"

#include "ledger_input.h"
#include "options.h"
#include "reconcile.h"
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_UNKNOWN = 3 };

static const char help[] =
	"Usage: hsmint ledger reconcile DIR --hsm-log FILE\n"
	"\n"
	"Compare what the HSM says in its own log that its keys signed with what the ledger says that hsmint had them\n"
	"sign. More in the HSM than in the ledger are signatures that somebody else had it make. Verify the ledger\n"
	"before: see hsmint ledger verify.\n"
	"\n"
	"  --hsm-log FILE  lines of time,key,count: seconds since 1970; a key's kid, CKA_LABEL, or CKA_ID in\n"
	"                  hexadecimal; and how many signatures. A first line that is a heading is passed over\n"
	"\n"
	"Exit status: 0 all is accounted for, 1 a key signed more, or it failed, 2 wrong usage, 3 it cannot be known,\n"
	"since a token's process ended before it could say what it had signed.\n"
	"\n"
	"Example:\n"
	"  hsmint ledger reconcile ledger --hsm-log audit.csv";

static void take_finding(void *context, enum reconcile_kind kind, const char *text)
{
	static const char *const words[] = {"MORE", "UNKNOWN", "warning", "note"};
	unsigned *found = context;
	found[kind]++;
	printf("%s: %s\n", words[kind], text);
}

static hm_result take_log(struct reconcile *reconcile, const char *path, FILE *file, struct hm_problem *why)
{
	char *line = NULL, detail[sizeof why->detail];
	size_t size = 0;
	ssize_t length;
	hm_result result = HM_OK;
	for (unsigned long number = 1; result == HM_OK && (length = getline(&line, &size, file)) > 0; number++) {
		length -= line[length - 1] == '\n';
		length -= length && line[length - 1] == '\r';
		bool is_heading = number == 1 && length && (line[0] < '0' || line[0] > '9');
		if (!length || is_heading)
			continue;
		result = reconcile_line(reconcile, line, (size_t)length, why);
		memcpy(detail, why->detail, sizeof detail);
		if (result != HM_OK)
			(void)!hm_refuse(why, "ledger", NULL, "%s:%lu: %.400s", path, number, detail);
	}
	free(line);
	if (result == HM_OK && ferror(file))
		return hm_unavailable(why, "system", "%s: %s", path, strerror(errno));
	return result;
}

static hm_result compare(const char *directory, const char *log, unsigned *found, struct hm_problem *why)
{
	const struct reconcile_listener listener = {take_finding, found};
	struct reconcile *reconcile = NULL;
	FILE *file = fopen(log, "re");
	if (!file)
		return hm_unavailable(why, "system", "%s: %s", log, strerror(errno));
	hm_result result = reconcile_open(directory, &listener, &reconcile, why);
	if (result == HM_OK)
		result = take_log(reconcile, log, file, why);
	if (result == HM_OK)
		reconcile_end(reconcile);
	reconcile_close(reconcile);
	(void)fclose(file);
	return result;
}

static int conclude(const unsigned *found)
{
	if (found[RECONCILE_MORE])
		puts("not every signature is accounted for");
	else if (found[RECONCILE_UNKNOWN])
		puts("unknown: not everything that was signed was counted");
	else
		puts("ok: every signature in the HSM's log is accounted for");
	int status = flush_output();
	if (found[RECONCILE_MORE])
		return EXIT_FAILED;
	return status == EXIT_DONE && found[RECONCILE_UNKNOWN] ? EXIT_UNKNOWN : status;
}

enum { OPTION_HSM_LOG = 256, OPTION_HELP };

static const struct option options[] = {
	{"hsm-log", required_argument, NULL, OPTION_HSM_LOG}, {"help", no_argument, NULL, OPTION_HELP}, {0}};

int ledger_reconcile(int argc, char **argv)
{
	const char *log = NULL;
	struct hm_problem why;
	unsigned found[RECONCILE_NOTE + 1] = {0};
	int option;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == OPTION_HSM_LOG)
			log = optarg;
		if (option == OPTION_HELP)
			return print_line(help);
		if (option == '?')
			return usage_error(argv[0], "see the options");
	}
	if (argc - optind != 1)
		return usage_error(argv[0], "which ledger? one DIR");
	if (!log)
		return usage_error(argv[0], "--hsm-log is needed");
	if (compare(argv[optind], log, found, &why) != HM_OK)
		return ledger_input_failed(&why);
	return conclude(found);
}
