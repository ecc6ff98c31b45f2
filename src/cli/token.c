/* SPDX-License-Identifier: Apache-2.0 */
#include "limits.h"
#include "options.h"
#include "part.h"
#include "process.h"
#include "token_init.h"

#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
	"Usage: hsmint token unlatch --token NAME [--control PATH]\n"
	"       hsmint token unlock --token NAME [--control PATH]\n"
	"       hsmint token init --help\n"
	"\n"
	"unlatch lets the service try a token's PIN again. After a PIN that was wrong, or attempts that were never "
	"answered,\n"
	"hsmint does not try the same PIN again, since a token locks itself after a few wrong ones. Make sure that the "
	"PIN is\n"
	"right before you unlatch.\n"
	"\n"
	"unlock logs in a token that waits for its operators. With `login: custodians` it takes your part of the PIN, "
	"from the\n"
	"terminal without echo, or else from standard input; the last part logs the token in. With `login: "
	"protected-path` say\n"
	"so when somebody stands at the token's PIN pad. It waits for the login's outcome, and prints what is "
	"missing.\n"
	"\n"
	"  --token NAME    the token's name in the configuration\n"
	"  --control PATH  the service's control socket (otherwise HSMINT_CONTROL)\n"
	"  --json          print the service's reply\n"
	"\n"
	"Example:\n"
	"  hsmint token unlatch --token soft --control run/control.sock\n"
	"  hsmint token unlock --token hsm --control run/control.sock";

enum { OPTION_TOKEN = 256, OPTION_CONTROL, OPTION_JSON, OPTION_HELP };
enum { UNLOCK_TIMEOUT_MS = 2 * HM_PROTECTED_PATH_SECONDS * 1000 }; /* it may wait for the token's turn to start */

static const struct option options[] = {
	{"token", required_argument, NULL, OPTION_TOKEN},
	{"control", required_argument, NULL, OPTION_CONTROL},
	{"json", no_argument, NULL, OPTION_JSON},
	{"help", no_argument, NULL, OPTION_HELP},
	{0},
};

struct words {
	const char *token, *control;
	bool json;
};

/* The command as JSON, to be freed; NULL: the token's name is not text. */
static char *command_for(const char *verb, const char *token)
{
	json_t *object = json_pack("{s:s, s:s}", "command", verb, "token", token);
	char *command = object ? json_dumps(object, JSON_COMPACT) : NULL;
	json_decref(object);
	if (!command)
		(void)usage_error("token", "--token takes UTF-8 text");
	return command;
}

static int unlatch(const struct words *words)
{
	int status = EXIT_FAILED;
	char *command = command_for("token-unlatch", words->token);
	if (!command)
		return EXIT_USAGE;
	char *reply = control_call(words->control, command, "token", &status);
	free(command);
	if (!reply)
		return status;
	status = words->json ? print_line(reply) : EXIT_DONE;
	hsmint_text_free(reply);
	return status;
}

/* ---- unlock ---- */

/* Whether this token takes parts of its PIN. What else it is, the service tells. */
static bool takes_parts(const char *status_reply, const char *name)
{
	size_t i;
	json_t *token;
	bool takes = false;
	json_t *status = json_loads(status_reply, 0, NULL); /* the library has parsed it before */
	json_array_foreach(json_object_get(status, "tokens"), i, token)
	{
		const char *login = json_string_value(json_object_get(token, "login"));
		const char *own_name = json_string_value(json_object_get(token, "name"));
		if (login && own_name && strcmp(own_name, name) == 0)
			takes = strcmp(login, "custodians") == 0;
	}
	json_decref(status);
	return takes;
}

static int print_progress(const char *reply)
{
	json_t *progress = json_loads(reply, 0, NULL);
	json_int_t missing = json_integer_value(json_object_get(progress, "parts_missing"));
	if (json_is_true(json_object_get(progress, "replaced")))
		puts("your part took the place of the one that you gave before");
	if (missing)
		printf("%" JSON_INTEGER_FORMAT " more %s missing\n", missing, missing == 1 ? "part is" : "parts are");
	else
		puts("the token is unlocked");
	json_decref(progress);
	return flush_output();
}

static int give(const struct words *words, const char *control, int part)
{
	hsmint_error *error = NULL;
	char *command = command_for("token-unlock", words->token);
	if (!command)
		return EXIT_USAGE;
	char *reply = hsmint_control_call_fd(control, command, part, UNLOCK_TIMEOUT_MS, &error);
	free(command);
	if (!reply)
		return report_error(error);
	int status = words->json ? print_line(reply) : print_progress(reply);
	hsmint_text_free(reply);
	return status;
}

static int unlock(const struct words *words)
{
	int status = EXIT_FAILED;
	const char *control = words->control ? words->control : getenv("HSMINT_CONTROL");
	char *reply = control_call(control, "{\"command\":\"status\"}", "token", &status);
	if (!reply)
		return status;
	bool wants_part = takes_parts(reply, words->token);
	hsmint_text_free(reply);
	process_harden(); /* what is read now stays out of core files */
	int part = wants_part ? part_read("your part of the PIN: ") : -1;
	if (wants_part && part < 0)
		return EXIT_FAILED;
	status = give(words, control, part);
	if (part >= 0)
		close(part);
	return status;
}

int command_token(int argc, char **argv)
{
	struct words words = {.token = NULL};
	int option;

	if (argc > 1 && strcmp(argv[1], "init") == 0)
		return command_token_init(argc - 1, argv + 1);
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == OPTION_HELP)
			return print_line(help);
		if (option == OPTION_TOKEN)
			words.token = optarg;
		else if (option == OPTION_CONTROL)
			words.control = optarg;
		else if (option == OPTION_JSON)
			words.json = true;
		else
			return usage_error("token", "see the options");
	}
	const char *verb = argc - optind == 1 ? argv[optind] : "";
	int (*run)(const struct words *words) = strcmp(verb, "unlatch") == 0  ? unlatch
						: strcmp(verb, "unlock") == 0 ? unlock
									      : NULL;
	if (!run)
		return usage_error("token", "what to do with the token? unlatch, unlock, init");
	if (!words.token)
		return usage_error("token", "--token NAME is needed");
	return run(&words);
}
