/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger_input.h"

#include "options.h"
#include <stdio.h>

bool ledger_input_key(struct ledger_keys *keys, const char *verb, const char *text)
{
	struct hm_problem why;
	if (keys->count == LEDGER_KEYS_MAX)
		usage_error(verb, "at most %d keys", LEDGER_KEYS_MAX);
	else if (note_key_read(text, &keys->keys[keys->count], &why) != HM_OK)
		usage_error(verb, "--vkey: %s", why.detail);
	else {
		keys->count++;
		return true;
	}
	return false;
}

int ledger_input_failed(const struct hm_problem *why)
{
	fprintf(stderr, "hsmint: %s\n", why->detail);
	return EXIT_FAILED;
}

bool ledger_input_open(const char *place, struct log_ledger *ledger)
{
	struct hm_problem why;
	return log_directory(place, ledger, &why) == HM_OK || (ledger_input_failed(&why), false);
}
