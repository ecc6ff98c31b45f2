/* SPDX-License-Identifier: Apache-2.0 */
#include "api_command.h"
#include "commands.h"
#include "options.h"
#include <stdio.h>

static const char help[] = "Usage: hsmint approve list|show ID\n"
			   "       hsmint approve grant|deny ID [--reason TEXT]\n"
			   "\n"
			   "Requests that somebody else has to approve before they are struck.\n"
			   "\n"
			   "  list   those that were asked for lately, with what would be struck\n"
			   "  grant  let it be struck; you are neither who asks nor one who granted it before\n"
			   "  deny   it is not struck, whoever granted it\n"
			   "\n"
			   "  --reason TEXT       why, for the record\n"
			   "  --after ID, --limit N   of list: behind which one, and how many at most (100)\n"
			   "  --issuer NAME       where several issuers know you\n" API_WAY_HELP
			   "  --json              print the service's reply, with all that is approved\n"
			   "\n"
			   "Example:\n"
			   "  hsmint approve list --control run/control.sock";

static void print_one(const json_t *approval)
{
	const json_t *request = json_object_get(approval, "request");
	printf("%s  %s  %zu of %lld  %s asks for %s: %s, scope %s", api_text(approval, "id"),
		api_text(approval, "state"), json_array_size(json_object_get(approval, "approvers")),
		(long long)json_integer_value(json_object_get(approval, "wanted")), api_text(approval, "caller"),
		api_text(request, "subject"), api_text(request, "profile"), api_text(request, "scope"));
	api_print_time("until", approval, "expires");
	putchar('\n');
}

static int print_approval(const json_t *body)
{
	print_one(body);
	return flush_output();
}

static int print_list(const json_t *body)
{
	size_t i;
	json_t *approval;
	json_array_foreach(json_object_get(body, "approvals"), i, approval) print_one(approval);
	if (json_object_get(body, "next"))
		fprintf(stderr, "hsmint: there are more: --after '%s'\n", api_text(body, "next"));
	return flush_output();
}

static const struct api_verb verbs[] = {
	{.name = "list", .method = "GET", .path = "/v1/approvals", .options = api_list_options, .print = print_list},
	{.name = "show", .method = "GET", .path = "/v1/approvals/{id}", .print = print_approval},
	{.name = "grant",
		.method = "POST",
		.path = "/v1/approvals/{id}/grant",
		.options = api_reason_options,
		.print = print_approval},
	{.name = "deny",
		.method = "POST",
		.path = "/v1/approvals/{id}/deny",
		.options = api_reason_options,
		.print = print_approval},
};

int command_approve(int argc, char **argv)
{
	static const struct api_command command = {"approve", help, verbs, sizeof verbs / sizeof *verbs};
	return api_command_run(&command, argc, argv);
}
