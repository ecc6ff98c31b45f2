/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger.h"

#include "base64url.h"
#include "note.h"
#include "options.h"
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
	"Usage: hsmint ledger vkey [--control PATH] [--json]\n"
	"\n"
	"Print the verifier keys of the ledger's checkpoints, one a line: of the version of its key that signs, of "
	"the\n"
	"one that signs next, and of those that signed until lately. Keep them elsewhere than the ledger.\n"
	"\n"
	"  --control PATH  the service's control socket (otherwise HSMINT_CONTROL)\n"
	"  --json          print them with the versions of the key and their states\n"
	"\n"
	"Example:\n"
	"  hsmint ledger vkey --control run/control.sock";

static const char *text(const json_t *key, const char *member)
{
	const char *value = json_string_value(json_object_get(key, member));
	return value ? value : "";
}

/* Whether those who verify are to know it: a key in reserve may never sign. */
static bool is_told(const json_t *key)
{
	return strcmp(text(key, "use"), "checkpoint") == 0 && strcmp(text(key, "state"), "created") != 0 &&
	       text(key, "spki")[0];
}

static hm_result write_vkey(const json_t *key, char vkey[NOTE_KEY_TEXT_MAX], struct hm_problem *why)
{
	uint8_t spki[HM_SPKI_MAX];
	struct note_key made;
	size_t length = base64url_decode(text(key, "spki"), strlen(text(key, "spki")), spki, sizeof spki);
	if (length == SIZE_MAX)
		return hm_broken(why, "the service's spki is not base64url");
	HM_TRY(note_key_make(text(key, "origin"), spki, length, &made, why));
	note_key_write(&made, vkey);
	return HM_OK;
}

/* The versions of the ledger's key with their verifier keys; NULL: that failed, and was said. */
static json_t *list(const json_t *keys)
{
	char vkey[NOTE_KEY_TEXT_MAX];
	struct hm_problem why;
	size_t i;
	json_t *key, *found = json_array();
	json_array_foreach(keys, i, key)
	{
		if (!is_told(key))
			continue;
		if (write_vkey(key, vkey, &why) != HM_OK) {
			fprintf(stderr, "hsmint: key %s: %s\n", text(key, "name"), why.detail);
			json_decref(found);
			return NULL;
		}
		(void)json_array_append_new(
			found, json_pack("{s:O, s:s, s:s}", "version", json_object_get(key, "version"), "state",
				       text(key, "state"), "vkey", vkey));
	}
	if (json_array_size(found))
		return found;
	fputs("hsmint: nobody signs checkpoints: the ledger has no key, or its token has not shown it yet\n", stderr);
	json_decref(found);
	return NULL;
}

static int print(const json_t *found, bool as_json)
{
	size_t i;
	json_t *key;
	if (as_json) {
		char *json = json_dumps(found, JSON_COMPACT | JSON_PRESERVE_ORDER);
		int status = json ? print_line(json) : EXIT_FAILED;
		free(json);
		return status;
	}
	json_array_foreach(found, i, key) puts(text(key, "vkey"));
	return flush_output();
}

int ledger_vkey(int argc, char **argv)
{
	struct control_options options;
	int status = EXIT_FAILED;
	if (!control_options_read(argc, argv, help, &options, &status))
		return status;
	if (optind != argc)
		return usage_error(argv[0], "'%s' is not wanted", argv[optind]);
	char *reply = control_call(options.control, "{\"command\":\"keys\"}", argv[0], &status);
	if (!reply)
		return status;
	json_t *answer = json_loads(reply, 0, NULL); /* the library has parsed it before */
	json_t *found = list(json_object_get(answer, "keys"));
	status = found ? print(found, options.json) : EXIT_FAILED;
	json_decref(found);
	json_decref(answer);
	hsmint_text_free(reply);
	return status;
}
