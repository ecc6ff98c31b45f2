/* SPDX-License-Identifier: Apache-2.0 */
#include "ceremony.h"

#include "options.h"
#include <string.h>

static const char help[] =
	"Usage: hsmint key ceremony new --config FILE --token NAME --label LABEL --subject DN --custodian NAME... "
	"--out DIR\n"
	"       hsmint key ceremony import --config FILE --record DIR --chain FILE --root FILE --custodian NAME...\n"
	"       hsmint key ceremony verify DIR\n"
	"\n"
	"Make a CA key in a token before witnesses, and a signed record of it; docs/ceremony.md is the script to "
	"print.\n"
	"`new` generates the key and a self-signed certificate or a request for one, `import` takes the certificate "
	"that "
	"came\n"
	"back, `verify` checks a record without token, configuration or service. Each has its own --help.\n"
	"\n"
	"Example:\n"
	"  hsmint key ceremony verify ceremony-2026";

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} verbs[] = {{"new", ceremony_new}, {"import", ceremony_import}, {"verify", ceremony_verify}};

int command_ceremony(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";
	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
		if (strcmp(verb, verbs[i].name) == 0)
			return verbs[i].run(argc - 1, argv + 1);
	if (strcmp(verb, "--help") == 0)
		return print_line(help);
	return usage_error("key ceremony", "what to do? new, import, verify");
}
