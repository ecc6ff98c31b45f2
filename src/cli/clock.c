/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include <getopt.h>
#include <string.h>

static const char help[] =
	"Usage: hsmint clock accept [--control PATH]\n"
	"\n"
	"accept says that the machine's time is right as it is. After it was set by more than two seconds, the service "
	"strikes\n"
	"nothing until it has been synchronised (by NTP, say) for ten seconds, or you say so. Look at the time first: "
	"what is\n"
	"struck next says that it is of then. Who accepted it is recorded.\n"
	"\n"
	"  --control PATH  the service's control socket (otherwise HSMINT_CONTROL)\n"
	"  --json          print the service's reply\n"
	"\n"
	"Example:\n"
	"  hsmint clock accept --control run/control.sock";

int command_clock(int argc, char **argv)
{
	struct control_options options;
	int status = EXIT_FAILED;
	if (!control_options_read(argc, argv, help, &options, &status))
		return status;
	if (argc - optind != 1 || strcmp(argv[optind], "accept") != 0)
		return usage_error("clock", "what to do with the clock? accept");
	char *reply = control_call(options.control, "{\"command\":\"clock-accept\"}", "clock", &status);
	if (!reply)
		return status;
	status = options.json ? print_line(reply) : EXIT_DONE;
	hsmint_text_free(reply);
	return status;
}
