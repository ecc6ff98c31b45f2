/* SPDX-License-Identifier: Apache-2.0 */
#include "tally.h"

#include <openssl/rand.h>
#include <string.h>

hm_result tallies_open(struct tallies *tallies, struct token_failure *why)
{
	if (RAND_bytes(tallies->epoch, sizeof tallies->epoch) != 1)
		return fail(why, TOKEN_DEVICE, "no random bytes");
	return HM_OK;
}

struct tally *tallies_find(struct tallies *tallies, const char *kid)
{
	unsigned count = atomic_load(&tallies->count);
	for (unsigned i = 0; i < count; i++)
		if (strcmp(tallies->items[i].kid, kid) == 0)
			return &tallies->items[i];
	if (count == HM_TALLIES_MAX)
		return NULL;
	memcpy(tallies->items[count].kid, kid, sizeof tallies->items[count].kid);
	atomic_store(&tallies->count, count + 1); /* whoever tells sees it whole */
	return &tallies->items[count];
}

void tally_count(struct tally *tally, enum signed_what what)
{
	atomic_fetch_add(&tally->counts[what], 1);
}

void tallies_tell(const struct tallies *tallies, struct token_counts *counts)
{
	memset(counts, 0, sizeof *counts);
	memcpy(counts->epoch, tallies->epoch, sizeof counts->epoch);
	counts->count = atomic_load(&tallies->count);
	for (uint32_t i = 0; i < counts->count; i++) {
		const struct tally *tally = &tallies->items[i];
		memcpy(counts->keys[i].kid, tally->kid, sizeof counts->keys[i].kid);
		for (int what = 0; what < SIGNED_WHATS; what++)
			counts->keys[i].counts[what] = atomic_load(&tally->counts[what]);
	}
}
