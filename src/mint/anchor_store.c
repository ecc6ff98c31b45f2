/* SPDX-License-Identifier: Apache-2.0 */
#include "anchor_store.h"

#include "postgres.h"
#include <stdlib.h>
#include <string.h>

struct anchor_store {
	struct postgres *postgres;
	const char *origin;
};

struct anchor_store *anchor_store_open(const char *url, const char *origin)
{
	struct anchor_store *anchor = calloc(1, sizeof *anchor);
	if (!anchor)
		return NULL;
	anchor->origin = origin;
	anchor->postgres = postgres_open(url);
	if (anchor->postgres)
		return anchor;
	free(anchor);
	return NULL;
}

void anchor_store_close(struct anchor_store *anchor)
{
	if (anchor)
		postgres_close(anchor->postgres);
	free(anchor);
}

struct found {
	char *note;
	size_t *length;
	bool is_there;
};

static bool take_note(void *context, const PGresult *result)
{
	struct found *found = context;
	size_t length = (size_t)PQgetlength(result, 0, 0);
	if (length > NOTE_MAX)
		return false;
	memcpy(found->note, PQgetvalue(result, 0, 0), length);
	*found->length = length;
	found->is_there = true;
	return true;
}

static bool take_flag(void *flag, const PGresult *result)
{
	*(bool *)flag = PQgetvalue(result, 0, 0)[0] == 't';
	return true;
}

/* The store makes the table at its first start, which is after this was asked. */
hm_result anchor_store_read(
	struct anchor_store *anchor, char note[NOTE_MAX], size_t *length, bool *is_there, struct hm_problem *why)
{
	const char *const parameters[] = {anchor->origin};
	struct found found = {note, length, false};
	bool is_new, has_table = false;
	*length = 0;
	*is_there = false;
	HM_TRY(postgres_connect(anchor->postgres, &is_new, why));
	HM_TRY(postgres_ask(anchor->postgres, "SELECT to_regclass('hsmint.anchor') IS NOT NULL", NULL, 0, take_flag,
		&has_table, why));
	if (has_table)
		HM_TRY(postgres_ask(anchor->postgres, "SELECT note FROM hsmint.anchor WHERE origin = $1", parameters, 1,
			take_note, &found, why));
	*is_there = found.is_there;
	return HM_OK;
}

hm_result anchor_store_keep(struct anchor_store *anchor, const char *note, size_t length, struct hm_problem *why)
{
	char text[NOTE_MAX + 1];
	const char *const parameters[] = {anchor->origin, text};
	bool is_new;
	memcpy(text, note, length);
	text[length] = 0;
	HM_TRY(postgres_connect(anchor->postgres, &is_new, why));
	return postgres_ask(anchor->postgres,
		"INSERT INTO hsmint.anchor (origin, note) VALUES ($1, $2) ON CONFLICT (origin) DO UPDATE SET note = "
		"excluded.note",
		parameters, 2, NULL, NULL, why);
}
