/* SPDX-License-Identifier: Apache-2.0 */
/* `hsmint ledger find --chain`: what led to a credential, back to the start. */
#include "ledger_chain.h"

#include "ledger_input.h"
#include "ledger_scan.h"
#include "limits.h"
#include "options.h"
#include <stdio.h>
#include <string.h>

/* One text of an entry, with its quotes. */
struct text {
	char bytes[HM_FOREIGN_JTI_MAX];
};

/* What belongs to the chain. Of its credentials the last is the oldest that is known. */
struct chain {
	struct text ids[HM_DEPTH_MAX + 1], tasks[HM_DEPTH_MAX + 1], approvals[HM_DEPTH_MAX + 1];
	unsigned ids_count, tasks_count, approvals_count;
	const char *missing;       /* one of ours that another node's ledger has; NULL: none */
	bool is_found, has_failed; /* the entry of the last id; printing */
};

static bool is_one_of(const struct text *texts, unsigned count, struct hm_bytes value)
{
	for (unsigned i = 0; i < count; i++)
		if (entry_is(value, texts[i].bytes))
			return true;
	return false;
}

/* True when there is nothing to add, too. */
static bool add(struct text *texts, unsigned *count, struct hm_bytes value)
{
	if (!value.data || is_one_of(texts, *count, value))
		return true;
	if (*count == HM_DEPTH_MAX + 1 || value.length >= sizeof texts->bytes)
		return false;
	memcpy(texts[*count].bytes, value.data, value.length);
	texts[(*count)++].bytes[value.length] = 0;
	return true;
}

/* ---- from the credential back to the start ---- */

static bool is_credential(const struct entry *entry, const struct text *id)
{
	return entry->type == ENTRY_CREDENTIAL && entry_is(entry->members[ENTRY_ID], id->bytes);
}

static bool follow(void *context, const struct ledger_scanned *scanned)
{
	struct chain *chain = context;
	const struct hm_bytes *members = scanned->entry.members;
	if (!is_credential(&scanned->entry, &chain->ids[chain->ids_count - 1]))
		return true;
	chain->is_found = add(chain->tasks, &chain->tasks_count, members[ENTRY_TASK]) &&
			  add(chain->approvals, &chain->approvals_count, members[ENTRY_APPROVAL]) &&
			  add(chain->ids, &chain->ids_count, members[ENTRY_FROM]);
	return false;
}

/* A token of somebody else's has no entry, and a longer name: there the chain begins. */
static bool is_ours(const struct text *id)
{
	return strlen(id->bytes) <= HM_ID_MAX + 2;
}

static hm_result collect(const struct log_ledger *ledger, struct chain *chain, struct hm_problem *why)
{
	unsigned before;
	do {
		before = chain->ids_count;
		chain->is_found = false;
		HM_TRY(ledger_scan(ledger, follow, chain, why));
		if (before == 1 && !chain->is_found)
			return hm_refuse(why, "not_found", NULL, "no credential of this ledger has the id %s",
				chain->ids[0].bytes);
	} while (chain->ids_count > before);
	if (!chain->is_found && is_ours(&chain->ids[chain->ids_count - 1]))
		chain->missing = chain->ids[chain->ids_count - 1].bytes;
	return HM_OK;
}

/* ---- and all that is told of it ---- */

static bool belongs(const struct chain *chain, const struct entry *entry)
{
	switch (entry->type) {
	case ENTRY_CREDENTIAL:
		return is_one_of(chain->ids, chain->ids_count, entry->members[ENTRY_ID]);
	case ENTRY_VOID:
	case ENTRY_RETRY:
		return is_one_of(chain->ids, chain->ids_count, entry->members[ENTRY_OF]);
	case ENTRY_OF_TASK:
		return is_one_of(chain->tasks, chain->tasks_count, entry->members[ENTRY_TASK]);
	case ENTRY_OF_APPROVAL:
		return is_one_of(chain->approvals, chain->approvals_count, entry->members[ENTRY_APPROVAL]);
	default:
		return false;
	}
}

static bool print(void *context, const struct ledger_scanned *scanned)
{
	struct chain *chain = context;
	if (belongs(chain, &scanned->entry))
		chain->has_failed = !ledger_print_scanned(scanned);
	return !chain->has_failed;
}

int ledger_chain(const char *place, const char *id)
{
	static struct chain chain;
	struct log_ledger ledger;
	struct hm_problem why;
	if (!ledger_input_open(place, &ledger))
		return EXIT_FAILED;
	(void)snprintf(chain.ids[0].bytes, sizeof chain.ids[0].bytes, "\"%s\"", id);
	chain.ids_count = 1;
	if (collect(&ledger, &chain, &why) == HM_OK && ledger_scan(&ledger, print, &chain, &why) == HM_OK) {
		if (!chain.missing)
			return flush_output();
		(void)!hm_unavailable(&why, "not_found",
			"the chain goes on with credential %s, in another node's ledger", chain.missing);
	}
	(void)flush_output();
	return ledger_input_failed(&why);
}
