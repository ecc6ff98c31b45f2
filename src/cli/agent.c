/* SPDX-License-Identifier: Apache-2.0 */
#include "agent_register.h"
#include "api_command.h"
#include "commands.h"
#include "options.h"
#include <stdio.h>

static const char help[] =
	"Usage: hsmint agent add SPIFFE-ID --owner WHO --purpose TEXT --review PERIOD [--class] [LIMIT...]\n"
	"       hsmint agent list|show AGENT\n"
	"       hsmint agent suspend|resume|retire AGENT [--reason TEXT]\n"
	"       hsmint agent transfer AGENT --owner WHO [--contact WHO] [--review PERIOD]\n"
	"       hsmint agent import FILE\n"
	"       hsmint agent export\n"
	"\n"
	"The register of agents: every credential belongs to one, and each has somebody accountable.\n"
	"\n"
	"  add       register an agent, or with --class a pattern of SPIFFE IDs: those that match one need no\n"
	"            registration of their own. Prints its id\n"
	"  suspend   no credentials until it is resumed; those that are out read as suspended\n"
	"  retire    no credentials any more; those that are out end\n"
	"  transfer  give it another owner\n"
	"  import    register what stands in FILE (- is standard input), one agent a line, as a JSON object with the\n"
	"            members of POST /v1/agents, or as export prints it. Up to 1,000 agents make a batch, which is\n"
	"            registered as a whole or not at all; after one that is refused nothing more is. What is there "
	"with\n"
	"            the same content stays as it is, so the same file can be imported again\n"
	"  export    print every agent and class, one a line, as the service shows it\n"
	"\n"
	"AGENT is an id, or a SPIFFE ID. An agent is imported as active: a line that says it is suspended or retired "
	"is\n"
	"refused. Instances of classes are passed over: each comes anew with its first credential.\n"
	"\n"
	"  --owner WHO         who is accountable for it\n"
	"  --contact WHO       whom to escalate to\n"
	"  --purpose TEXT      what it is for\n"
	"  --review PERIOD     when somebody has to look at it again, from now: 90d\n"
	"  --reason TEXT       why, for the record\n"
	"  --audiences TEXT, --scopes TEXT, --kinds KIND   what it may have at most; repeat for several\n"
	"  --lifetime PERIOD   for how long at most\n"
	"  --depth N           through how many hands its credentials may be delegated\n"
	"  --after ID, --limit N   of list: behind which one, and how many at most (100)\n"
	"  --issuer NAME       where several issuers know you\n" API_WAY_HELP
	"  --json              print the service's reply\n"
	"\n"
	"Example:\n"
	"  hsmint agent add spiffe://demo.test/agent/billing --owner alice@example.org \\\n"
	"      --purpose 'pays invoices' --review 90d --control run/control.sock\n"
	"  hsmint agent import agents.jsonl --control run/control.sock\n"
	"\n"
	"agents.jsonl:\n"
	"  "
	"{\"spiffe_id\":\"spiffe://demo.test/agent/"
	"a\",\"owner\":\"al@x.org\",\"purpose\":\"pays\",\"review\":1830000000}";

static int print_id(const json_t *body)
{
	return print_line(api_text(body, "id"));
}

static void print_one(const json_t *agent)
{
	printf("%s  %s  %s  owner %s", api_text(agent, "id"), api_text(agent, "spiffe_id"), api_text(agent, "status"),
		api_text(agent, json_object_get(agent, "of") ? "of" : "owner"));
	api_print_time("review", agent, "review");
	putchar('\n');
}

static int print_agent(const json_t *body)
{
	print_one(body);
	return flush_output();
}

static int print_list(const json_t *body)
{
	size_t i;
	json_t *agent;
	json_array_foreach(json_object_get(body, "agents"), i, agent) print_one(agent);
	if (json_object_get(body, "next"))
		fprintf(stderr, "hsmint: there are more: --after '%s'\n", api_text(body, "next"));
	return flush_output();
}

static const struct api_option add_options[] = {{.name = "owner"}, {.name = "contact"}, {.name = "purpose"},
	{.name = "review", .member = MEMBER_TIME}, {.name = "class", .member = MEMBER_FLAG},
	{.name = "audiences", .member = MEMBER_LIST, .inside = "limits"},
	{.name = "scopes", .member = MEMBER_LIST, .inside = "limits"},
	{.name = "kinds", .member = MEMBER_LIST, .inside = "limits"},
	{.name = "lifetime", .member = MEMBER_PERIOD, .inside = "limits"},
	{.name = "depth", .member = MEMBER_NUMBER, .inside = "limits"}, {.name = NULL}};
static const struct api_option transfer_options[] = {
	{.name = "owner"}, {.name = "contact"}, {.name = "review", .member = MEMBER_TIME}, {.name = NULL}};

static const struct api_verb verbs[] = {
	{.name = "add",
		.method = "POST",
		.path = "/v1/agents",
		.word = "spiffe_id",
		.options = add_options,
		.print = print_id},
	{.name = "list", .method = "GET", .path = "/v1/agents", .options = api_list_options, .print = print_list},
	{.name = "show", .method = "GET", .path = "/v1/agents/{id}", .print = print_agent, .by_spiffe_id = true},
	{.name = "suspend",
		.method = "POST",
		.path = "/v1/agents/{id}/suspend",
		.options = api_reason_options,
		.print = print_agent,
		.by_spiffe_id = true},
	{.name = "resume",
		.method = "POST",
		.path = "/v1/agents/{id}/resume",
		.options = api_reason_options,
		.print = print_agent,
		.by_spiffe_id = true},
	{.name = "retire",
		.method = "POST",
		.path = "/v1/agents/{id}/retire",
		.options = api_reason_options,
		.print = print_agent,
		.by_spiffe_id = true},
	{.name = "transfer",
		.method = "POST",
		.path = "/v1/agents/{id}/transfer",
		.options = transfer_options,
		.print = print_agent,
		.by_spiffe_id = true},
	{.name = "import", .path = "", .word = "FILE", .run = agent_import},
	{.name = "export", .path = "", .run = agent_export},
};

int command_agent(int argc, char **argv)
{
	static const struct api_command command = {"agent", help, verbs, sizeof verbs / sizeof *verbs};
	return api_command_run(&command, argc, argv);
}
