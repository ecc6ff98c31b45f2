/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The anchors of mint, moved by lines on standard input: "read", or "keep SHARD FILE" (a note). Each is answered by a
 * line: ok, refused, unavailable or broken, and why; after a good "keep" FILE has the note as it was extended.
 *
 * anchor-driver ORIGIN DIRECTORY [--file PATH] [--witness URL KEY]
 */
#include "anchor.h"

#include "file.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void answer(hm_result result, const struct hm_problem *why)
{
	static const char *const words[] = {"ok", "refused", "unavailable", "broken"};
	printf("%s %s\n", words[result], result == HM_OK ? "" : why->detail);
	fflush(stdout);
}

static void keep(struct anchor *anchor, char *arguments)
{
	struct hm_problem why = {0};
	char note[NOTE_MAX];
	size_t length;
	char *path = strchr(arguments, ' ');
	if (!path)
		exit(2);
	hm_result result = file_read(++path, false, note, sizeof note - 1, &length, &why);
	if (result == HM_OK)
		result = anchor_keep(anchor, (unsigned)atoi(arguments), note, &length, &why);
	struct hm_problem fault;
	if (file_replace(path, note, length, 0600, &fault) != HM_OK)
		exit(2);
	answer(result, &why);
}

static struct anchor *open_anchor(const struct config_ledger *ledger)
{
	struct hm_problem why = {0};
	struct anchor *anchor;
	hm_result result = anchor_open(ledger, &anchor, &why);
	answer(result, &why);
	return anchor;
}

int main(int argc, char **argv)
{
	struct config_witness witness;
	struct config_anchor places = {.file = NULL};
	struct config_ledger ledger = {.anchor = &places};
	char line[4096];
	if (argc < 3)
		return 2;
	ledger.origin = argv[1];
	ledger.directory = argv[2];
	for (int i = 3; i < argc; i++)
		if (strcmp(argv[i], "--file") == 0 && i + 1 < argc) {
			places.file = argv[++i];
		} else if (strcmp(argv[i], "--witness") == 0 && i + 2 < argc) {
			witness = (struct config_witness){.url = argv[i + 1], .key = argv[i + 2]};
			places.witness = &witness;
			i += 2;
		}
	struct anchor *anchor = open_anchor(&ledger);
	while (anchor && fgets(line, sizeof line, stdin)) {
		struct hm_problem why = {0};
		line[strcspn(line, "\n")] = 0;
		if (strcmp(line, "read") == 0)
			answer(anchor_read(anchor, &why), &why);
		else if (strncmp(line, "keep ", 5) == 0)
			keep(anchor, line + 5);
	}
	anchor_close(anchor);
	return anchor ? 0 : 1;
}
