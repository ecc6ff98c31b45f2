/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
	"Usage: hsmint key list [--control PATH] [--json]\n"
	"       hsmint key evidence [NAME] [--control PATH]\n"
	"\n"
	"Show the issuers' keys. `evidence` prints what the custody of a key rests on, or of each without NAME: its\n"
	"attributes as the token told them at its last start, the token, the module and its SHA-256, as JSON.\n"
	"\n"
	"  --control PATH  the service's control socket (otherwise HSMINT_CONTROL)\n"
	"  --json          print the service's reply\n"
	"\n"
	"Example:\n"
	"  hsmint key evidence demo-access --control run/control.sock";

static const char *text(const json_t *object, const char *member)
{
	const char *value = json_string_value(json_object_get(object, member));
	return value ? value : "-";
}

static int list(const json_t *keys)
{
	size_t i;
	json_t *key;
	json_array_foreach(keys, i, key)
		printf("%s  %s  %s  %s  on %s  kid %s\n", text(key, "name"), text(key, "issuer"), text(key, "use"),
			text(key, "algorithm"), text(json_object_get(key, "token"), "name"), text(key, "kid"));
	return flush_output();
}

static int print_evidence(const json_t *key)
{
	char *document = json_dumps(key, JSON_INDENT(2));
	int status = document ? print_line(document) : EXIT_FAILED;
	free(document);
	return status;
}

static int evidence(const json_t *keys, const char *name)
{
	size_t i;
	json_t *key;
	if (!name)
		return print_evidence(keys);
	json_array_foreach(keys, i, key) if (strcmp(text(key, "name"), name) == 0) return print_evidence(key);
	fprintf(stderr, "hsmint: the configuration has no key '%s'\n", name);
	return EXIT_FAILED;
}

static int show(const char *what, const char *name, const struct control_options *options)
{
	int status = EXIT_FAILED;
	char *reply = control_call(options->control, "{\"command\":\"keys\"}", "key", &status);
	if (!reply)
		return status;
	json_t *answer = json_loads(reply, 0, NULL); /* the library has parsed it before */
	const json_t *keys = json_object_get(answer, "keys");
	if (options->json)
		status = print_line(reply);
	else
		status = strcmp(what, "list") == 0 ? list(keys) : evidence(keys, name);
	json_decref(answer);
	hsmint_text_free(reply);
	return status;
}

int command_key(int argc, char **argv)
{
	struct control_options options;
	int status;
	if (!control_options_read(argc, argv, help, &options, &status))
		return status;
	int words = argc - optind;
	const char *what = words ? argv[optind] : "";
	if (strcmp(what, "list") != 0 && strcmp(what, "evidence") != 0)
		return usage_error("key", "what to do with keys? list, evidence");
	if (words > (strcmp(what, "list") == 0 ? 1 : 2))
		return usage_error("key", "'%s' is not wanted", argv[argc - 1]);
	return show(what, words == 2 ? argv[optind + 1] : NULL, &options);
}
