/* SPDX-License-Identifier: Apache-2.0 */
#include "terms.h"

#include <string.h>

enum { DEADLINE_DIGITS = 6 };

static hm_result read_key(const struct guard_header *header, struct terms *terms, struct hm_problem *why)
{
	size_t length = header->value.length;
	bool sound = header->count == 1 && length >= 1 && length <= HM_IDEMPOTENCY_KEY_MAX;
	for (size_t i = 0; sound && i < length; i++)
		sound = header->value.text[i] > ' ' && header->value.text[i] < 0x7f;
	if (!sound)
		return hm_refuse(why, "invalid_header", "Idempotency-Key",
			"once, 1 to %d printable ASCII characters without spaces", HM_IDEMPOTENCY_KEY_MAX);
	memcpy(terms->key, header->value.text, length);
	terms->key[length] = 0;
	return HM_OK;
}

static hm_result read_deadline(
	const struct guard_header *header, uint64_t now_ms, struct terms *terms, struct hm_problem *why)
{
	size_t length = header->value.length;
	uint64_t number = 0;
	bool sound = header->count == 1 && length >= 1 && length <= DEADLINE_DIGITS;
	for (size_t i = 0; sound && i < length; i++) {
		char digit = header->value.text[i];
		sound = digit >= '0' && digit <= '9';
		number = number * 10 + (uint64_t)(digit - '0');
	}
	if (!sound || number < 1 || number > HM_HTTP_DEADLINE_MAX_MS)
		return hm_refuse(
			why, "invalid_header", "Deadline-Ms", "once, 1 to %d milliseconds", HM_HTTP_DEADLINE_MAX_MS);
	terms->deadline_ms = now_ms + number;
	return HM_OK;
}

hm_result terms_read(const struct guard *guard, uint64_t now_ms, struct terms *terms, struct hm_problem *why)
{
	*terms = (struct terms){0};
	if (guard->idempotency_key.count)
		HM_TRY(read_key(&guard->idempotency_key, terms, why));
	if (guard->deadline.count)
		HM_TRY(read_deadline(&guard->deadline, now_ms, terms, why));
	return HM_OK;
}
