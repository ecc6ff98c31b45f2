/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger.h"

#include "options.h"
#include <getopt.h>
#include <jansson.h>
#include <stdlib.h>

static const char help[] =
	"Usage: hsmint ledger forget NAME [--control PATH] [--json]\n"
	"\n"
	"Delete the salt under which the ledger names a human. Its entries and hashes stay as they are; nothing in\n"
	"them says any more who NAME was. That it was done is an entry itself. What was recorded cannot be told\n"
	"afterwards, not by anybody: this cannot be undone.\n"
	"\n"
	"  NAME            as it stood in the requests, e.g. alice@example.org\n"
	"  --control PATH  the service's control socket (otherwise HSMINT_CONTROL)\n"
	"  --json          print the service's reply\n"
	"\n"
	"Example:\n"
	"  hsmint ledger forget alice@example.org --control run/control.sock";

static int forget(const struct control_options *options, const char *name, const char *command)
{
	int status = EXIT_FAILED;
	json_t *object = json_pack("{s:s, s:s}", "command", "ledger-forget", "human", name);
	char *request = object ? json_dumps(object, JSON_COMPACT) : NULL;
	json_decref(object);
	if (!request)
		return usage_error(command, "NAME is UTF-8 text");
	char *reply = control_call(options->control, request, command, &status);
	free(request);
	if (!reply)
		return status;
	status = options->json ? print_line(reply) : EXIT_DONE;
	hsmint_text_free(reply);
	return status;
}

int ledger_forget(int argc, char **argv)
{
	struct control_options options;
	int status = EXIT_FAILED;
	if (!control_options_read(argc, argv, help, &options, &status))
		return status;
	if (optind + 1 != argc)
		return usage_error(argv[0], "one NAME is wanted");
	return forget(&options, argv[optind], argv[0]);
}
