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
	"  --issuer NAME       where several issuers know you\n"
	"  --control PATH      the service's control socket (otherwise HSMINT_CONTROL)\n"
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

static const struct api_option open_options[] = {{"agent", MEMBER_TEXT, NULL}, {"purpose", MEMBER_TEXT, NULL},
	{"on-behalf-of", MEMBER_TEXT, NULL}, {"audiences", MEMBER_LIST, NULL}, {"scopes", MEMBER_LIST, NULL},
	{"lifetime", MEMBER_PERIOD, NULL}, {"ref", MEMBER_TEXT, NULL}, {"parent", MEMBER_TEXT, NULL}};
static const struct api_option reason_options[] = {{"reason", MEMBER_TEXT, NULL}};
static const struct api_option list_options[] = {{"after", MEMBER_TEXT, NULL}, {"limit", MEMBER_TEXT, NULL}};

static const struct api_verb verbs[] = {
	{"open", "POST", "/v1/tasks", "", NULL, open_options, print_id, 8, false},
	{"list", "GET", "/v1/tasks", "", NULL, list_options, print_list, 2, false},
	{"show", "GET", "/v1/tasks/", "", NULL, NULL, print_task, 0, false},
	{"pause", "POST", "/v1/tasks/", "/pause", NULL, reason_options, print_task, 1, false},
	{"resume", "POST", "/v1/tasks/", "/resume", NULL, reason_options, print_task, 1, false},
	{"complete", "POST", "/v1/tasks/", "/complete", NULL, reason_options, print_task, 1, false},
	{"cancel", "POST", "/v1/tasks/", "/cancel", NULL, reason_options, print_task, 1, false},
};

int command_task(int argc, char **argv)
{
	static const struct api_command command = {"task", help, verbs, sizeof verbs / sizeof *verbs};
	return api_command_run(&command, argc, argv);
}
