/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include <getopt.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static const char help[] = "Usage: hsmint token unlatch --token NAME [--control PATH]\n"
			   "\n"
			   "Let the service try a token's PIN again. After a PIN that was wrong, or attempts that were "
			   "never answered, hsmint\n"
			   "does not try the same PIN again, since a token locks itself after a few wrong ones. Make "
			   "sure that the PIN is right\n"
			   "before you unlatch.\n"
			   "\n"
			   "  --token NAME    the token's name in the configuration\n"
			   "  --control PATH  the service's control socket (otherwise HSMINT_CONTROL)\n"
			   "  --json          print the service's reply\n"
			   "\n"
			   "Example:\n"
			   "  hsmint token unlatch --token soft --control run/control.sock";

enum { OPTION_TOKEN = 256, OPTION_CONTROL, OPTION_JSON, OPTION_HELP };

static const struct option options[] = {
	{"token", required_argument, NULL, OPTION_TOKEN},
	{"control", required_argument, NULL, OPTION_CONTROL},
	{"json", no_argument, NULL, OPTION_JSON},
	{"help", no_argument, NULL, OPTION_HELP},
	{0},
};

static int unlatch(const char *token, const char *control, bool json)
{
	int status = EXIT_FAILED;
	json_t *object = json_pack("{s:s, s:s}", "command", "token-unlatch", "token", token);
	char *command = object ? json_dumps(object, JSON_COMPACT) : NULL;
	json_decref(object);
	if (!command)
		return usage_error("token", "--token takes UTF-8 text");

	char *reply = control_call(control, command, "token", &status);
	free(command);
	if (!reply)
		return status;
	status = json ? print_line(reply) : EXIT_DONE;
	hsmint_text_free(reply);
	return status;
}

int command_token(int argc, char **argv)
{
	const char *token = NULL;
	const char *control = NULL;
	bool json = false;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == OPTION_HELP)
			return print_line(help);
		if (option == OPTION_TOKEN)
			token = optarg;
		else if (option == OPTION_CONTROL)
			control = optarg;
		else if (option == OPTION_JSON)
			json = true;
		else
			return usage_error("token", "see the options");
	}
	if (argc - optind != 1 || strcmp(argv[optind], "unlatch") != 0)
		return usage_error("token", "what to do with the token? unlatch");
	if (!token)
		return usage_error("token", "--token NAME is needed");
	return unlatch(token, control, json);
}
