/* SPDX-License-Identifier: Apache-2.0 */
#include "api_command.h"
#include "options.h"
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
	"Usage: hsmint policy explain FILE [--caller NAME] [--control PATH] [--json]\n"
	"\n"
	"Show what the decision on a mint request would be, rule by rule, without minting.\n"
	"\n"
	"FILE is the request as JSON, - for standard input. Exit status 0: it would be allowed; 1: it would not.\n"
	"\n"
	"  --caller NAME   who asks (otherwise you)\n"
	"  --control PATH  the service's control socket (otherwise HSMINT_CONTROL)\n"
	"  --json          print the service's reply\n"
	"\n"
	"Example:\n"
	"  hsmint policy explain request.json --caller broker --control run/control.sock";

static int print_steps(const json_t *body)
{
	size_t i;
	json_t *step, *need;
	bool is_allowed = json_is_true(json_object_get(body, "allowed"));
	json_array_foreach(json_object_get(body, "steps"), i, step)
	{
		printf("%-4s %s", json_is_true(json_object_get(step, "ok")) ? "yes" : "no", api_text(step, "rule"));
		if (json_object_get(step, "code"))
			printf(": %s (%s)", api_text(step, "code"), api_text(step, "accepts"));
		putchar('\n');
	}
	json_array_foreach(json_object_get(body, "needs"), i, need) printf("first %s\n", json_string_value(need));
	return flush_output() == EXIT_DONE && is_allowed ? EXIT_DONE : EXIT_FAILED;
}

static int explain(const char *file, const char *caller, const struct control_options *options)
{
	int status;
	json_error_t error;
	json_t *request = strcmp(file, "-") == 0 ? json_loadf(stdin, JSON_REJECT_DUPLICATES, &error)
						 : json_load_file(file, JSON_REJECT_DUPLICATES, &error);
	if (!request)
		return usage_error("policy", "%s: %s (line %d)", file, error.text, error.line);
	json_t *body = json_pack("{s:o, s:s*}", "request", request, "caller", caller);
	json_t *answer = api_command_call(options->control, "policy", "POST", "/v1/policy/explain", body, &status);
	if (answer && options->json) {
		char *text = json_dumps(answer, JSON_COMPACT);
		status = print_line(text);
		free(text);
	} else if (answer) {
		status = print_steps(answer);
	}
	json_decref(answer);
	return status;
}

/* --caller is this command's own: it is taken out before the others are read. */
static const char *take_caller(int *argc, char **argv)
{
	const char *caller = NULL;
	int kept = 0;
	for (int i = 0; i < *argc; i++)
		if (strcmp(argv[i], "--caller") == 0 && i + 1 < *argc)
			caller = argv[++i];
		else
			argv[kept++] = argv[i];
	*argc = kept;
	return caller;
}

int command_policy(int argc, char **argv)
{
	int status;
	struct control_options options;
	const char *caller = take_caller(&argc, argv);
	if (argc > 1 && strncmp(argv[1], "--", 2) == 0) /* --help, or one that is not known */
		return control_options_read(argc, argv, help, &options, &status) ? usage_error("policy", "explain FILE")
										 : status;
	if (argc < 2 || strcmp(argv[1], "explain") != 0)
		return usage_error("policy", "what is to be done? explain");
	argv[1] = argv[0];
	if (!control_options_read(argc - 1, argv + 1, help, &options, &status))
		return status;
	if (argc - 1 - optind != 1)
		return usage_error("policy", "explain needs one file with a request");
	return explain((argv + 1)[optind], caller, &options);
}
