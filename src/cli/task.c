/* SPDX-License-Identifier: Apache-2.0 */
#include "api_command.h"
#include "commands.h"
#include "options.h"
#include <stdio.h>

static const char help[] =
	"Usage: hsmint task open --agent SPIFFE-ID --purpose TEXT [OPTION...]\n"
	"       hsmint task list|show ID\n"
	"       hsmint task pause|resume|complete|cancel ID [--reason TEXT]\n"
	"\n"
	"What an agent is doing, for whom and until when. Credentials of a task end with it.\n"
	"\n"
	"  open      prints the task's id\n"
	"  pause     no credentials until it is resumed; those that are out read as suspended\n"
	"  complete  it is done: no credentials any more, and those that are out end\n"
	"  cancel    the same, before it is done\n"
	"\n"
	"What holds for a task holds for its children.\n"
	"\n"
	"  --agent ID          the agent's SPIFFE ID\n"
	"  --purpose TEXT      what it is\n"
	"  --on-behalf-of WHO  for whom\n"
	"  --audiences TEXT, --scopes TEXT   which its credentials may have; repeat for several\n"
	"  --lifetime PERIOD   when it ends at the latest, from now (1h)\n"
	"  --ref TEXT          your own name for it: the same again is the same task\n"
	"  --parent ID         the task that it is part of\n"
	"  --reason TEXT       why, for the record\n"
	"  --after ID, --limit N   of list: behind which one, and how many at most (100)\n"
	"  --issuer NAME       where several issuers know you\n" API_WAY_HELP
	"  --json              print the service's reply\n"
	"\n"
	"Example:\n"
	"  hsmint task open --agent spiffe://demo.test/agent/billing --purpose 'invoices of May' \\\n"
	"      --control run/control.sock";

static int print_id(const json_t *body)
{
	return print_line(api_text(body, "id"));
}

static void print_one(const json_t *task)
{
	printf("%s  %s  %s  %s", api_text(task, "id"), api_text(task, "state"), api_text(task, "agent"),
		api_text(task, "purpose"));
	api_print_time("until", task, "expires");
	putchar('\n');
}

static int print_task(const json_t *body)
{
	print_one(body);
	return flush_output();
}

static int print_list(const json_t *body)
{
	size_t i;
	json_t *task;
	json_array_foreach(json_object_get(body, "tasks"), i, task) print_one(task);
	if (json_object_get(body, "next"))
		fprintf(stderr, "hsmint: there are more: --after '%s'\n", api_text(body, "next"));
	return flush_output();
}

static const struct api_option open_options[] = {{.name = "agent"}, {.name = "purpose"}, {.name = "on-behalf-of"},
	{.name = "audiences", .member = MEMBER_LIST}, {.name = "scopes", .member = MEMBER_LIST},
	{.name = "lifetime", .member = MEMBER_PERIOD}, {.name = "ref"}, {.name = "parent"}, {.name = NULL}};

static const struct api_verb verbs[] = {
	{.name = "open", .method = "POST", .path = "/v1/tasks", .options = open_options, .print = print_id},
	{.name = "list", .method = "GET", .path = "/v1/tasks", .options = api_list_options, .print = print_list},
	{.name = "show", .method = "GET", .path = "/v1/tasks/{id}", .print = print_task},
	{.name = "pause",
		.method = "POST",
		.path = "/v1/tasks/{id}/pause",
		.options = api_reason_options,
		.print = print_task},
	{.name = "resume",
		.method = "POST",
		.path = "/v1/tasks/{id}/resume",
		.options = api_reason_options,
		.print = print_task},
	{.name = "complete",
		.method = "POST",
		.path = "/v1/tasks/{id}/complete",
		.options = api_reason_options,
		.print = print_task},
	{.name = "cancel",
		.method = "POST",
		.path = "/v1/tasks/{id}/cancel",
		.options = api_reason_options,
		.print = print_task},
};

int command_task(int argc, char **argv)
{
	static const struct api_command command = {"task", help, verbs, sizeof verbs / sizeof *verbs};
	return api_command_run(&command, argc, argv);
}
