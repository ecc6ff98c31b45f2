/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger.h"

#include "options.h"
#include <stdio.h>
#include <string.h>

static struct {
	char name[24]; /* as messages on its usage call it */
	int (*run)(int argc, char **argv);
	const char *summary;
} verbs[] = {
	{"ledger follow", ledger_follow, "keep a copy of a service's ledger, and go on with it"},
	{"ledger forget", ledger_forget, "delete the salt under which it names a human"},
	{"ledger reconcile", ledger_reconcile, "compare it with the HSM's own log"},
	{"ledger restore", ledger_restore_command, "accept an old copy, under a new origin"},
	{"ledger verify", ledger_verify, "check every signature, hash and count of a copy"},
	{"ledger prove", ledger_prove, "print a proof that a credential is recorded"},
	{"ledger check-proof", ledger_check_proof, "check such a proof"},
	{"ledger find", ledger_find, "print the entries about an agent, a task or a context"},
	{"ledger export", ledger_export, "print all entries, for a SIEM"},
	{"ledger vkey", ledger_vkey, "print the verifier keys of its checkpoints"},
};
enum { VERBS = sizeof verbs / sizeof *verbs };

static const char *word(size_t verb)
{
	return verbs[verb].name + strlen("ledger ");
}

static int print_help(void)
{
	puts("Usage: hsmint ledger VERB [OPTION...]\n"
	     "       hsmint ledger VERB --help\n"
	     "\n"
	     "Ask the ledger, in which every credential is recorded.\n");
	for (size_t i = 0; i < VERBS; i++)
		printf("  %-12s %s\n", word(i), verbs[i].summary);
	puts("\n"
	     "Example:\n"
	     "  hsmint ledger vkey --control run/control.sock");
	return flush_output();
}

static int ask_for_a_verb(const char *instead_of)
{
	fprintf(stderr, "hsmint: what to do with the ledger? Not '%s', but", instead_of);
	for (size_t i = 0; i < VERBS; i++)
		fprintf(stderr, "%s %s", i ? "," : "", word(i));
	fputs("\nTry 'hsmint ledger --help'.\n", stderr);
	return EXIT_USAGE;
}

int command_ledger(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "--help") == 0)
		return print_help();
	for (size_t i = 0; argc > 1 && i < VERBS; i++)
		if (strcmp(argv[1], word(i)) == 0) {
			argv[1] = verbs[i].name;
			return verbs[i].run(argc - 1, argv + 1);
		}
	return ask_for_a_verb(argc > 1 ? argv[1] : "");
}
