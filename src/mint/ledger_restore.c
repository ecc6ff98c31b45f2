/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger_restore.h"

#include "base64url.h"
#include "ledger_inside.h"
#include <string.h>

static void close_ledger(struct ledger **ledger)
{
	ledger_close(*ledger);
}
#define LEDGER_AUTO __attribute__((cleanup(close_ledger))) struct ledger

/* ---- giving up ---- */

static hm_result find_head(const char *directory, unsigned number, struct checkpoint *head, struct hm_problem *why)
{
	SHARD_AUTO *shard = NULL;
	HM_TRY(shard_open(directory, number, &shard, why));
	struct merkle_source source = shard_source(shard);
	head->size = shard_size(shard);
	return merkle_root(&source, head->size, &head->root, why);
}

hm_result ledger_restore(const struct config_ledger *ledger, const struct checkpoint *remembered,
	struct ledger_restored *restored, struct hm_problem *why)
{
	unsigned first, last, lost = remembered ? checkpoint_shard(ledger->origin, remembered->origin) : 0;
	struct ledger_beginning beginning = {.previous = NULL};
	*restored = (struct ledger_restored){.found = {.size = 0}};
	if (remembered && !lost)
		return hm_refuse(why, "ledger", NULL, "what is remembered is of '%.64s', not of '%.64s'",
			remembered->origin, ledger->origin);
	LEDGER_AUTO *begun = ledger_make(ledger->directory, ledger->origin);
	if (!begun)
		return hm_unavailable(why, "system", "no memory for the ledger");
	HM_TRY(shard_numbers(ledger->directory, &first, &last, why));
	if (last) {
		HM_TRY(find_head(ledger->directory, last, &restored->found, why));
		ledger_origin(begun, last, restored->found.origin);
		beginning.previous = &restored->found;
	}
	beginning.restored = remembered ? remembered : &restored->found;
	unsigned next = (lost > last ? lost : last) + 1;
	HM_TRY(ledger_begin(begun, next, &beginning, why));
	ledger_origin(begun, next, restored->origin);
	return HM_OK;
}

/* ---- and whether that was done ---- */

static bool is_head(const json_t *head, const struct checkpoint *checkpoint, bool has_root)
{
	char root[44];
	const char *origin = json_string_value(json_object_get(head, "origin"));
	const char *text = json_string_value(json_object_get(head, "root"));
	root[base64url_encode(checkpoint->root.bytes, sizeof checkpoint->root.bytes, root)] = 0;
	if (!origin || !text || strcmp(origin, checkpoint->origin) != 0)
		return false;
	return !has_root || (strcmp(text, root) == 0 &&
				    (uint64_t)json_integer_value(json_object_get(head, "size")) == checkpoint->size);
}

/* What the first entry of a shard says was given up; NULL: nothing. Release with json_decref. */
static json_t *given_up(const struct config_ledger *ledger, unsigned number)
{
	SHARD_AUTO *shard = NULL;
	struct hm_problem why;
	if (shard_open(ledger->directory, number, &shard, &why) != HM_OK)
		return NULL;
	json_t *first = ledger_load_entry(shard, 0);
	json_t *restored = json_incref(json_object_get(first, "restored"));
	json_decref(first);
	return restored;
}

typedef bool covers(const json_t *given_up, const struct checkpoint *checkpoint);

static bool covers_root(const json_t *given_up, const struct checkpoint *checkpoint)
{
	return is_head(given_up, checkpoint, true);
}

static bool covers_origin(const json_t *given_up, const struct checkpoint *checkpoint)
{
	return is_head(given_up, checkpoint, false);
}

static bool covers_store(const json_t *given_up, const struct checkpoint *checkpoint)
{
	return (uint64_t)json_integer_value(json_object_get(given_up, "store")) >= checkpoint->store;
}

/* Whether a shard after the checkpoint's says so. */
static bool was_given_up(const struct config_ledger *ledger, const struct checkpoint *checkpoint, covers *is_in)
{
	struct hm_problem why;
	unsigned first, last, number = checkpoint_shard(ledger->origin, checkpoint->origin);
	bool is_covered = false;
	if (!number || shard_numbers(ledger->directory, &first, &last, &why) != HM_OK)
		return false;
	for (unsigned next = last; next > number && !is_covered; next--) {
		json_t *restored = given_up(ledger, next);
		is_covered = restored && is_in(restored, checkpoint);
		json_decref(restored);
	}
	return is_covered;
}

bool ledger_was_restored(const struct config_ledger *ledger, const struct checkpoint *checkpoint, bool has_root)
{
	return was_given_up(ledger, checkpoint, has_root ? covers_root : covers_origin);
}

bool ledger_gave_up_store(const struct config_ledger *ledger, const struct checkpoint *checkpoint)
{
	return was_given_up(ledger, checkpoint, covers_store);
}
