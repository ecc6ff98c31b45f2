/* SPDX-License-Identifier: Apache-2.0 */
#include "api_command.h"
#include "commands.h"
#include "options.h"
#include <stdio.h>

static const char help[] =
	"Usage: hsmint policy explain FILE [--caller NAME] [OPTION...]\n"
	"\n"
	"Show what the decision on a mint request would be, rule by rule, without minting.\n"
	"\n"
	"FILE is the request as JSON, - for standard input. Exit status 0: it would be allowed; 1: it would not.\n"
	"\n"
	"  --caller NAME       who asks (otherwise you)\n"
	"  --issuer NAME       where several issuers know you\n" API_WAY_HELP
	"  --json              print the service's reply\n"
	"\n"
	"Example:\n"
	"  hsmint policy explain request.json --caller broker --control run/control.sock";

static int print_steps(const json_t *body)
{
	size_t i;
	json_t *step, *need;
	json_array_foreach(json_object_get(body, "steps"), i, step)
	{
		printf("%-4s %s", json_is_true(json_object_get(step, "ok")) ? "yes" : "no", api_text(step, "rule"));
		if (json_object_get(step, "code"))
			printf(": %s (%s)", api_text(step, "code"), api_text(step, "accepts"));
		putchar('\n');
	}
	json_array_foreach(json_object_get(body, "needs"), i, need) printf("first %s\n", json_string_value(need));
	return flush_output();
}

static bool is_allowed(const json_t *body)
{
	return json_is_true(json_object_get(body, "allowed"));
}

static const struct api_option options[] = {{.name = "caller"}, {.name = NULL}};

static const struct api_verb verbs[] = {{.name = "explain",
	.method = "POST",
	.path = "/v1/policy/explain",
	.word = "request",
	.is_file = true,
	.options = options,
	.print = print_steps,
	.is_success = is_allowed}};

int command_policy(int argc, char **argv)
{
	static const struct api_command command = {"policy", help, verbs, sizeof verbs / sizeof *verbs};
	return api_command_run(&command, argc, argv);
}
