/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger.h"

#include "anchor.h"
#include "anchor_store.h"
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
	"Usage: hsmint ledger restore --config FILE [--checkpoint FILE] [--store]\n"
	"\n"
	"Accept, knowingly, a copy of the ledger that is older than its anchor remembers: what was recorded after it "
	"is\n"
	"lost. The ledger goes on under a new origin, in a shard whose first entry says what was given up. The "
	"service\n"
	"must not run. Bring back the newest copy instead, if there is one.\n"
	"\n"
	"  --config FILE      the service's configuration\n"
	"  --checkpoint FILE  the newest checkpoint that anybody remembers (otherwise that of the ledger's anchor)\n"
	"  --store            accept an old copy of the store (agents, tasks, revocations): the ledger may be the "
	"newest\n"
	"\n"
	"Example:\n"
	"  hsmint ledger restore --config /etc/hsmint/hsmint.yaml";

enum { OPTION_CONFIG = 256, OPTION_CHECKPOINT, OPTION_STORE, OPTION_HELP };

static const struct option options[] = {
	{"config", required_argument, NULL, OPTION_CONFIG},
	{"checkpoint", required_argument, NULL, OPTION_CHECKPOINT},
	{"store", no_argument, NULL, OPTION_STORE},
	{"help", no_argument, NULL, OPTION_HELP},
	{0},
};

struct asked {
	const char *config, *checkpoint;
	bool store;
};

static hm_result read_row(
	const struct config_ledger *ledger, char note[NOTE_MAX], size_t *length, struct hm_problem *why)
{
	bool is_there;
	struct anchor_store *anchor = anchor_store_open(ledger->anchor->store_url, ledger->origin);
	hm_result result = anchor ? anchor_store_read(anchor, note, length, &is_there, why)
				  : hm_unavailable(why, "system", "no memory");
	anchor_store_close(anchor);
	return result;
}

/* What was given, else what an anchor has, else, for the store's sake, the directory's own. */
static hm_result read_note(const struct config_ledger *ledger, const struct asked *asked, char note[NOTE_MAX],
	size_t *length, struct hm_problem *why)
{
	unsigned shard;
	const struct config_anchor *anchor = ledger->anchor;
	const char *path = asked->checkpoint ? asked->checkpoint : anchor ? anchor->file : NULL;
	*length = 0;
	if (path)
		return file_read(path, false, note, NOTE_MAX, length, why);
	if (anchor && anchor->store_url)
		return read_row(ledger, note, length, why);
	return asked->store ? anchor_newest(ledger, &shard, note, length, why) : HM_OK;
}

/* `*known`: whether there is one; an anchor that was made and never used has none. */
static hm_result read_checkpoint(const struct config_ledger *ledger, const struct asked *asked,
	struct checkpoint *checkpoint, bool *known, struct hm_problem *why)
{
	char note[NOTE_MAX];
	size_t length;
	HM_TRY(read_note(ledger, asked, note, &length, why));
	*known = length > 0;
	return *known ? checkpoint_read(note, length, checkpoint, why) : HM_OK;
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
	if (remembered && remembered->store)
		printf("given up: what the store had, up to its commit %" PRIu64 "\n", remembered->store);
	printf("goes on as: %s\n", restored->origin);
}

/* The store only where that was asked for, and then all that is known of it: an anchor may be behind the directory. */
static hm_result give_up_store(const struct config_ledger *ledger, const struct asked *asked,
	struct checkpoint *checkpoint, struct hm_problem *why)
{
	char note[NOTE_MAX];
	size_t length;
	unsigned shard;
	struct checkpoint newest;
	if (!asked->store) {
		checkpoint->store = 0;
		return HM_OK;
	}
	HM_TRY(anchor_newest(ledger, &shard, note, &length, why));
	if (!shard)
		return HM_OK;
	HM_TRY(checkpoint_read(note, length, &newest, why));
	if (newest.store > checkpoint->store)
		checkpoint->store = newest.store;
	return HM_OK;
}

static hm_result restore(const struct config *config, const struct asked *asked, struct hm_problem *why)
{
	struct checkpoint checkpoint;
	struct ledger_restored restored;
	bool known = false;
	HM_TRY(read_checkpoint(&config->ledger, asked, &checkpoint, &known, why));
	if (!asked->store || !known)
		HM_TRY(check_lost(&config->ledger, known ? &checkpoint : NULL, why));
	if (known)
		HM_TRY(give_up_store(&config->ledger, asked, &checkpoint, why));
	HM_TRY(ledger_restore(&config->ledger, known ? &checkpoint : NULL, &restored, why));
	report(&restored, known ? &checkpoint : NULL);
	return HM_OK;
}

static int run(const struct asked *asked)
{
	struct config *config;
	struct hm_problem why;
	int lock = -1;
	hm_result result = config_load(asked->config, &config, &why);
	if (result == HM_OK)
		result = service_lock_state(config->state, &lock, &why);
	if (result == HM_OK)
		result = restore(config, asked, &why);
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
	struct asked asked = {.config = NULL};
	int option;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == OPTION_HELP)
			return print_line(help);
		if (option == OPTION_CONFIG)
			asked.config = optarg;
		else if (option == OPTION_CHECKPOINT)
			asked.checkpoint = optarg;
		else if (option == OPTION_STORE)
			asked.store = true;
		else
			return usage_error(argv[0], "see the options");
	}
	if (optind != argc)
		return usage_error(argv[0], "'%s' is not wanted", argv[optind]);
	if (!asked.config)
		return usage_error(argv[0], "--config is missing");
	return run(&asked);
}
