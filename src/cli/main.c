/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *summary;
} commands[] = {
	{"serve", command_serve, "run the service"},
	{"check", command_check, "check a configuration"},
	{"dev", command_dev, "run a service for tests, with a SoftHSM token of its own"},
	{"mint", command_mint, "have a credential minted"},
	{"status", command_status, "show how the service is"},
	{"reload", command_reload, "have the service read its configuration and certificates again"},
	{"key", command_key, "make, rotate and show the issuers' keys, and hold ceremonies"},
	{"ledger", command_ledger, "verify the record of all that was signed, prove what is in it, find and export it"},
	{"agent", command_agent, "register agents, suspend and retire them"},
	{"task", command_task, "open, pause, complete and cancel tasks"},
	{"approve", command_approve, "grant or deny what somebody asked for"},
	{"revoke", command_revoke, "end credentials before they expire"},
	{"policy", command_policy, "explain a decision"},
	{"token", command_token, "act on a token: unlatch its PIN, unlock it, initialise a blank one"},
	{"clock", command_clock, "accept the machine's time after it was set"},
};
enum { COMMANDS = sizeof commands / sizeof *commands };

static void print_help(FILE *out)
{
	fputs("Usage: hsmint COMMAND [OPTION...]\n"
	      "       hsmint COMMAND --help | --help | --version\n"
	      "\n"
	      "Mint short-lived credentials for agents and workloads with keys that never leave an HSM.\n"
	      "\n"
	      "Commands:\n",
		out);
	for (size_t i = 0; i < COMMANDS; i++)
		fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].summary);
	fputs("\n"
	      "The answer goes to standard output, everything else to standard error.\n"
	      "Exit status: 0 done, 1 refused or failed, 2 wrong usage.\n"
	      "\n"
	      "Example:\n"
	      "  hsmint mint jwt --socket run/hsmint.sock --profile demo-access \\\n"
	      "      --subject spiffe://demo.test/agent/first --audience https://api.demo.test\n",
		out);
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		print_help(stderr);
		return EXIT_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		print_help(stdout);
		return flush_output();
	}
	if (strcmp(argv[1], "--version") == 0) {
		printf("hsmint %s\n", hsmint_version());
		return flush_output();
	}
	for (size_t i = 0; i < COMMANDS; i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	fprintf(stderr, "hsmint: there is no command '%s'\nTry 'hsmint --help'.\n", argv[1]);
	return EXIT_USAGE;
}
