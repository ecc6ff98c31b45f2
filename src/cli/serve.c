/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include "service.h"
#include <getopt.h>

static const char help[] =
	"Usage: hsmint serve --config FILE\n"
	"\n"
	"Run the service in the foreground until SIGTERM or SIGINT, which let it finish what is in flight.\n"
	"SIGHUP (or `hsmint reload`) reads configuration and certificates again.\n"
	"\n"
	"  --config FILE  the configuration\n"
	"\n"
	"Example:\n"
	"  hsmint serve --config /etc/hsmint/hsmint.yaml";

enum { OPTION_CONFIG = 256, OPTION_HELP };

static const struct option options[] = {
	{"config", required_argument, NULL, OPTION_CONFIG},
	{"help", no_argument, NULL, OPTION_HELP},
	{0},
};

int command_serve(int argc, char **argv)
{
	struct service_options service = {.tcp_listener = -1, .parent = -1};
	int option;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == OPTION_HELP)
			return print_line(help);
		if (option != OPTION_CONFIG)
			return usage_error("serve", "see the options");
		service.config_path = optarg;
	}
	if (optind != argc)
		return usage_error("serve", "'%s' is not wanted", argv[optind]);
	if (!service.config_path)
		return usage_error("serve", "--config is missing");
	return service_run(&service);
}
