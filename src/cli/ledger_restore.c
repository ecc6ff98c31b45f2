/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger.h"

#include "anchor.h"
#include "file.h"
#include "ledger_restore.h"
#include "options.h"
#include "service.h"
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
	"Usage: hsmint ledger restore --config FILE [--checkpoint FILE]\n"
	"\n"
	"Accept, knowingly, a copy of the ledger that is older than its anchor remembers: what was recorded after it "
	"is\n"
	"lost. The ledger goes on under a new origin, in a shard whose first entry says what was given up. The "
	"service\n"
	"must not run. Bring back the newest copy instead, if there is one.\n"
	"\n"
	"  --config FILE      the service's configuration\n"
	"  --checkpoint FILE  the newest checkpoint that anybody remembers (otherwise the one in `anchor.file`)\n"
	"\n"
	"Example:\n"
	"  hsmint ledger restore --config /etc/hsmint/hsmint.yaml";

enum { OPTION_CONFIG = 256, OPTION_CHECKPOINT, OPTION_HELP };

static const struct option options[] = {
	{"config", required_argument, NULL, OPTION_CONFIG},
	{"checkpoint", required_argument, NULL, OPTION_CHECKPOINT},
	{"help", no_argument, NULL, OPTION_HELP},
	{0},
};

/* `*known`: whether there is one. */
static hm_result read_checkpoint(const char *path, struct checkpoint *checkpoint, bool *known, struct hm_problem *why)
{
	char note[NOTE_MAX];
	size_t length;
	*known = false;
	HM_TRY(file_read(path, false, note, sizeof note, &length, why));
	if (!length)
		return HM_OK; /* an anchor that was made and never used */
	*known = true;
	return checkpoint_read(note, length, checkpoint, why);
}

/* A witness tells what it knows only to who asks it with a newer checkpoint. */
static hm_result check_lost(
	const struct config_ledger *ledger, const struct checkpoint *remembered, struct hm_problem *why)
{
	const struct config_anchor *anchor = ledger->anchor;
	struct anchor_memory memory = {.is_known = true, .has_root = true};
	struct anchor_finding finding;
	if (!remembered && anchor && anchor->witness)
		return HM_OK;
	if (!remembered)
		return hm_refuse(why, "ledger", NULL,
			"nothing is known to be lost: give the newest checkpoint that anybody remembers with "
			"--checkpoint");
	memory.newest = *remembered;
	HM_TRY(anchor_compare(ledger, "the checkpoint", &memory, &finding, why));
	if (finding.relation == ANCHOR_SAME || finding.relation == ANCHOR_AHEAD)
		return hm_refuse(why, "ledger", NULL, "nothing is lost: %s has all of it", ledger->directory);
	return HM_OK;
}

static void report(const struct ledger_restored *restored, const struct checkpoint *remembered)
{
	if (restored->found.size)
		printf("kept: %" PRIu64 " entries of %s\n", restored->found.size, restored->found.origin);
	else
		puts("kept: nothing");
	if (remembered)
		printf("given up: what %s had beyond that, up to %" PRIu64 " entries\n", remembered->origin,
			remembered->size);
	printf("goes on as: %s\n", restored->origin);
}

static hm_result restore(const struct config *config, const char *path, struct hm_problem *why)
{
	struct checkpoint checkpoint;
	struct ledger_restored restored;
	bool known = false;
	if (!path && config->ledger.anchor)
		path = config->ledger.anchor->file;
	if (path)
		HM_TRY(read_checkpoint(path, &checkpoint, &known, why));
	HM_TRY(check_lost(&config->ledger, known ? &checkpoint : NULL, why));
	HM_TRY(ledger_restore(&config->ledger, known ? &checkpoint : NULL, &restored, why));
	report(&restored, known ? &checkpoint : NULL);
	return HM_OK;
}

static int run(const char *path, const char *checkpoint)
{
	struct config *config;
	struct hm_problem why;
	int lock = -1;
	hm_result result = config_load(path, &config, &why);
	if (result == HM_OK)
		result = service_lock_state(config->state, &lock, &why);
	if (result == HM_OK)
		result = restore(config, checkpoint, &why);
	if (lock >= 0)
		close(lock);
	config_free(config);
	if (result == HM_OK)
		return flush_output();
	fprintf(stderr, "hsmint: %s\n", why.detail);
	return EXIT_FAILED;
}

int ledger_restore_command(int argc, char **argv)
{
	const char *config = NULL, *checkpoint = NULL;
	int option;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == OPTION_HELP)
			return print_line(help);
		if (option == OPTION_CONFIG)
			config = optarg;
		else if (option == OPTION_CHECKPOINT)
			checkpoint = optarg;
		else
			return usage_error(argv[0], "see the options");
	}
	if (optind != argc)
		return usage_error(argv[0], "'%s' is not wanted", argv[optind]);
	if (!config)
		return usage_error(argv[0], "--config is missing");
	return run(config, checkpoint);
}
