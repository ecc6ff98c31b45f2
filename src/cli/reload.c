/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include <getopt.h>
#include <stdio.h>

static const char help[] =
	"Usage: hsmint reload [--control PATH]\n"
	"\n"
	"Have the service read its configuration and certificates again, without dropping a connection.\n"
	"A configuration with a fault is refused, and the one before stays in force.\n"
	"\n"
	"  --control PATH  the service's control socket (otherwise HSMINT_CONTROL)\n"
	"  --json          print the service's reply\n"
	"\n"
	"Example:\n"
	"  hsmint reload --control run/control.sock";

enum { OPTION_CONTROL = 256, OPTION_JSON, OPTION_HELP };

static const struct option options[] = {
	{"control", required_argument, NULL, OPTION_CONTROL},
	{"json", no_argument, NULL, OPTION_JSON},
	{"help", no_argument, NULL, OPTION_HELP},
	{0},
};

int command_reload(int argc, char **argv)
{
	const char *control = NULL;
	bool json = false;
	int status = EXIT_FAILED;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == OPTION_HELP)
			return print_line(help);
		if (option == OPTION_CONTROL)
			control = optarg;
		else if (option == OPTION_JSON)
			json = true;
		else
			return usage_error("reload", "see the options");
	}
	if (optind != argc)
		return usage_error("reload", "'%s' is not wanted", argv[optind]);

	char *reply = control_call(control, "{\"command\":\"reload\"}", "reload", &status);
	if (!reply)
		return status;
	status = json ? print_line(reply) : EXIT_DONE;
	hsmint_text_free(reply);
	return status;
}
