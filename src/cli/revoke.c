/* SPDX-License-Identifier: Apache-2.0 */
#include "api_command.h"
#include "commands.h"
#include "options.h"
#include <stdio.h>
#include <string.h>

static const char help[] =
	"Usage: hsmint revoke --credential ID | --token FILE | --subject SUBJECT | --kid KID [OPTION...]\n"
	"       hsmint revoke list\n"
	"\n"
	"End credentials before they expire. (A task is completed or cancelled, an agent suspended or retired: see\n"
	"hsmint task and hsmint agent.)\n"
	"\n"
	"  --credential ID     one credential, by its jti; or a provider's token, by what the ledger calls it\n"
	"  --token FILE        the same, by the credential itself in a file, - is standard input: it also says where\n"
	"                      in a status list it is\n"
	"  --subject SUBJECT   everything that was issued to it until now\n"
	"  --kid KID           everything that the key signed until now\n"
	"  --force             also where a credential shares its place with others of its task: all of them end\n"
	"  --reason TEXT       why, for the record\n"
	"  --after ID, --limit N   of list: behind which one, and how many at most (100)\n"
	"  --issuer NAME       where several issuers know you\n" API_WAY_HELP
	"  --json              print the service's reply\n"
	"\n"
	"Example:\n"
	"  hsmint revoke --subject spiffe://demo.test/agent/billing --reason 'keys leaked' --control run/control.sock";

static void print_one(const json_t *revocation)
{
	static const char *const words[] = {"credential", "subject", "key"};
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (json_object_get(revocation, words[i]))
			printf("%s %s", words[i], api_text(revocation, words[i]));
	api_print_time("at", revocation, "at");
	putchar('\n');
}

static int print_revocation(const json_t *body)
{
	print_one(body);
	return flush_output();
}

static int print_list(const json_t *body)
{
	size_t i;
	json_t *revocation;
	json_array_foreach(json_object_get(body, "revocations"), i, revocation) print_one(revocation);
	if (json_object_get(body, "next"))
		fprintf(stderr, "hsmint: there are more: --after '%s'\n", api_text(body, "next"));
	return flush_output();
}

static const struct api_option options[] = {{.name = "credential"}, {.name = "token", .member = MEMBER_SECRET},
	{.name = "subject"}, {.name = "kid", .as = "key"}, {.name = "force", .member = MEMBER_FLAG}, {.name = "reason"},
	{.name = NULL}};

static const struct api_verb verbs[] = {
	{.name = "revoke", .method = "POST", .path = "/v1/revocations", .options = options, .print = print_revocation},
	{.name = "list", .method = "GET", .path = "/v1/revocations", .options = api_list_options, .print = print_list},
};

int command_revoke(int argc, char **argv)
{
	static const struct api_command command = {"revoke", help, verbs, sizeof verbs / sizeof *verbs};
	char *with_verb[64] = {argv[0], argv[0]};
	if (argc < 2 || strcmp(argv[1], "list") == 0 || strcmp(argv[1], "--help") == 0 || argc > 62)
		return api_command_run(&command, argc, argv);
	memcpy(with_verb + 2, argv + 1, (size_t)(argc - 1) * sizeof *argv); /* the verb is the command itself */
	return api_command_run(&command, argc + 1, with_verb);
}
