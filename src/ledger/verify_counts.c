/* SPDX-License-Identifier: Apache-2.0 */
/* What tokens counted, against what was recorded (docs/ledger.md, "Checking counts"). */
#include "verify_inside.h"

#include <inttypes.h>
#include <string.h>

/* ---- keys ---- */

static bool is_kid(const struct verify_kid *key, struct hm_bytes kid)
{
	return key->length == kid.length && memcmp(key->text, kid.data, kid.length) == 0;
}

struct verify_kid *verify_kid(struct verify_kids *kids, struct hm_bytes kid)
{
	uint32_t hash = 2166136261U; /* FNV-1a */
	if (kids->last && is_kid(kids->last, kid))
		return kids->last;
	if (kid.length < 1 || kid.length > HM_KID_MAX)
		return NULL;
	for (size_t i = 0; i < kid.length; i++)
		hash = (hash ^ kid.data[i]) * 16777619U;
	struct verify_kid *key = &kids->slots[hash % VERIFY_KIDS];
	while (key->length && !is_kid(key, kid))
		key = key + 1 == kids->slots + VERIFY_KIDS ? kids->slots : key + 1;
	if (!key->length) {
		if (kids->count == VERIFY_KIDS / 2)
			return NULL;
		kids->count++;
		memcpy(key->text, kid.data, kid.length);
		key->length = (uint8_t)kid.length;
	}
	kids->last = key;
	return key;
}

/* The kid and the count of an element of `signed` or `carried`. */
static bool read_count(struct hm_bytes element, struct hm_bytes *kid, int64_t *count)
{
	struct hm_bytes value;
	return entry_find(element, "kid", &value) && entry_string(value, kid) && entry_find(element, "count", &value) &&
	       entry_number(value, count) && *count >= 0;
}

/* False: more than anybody counts; sums stay far from where they would wrap around. */
static bool add(uint64_t *sum, uint64_t count)
{
	if (*sum > (uint64_t)HM_INTEGER_MAX || count > (uint64_t)HM_INTEGER_MAX - *sum)
		return false;
	*sum += count;
	return true;
}

/* What the shard before left uncounted of a key. */
static bool may_carry(struct verify *verify, struct hm_bytes kid, uint64_t count)
{
	if (!verify->has_before || !verify->before.is_counted)
		return true;
	const struct verify_kid *key = verify_kid(verify->kids_before, kid);
	return key && key->signatures <= key->entries && count <= key->entries - key->signatures;
}

void verify_carried(struct verify *verify, uint64_t index, struct hm_bytes carried)
{
	struct hm_bytes element, kid;
	int64_t count;
	while (entry_next(&carried, &element)) {
		struct verify_kid *key = read_count(element, &kid, &count) ? verify_kid(verify->kids, kid) : NULL;
		if (!key)
			verify_entry_fault(verify, index, "`carried` has an element without `count` and `kid`");
		else if (!may_carry(verify, kid, (uint64_t)count))
			verify_entry_fault(verify, index,
				"`carried` has more signatures of key %.*s than the shard before left uncounted",
				(int)kid.length, (const char *)kid.data);
		if (key && !add(&key->entries, (uint64_t)count))
			verify_entry_fault(verify, index, "`carried` has too much");
	}
}

/* ---- counts ---- */

bool verify_kid_signs(struct verify_kid *key, enum verify_what what)
{
	bool agrees = !key->signs_any || key->signs == what;
	key->signs_any = true;
	key->signs = what;
	return agrees;
}

static void take_recorded(
	struct verify *verify, uint64_t index, struct hm_bytes kid, enum verify_what what, uint64_t count)
{
	struct verify_kid *key = verify_kid(verify->kids, kid);
	if (!key || !add(&key->signatures, count))
		verify_entry_fault(verify, index, "it counts for too many keys, or too much");
	else if (!verify_kid_signs(key, what))
		verify_entry_fault(verify, index, "key %.*s has signed credentials and status lists", (int)kid.length,
			(const char *)kid.data);
	else if (verify->shard.is_counted && key->signatures > key->entries)
		verify_entry_fault(verify, index,
			"key %.*s has signed %" PRIu64 " %s by then, and only %" PRIu64
			" are recorded: signatures were made that nobody recorded",
			(int)kid.length, (const char *)kid.data, key->signatures,
			what == VERIFY_CREDENTIAL ? "credentials" : "status lists", key->entries);
}

