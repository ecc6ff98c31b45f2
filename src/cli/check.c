/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include "config.h"
#include "credentials.h"
#include "trust.h"
#include <getopt.h>
#include <stdio.h>

static const char help[] =
	"Usage: hsmint check --config FILE\n"
	"\n"
	"Check a configuration and the files it names, without starting anything. A fault is reported with\n"
	"file and line; what is accepted and yet unwise, as a warning on standard error.\n"
	"\n"
	"  --config FILE  the configuration\n"
	"\n"
	"Example:\n"
	"  hsmint check --config /etc/hsmint/hsmint.yaml";

enum { OPTION_CONFIG = 256, OPTION_HELP };

static const struct option options[] = {
	{"config", required_argument, NULL, OPTION_CONFIG},
	{"help", no_argument, NULL, OPTION_HELP},
	{0},
};

/* What a ledger does without, its owner should know to do without. */
static void warn(const struct config_ledger *ledger)
{
	if (!ledger->key)
		fputs("hsmint: warning: ledger has no key: nobody signs what is recorded, and who can write the "
		      "files can rewrite them\n",
			stderr);
	else if (!ledger->anchor)
		fputs("hsmint: warning: ledger has no anchor: that an older copy was put in its place would not be "
		      "noticed\n",
			stderr);
}

static hm_result check(const char *path, struct hm_problem *why)
{
	struct config *config;
	struct gate_sockets sockets = NO_SOCKETS;
	struct trusts *trusts = NULL;
	HM_TRY(config_load(path, &config, why));
	warn(&config->ledger);
	hm_result result = config->listen.tls ? credentials_load(config->listen.tls, &sockets, why) : HM_OK;
	if (result == HM_OK)
		result = trusts_open(NULL, config, &trusts, why);
	trusts_close(trusts);
	config_free(config);
	return result;
}

int command_check(int argc, char **argv)
{
	struct hm_problem why;
	const char *path = NULL;
	int option;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == OPTION_HELP)
			return print_line(help);
		if (option != OPTION_CONFIG)
			return usage_error("check", "see the options");
		path = optarg;
	}
	if (optind != argc)
		return usage_error("check", "'%s' is not wanted", argv[optind]);
	if (!path)
		return usage_error("check", "--config is missing");
	if (check(path, &why) == HM_OK)
		return print_line("ok");
	fprintf(stderr, "hsmint: %s\n", why.detail);
	return EXIT_FAILED;
}
