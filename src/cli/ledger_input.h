/* SPDX-License-Identifier: Apache-2.0 */
/* What the verbs of `hsmint ledger` read: a copy of the ledger, and the keys to verify it with. */
#ifndef HSMINT_LEDGER_INPUT_H
#define HSMINT_LEDGER_INPUT_H

#include "log_source.h"
#include "note.h"

enum { LEDGER_KEYS_MAX = 8 };

struct ledger_keys {
	struct note_key keys[LEDGER_KEYS_MAX];
	unsigned count;
};

/* Add the key that --vkey gives. False: it is none, or there are too many; the usage error stands on standard error.
 * Source: ledger_input.c */
bool ledger_input_key(struct ledger_keys *keys, const char *verb, const char *text);

/* The ledger in this directory. False: why stands on standard error. */
bool ledger_input_open(const char *place, struct log_ledger *ledger);

/* Print why a verb failed. Returns EXIT_FAILED. */
int ledger_input_failed(const struct hm_problem *why);

#endif