static void take_count(struct verify *verify, uint64_t index, struct hm_bytes element)
{
	static const char *const words[VERIFY_WHATS] = {
		"\"credential\"", "\"probe\"", "\"checkpoint\"", "\"status_list\""};
	struct hm_bytes kid, what;
	int64_t count;
	unsigned which = 0;
	if (!read_count(element, &kid, &count) || !entry_find(element, "what", &what)) {
		verify_entry_fault(verify, index, "`signed` has an element without `count`, `kid` and `what`");
		return;
	}
	while (which < VERIFY_WHATS && !entry_is(what, words[which]))
		which++;
	if (which == VERIFY_WHATS) {
		verify_entry_fault(verify, index, "`signed` counts %.*s, which nothing is recorded for",
			(int)(what.length < 64 ? what.length : 64), (const char *)what.data);
		return;
	}
	verify->shard.signatures[which] += (uint64_t)count;
	if ((which == VERIFY_CREDENTIAL || which == VERIFY_STATUS_LIST) && count)
		take_recorded(verify, index, kid, (enum verify_what)which, (uint64_t)count);
}

/* ---- epochs ---- */

static struct verify_epoch *find_epoch(struct verify *verify, struct hm_bytes epoch)
{
	for (unsigned i = 0; i < verify->epoch_count; i++)
		if (verify->epochs[i].length == epoch.length &&
			memcmp(verify->epochs[i].text, epoch.data, epoch.length) == 0)
			return &verify->epochs[i];
	return NULL;
}

static void forget_epoch(struct verify *verify, struct verify_epoch *epoch)
{
	*epoch = verify->epochs[--verify->epoch_count];
}

/* What it signed is not known: no fault of the ledger, but somebody may want to ask the HSM. */
static void tell_uncounted(struct verify *verify, struct verify_epoch *epoch)
{
	verify_found(verify, false, "", NULL,
		"token %.*s: epoch %.*s, which began with entry %" PRIu64
		" of shard %u, ended uncounted: what it signed since its last counts is not known",
		(int)epoch->token_length, epoch->token, (int)epoch->length, epoch->text, epoch->began, epoch->shard);
	forget_epoch(verify, epoch);
}

/* A token has one process: when another begins, those before have ended. */
static void end_epochs_of(struct verify *verify, struct hm_bytes token)
{
	for (unsigned i = verify->epoch_count; i-- > 0;) {
		struct verify_epoch *epoch = &verify->epochs[i];
		if (epoch->token_length == token.length && memcmp(epoch->token, token.data, token.length) == 0)
			tell_uncounted(verify, epoch);
	}
}

static void begin_epoch(struct verify *verify, uint64_t index, struct hm_bytes text, struct hm_bytes token)
{
	if (text.length > HM_ID_MAX || token.length > HM_NAME_MAX) {
		verify_entry_fault(verify, index, "`epoch` or `name` is too long");
		return;
	}
	end_epochs_of(verify, token);
	if (verify->epoch_count == VERIFY_EPOCHS)
		tell_uncounted(verify, &verify->epochs[0]);
	struct verify_epoch *epoch = &verify->epochs[verify->epoch_count++];
	*epoch = (struct verify_epoch){.length = (uint8_t)text.length,
		.token_length = (uint8_t)token.length,
		.shard = verify->shard.number,
		.began = index};
	memcpy(epoch->text, text.data, text.length);
	memcpy(epoch->token, token.data, token.length);
}

void verify_token(struct verify *verify, uint64_t index, const struct entry *entry)
{
	struct hm_bytes epoch, token;
	if (!entry_string(entry->members[ENTRY_EPOCH], &epoch) || !entry_string(entry->members[ENTRY_NAME], &token))
		return;
	struct verify_epoch *known = find_epoch(verify, epoch);
	bool has_ended = entry_is(entry->members[ENTRY_EVENT], "\"ended\"") ||
			 entry_is(entry->members[ENTRY_EVENT], "\"stopped\"");
	if (known)
		known->is_ended = known->is_ended || has_ended;
	else if (!has_ended)
		begin_epoch(verify, index, epoch, token);
}

void verify_counts(struct verify *verify, uint64_t index, const struct entry *entry)
{
	struct hm_bytes at = entry->members[ENTRY_SIGNED], element, text;
	if (!entry_string(entry->members[ENTRY_EPOCH], &text)) {
		verify_entry_fault(verify, index, "`epoch` is missing");
		return;
	}
	struct verify_epoch *epoch = find_epoch(verify, text);
	bool is_final = entry_is(entry->members[ENTRY_FINAL], "true"); /* all that is heard of a start that failed */
	if (!epoch && !is_final && verify->knows_epochs)
		verify_found(verify, false, "", &index, "counts of epoch %.*s, which no token began or which has ended",
			(int)(text.length < 64 ? text.length : 64), (const char *)text.data);
	if (epoch && is_final)
		forget_epoch(verify, epoch);
	while (entry_next(&at, &element))
		take_count(verify, index, element);
}

void verify_service_started(struct verify *verify)
{
	while (verify->epoch_count)
		tell_uncounted(verify, &verify->epochs[verify->epoch_count - 1]);
}

void verify_epochs_end(struct verify *verify)
{
	for (unsigned i = verify->epoch_count; i-- > 0;)
		if (verify->epochs[i].is_ended)
			tell_uncounted(verify, &verify->epochs[i]);
}
