/* SPDX-License-Identifier: Apache-2.0 */
/* Going over all entries of a copy of the ledger. They are not verified: `hsmint ledger verify` does that. */
#ifndef HSMINT_LEDGER_SCAN_H
#define HSMINT_LEDGER_SCAN_H

#include "entry.h"
#include "log_source.h"

struct ledger_scanned {
	const char *origin; /* as the shard's `open` says */
	unsigned shard;
	uint64_t index;
	const uint8_t *data;
	size_t length;
	struct entry entry;
};

/* Called for each entry, in order; true goes on. */
typedef bool ledger_take(void *context, const struct ledger_scanned *scanned);

/* HM_REFUSED: an entry is malformed, or a file cannot be read. Source: ledger_scan.c */
hm_result ledger_scan(
	const struct log_ledger *ledger, ledger_take *take, void *context, struct hm_problem *why) HM_MUST_USE;

/* Print it as a line of JSON on standard output: {"origin","index","entry"}. False: that failed. */
bool ledger_print_scanned(const struct ledger_scanned *scanned);

#endif
