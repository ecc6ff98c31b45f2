/* SPDX-License-Identifier: Apache-2.0 */
#include "agent_register.h"

#include "limits.h"
#include <stdio.h>
#include <stdlib.h>

static bool print_page(const json_t *page)
{
	size_t i;
	json_t *agent;
	json_array_foreach(json_object_get(page, "agents"), i, agent)
	{
		char *text = json_dumps(agent, JSON_COMPACT);
		bool is_printed = text && puts(text) != EOF;
		free(text);
		if (!is_printed)
			return false;
	}
	return true;
}

/* The page behind the one that ends with `after`; NULL: why stands on standard error. */
static json_t *ask_page(struct api_way *way, const struct api_words *words, const char *after)
{
	char target[API_TARGET_MAX] = "/v1/agents";
	char limit[16];
	snprintf(limit, sizeof limit, "%d", HM_LIST_MAX);
	api_target_add(target, "limit", limit);
	if (after)
		api_target_add(target, "after", after);
	if (words->issuer)
		api_target_add(target, "issuer", words->issuer);
	return api_way_ask(way, "GET", target, NULL);
}

int agent_export(struct api_way *way, const struct api_words *words)
{
	json_t *page = ask_page(way, words, NULL);
	while (page && print_page(page)) {
		const char *after = json_string_value(json_object_get(page, "next"));
		if (!after) {
			json_decref(page);
			return flush_output();
		}
		json_t *next = ask_page(way, words, after);
		json_decref(page);
		page = next;
	}
	json_decref(page);
	(void)flush_output();
	return EXIT_FAILED;
}
