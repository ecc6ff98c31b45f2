/* SPDX-License-Identifier: Apache-2.0 */
/* What each entry says, held against those before it. */
#include "verify_inside.h"

#include "base64url.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { TYPE_NOT_KNOWN = 0xff };

void verify_remember(struct verify *verify, uint64_t index, int type)
{
	verify->types[index % VERIFY_RECENT] = type < 0 ? TYPE_NOT_KNOWN : (uint8_t)type;
}

/* ---- entries that name another ---- */

/* The type of an entry that is read anew; TYPE_NOT_KNOWN when it cannot be, which is said where it is verified. */
static unsigned read_type(struct log_shard *log, uint64_t size, uint64_t index)
{
	uint64_t number = index / TILE_WIDTH;
	struct tile_name name = {.level = TILE_ENTRIES,
		.number = number,
		.width = number < size / TILE_WIDTH ? TILE_WIDTH : (unsigned)(size % TILE_WIDTH)};
	uint8_t *data;
	size_t left, length = 0;
	struct hm_problem why;
	struct entry entry;
	const uint8_t *bytes = NULL;
	if (log->bundle(log->context, &name, &data, &left, &why) != HM_OK)
		return TYPE_NOT_KNOWN;
	const uint8_t *at = data;
	bool is_there = true;
	for (uint64_t i = 0; i <= index % TILE_WIDTH && is_there; i++)
		is_there = tile_next_entry(&at, &left, &bytes, &length);
	unsigned type = is_there && entry_read(bytes, length, &entry, &why) == HM_OK ? entry.type : TYPE_NOT_KNOWN;
	free(data);
	return type;
}

static unsigned type_of(struct verify *verify, uint64_t index)
{
	if (index >= verify->shard.begin && verify->edge.size - index <= VERIFY_RECENT)
		return verify->types[index % VERIFY_RECENT];
	return read_type(&verify->log, verify->shard.size, index);
}

/* Of the shard before: known when that was read. */
static void check_of_before(struct verify *verify, uint64_t index, uint64_t of, struct hm_bytes origin)
{
	struct hm_bytes name;
	const char *expected = verify->before.origin;
	if (!verify->has_before || !*expected)
		return;
	if (!entry_string(origin, &name) || name.length != strlen(expected) ||
		memcmp(name.data, expected, name.length) != 0)
		verify_entry_fault(verify, index, "`origin` is not the shard before");
	else if (of >= verify->before.size)
		verify_entry_fault(
			verify, index, "`of` names entry %" PRIu64 " of a shard of %" PRIu64, of, verify->before.size);
	else {
		unsigned type = read_type(&verify->log_before, verify->before.size, of);
		if (type != ENTRY_CREDENTIAL && type != ENTRY_STATUS_LIST && type != TYPE_NOT_KNOWN)
			verify_entry_fault(verify, index,
				"`of` names entry %" PRIu64 " of the shard before, which is "
				"neither a credential's nor a status list's",
				of);
	}
}

static void check_of(struct verify *verify, uint64_t index, const struct entry *entry)
{
	int64_t number;
	if (!entry_number(entry->members[ENTRY_OF], &number) || number < 0) {
		verify_entry_fault(verify, index, "`of` is missing or no index");
		return;
	}
	uint64_t of = (uint64_t)number;
	if (entry->members[ENTRY_ORIGIN].data) {
		check_of_before(verify, index, of, entry->members[ENTRY_ORIGIN]);
		return;
	}
	if (of >= index) {
		verify_entry_fault(verify, index, "`of` names entry %" PRIu64 ", which is not before it", of);
		return;
	}
	unsigned type = type_of(verify, of);
	if (type != ENTRY_CREDENTIAL && type != ENTRY_STATUS_LIST && type != TYPE_NOT_KNOWN)
		verify_entry_fault(verify, index,
			"`of` names entry %" PRIu64 ", which is neither a credential's nor a status list's", of);
}

/* ---- what was signed ---- */

static void take_signed(struct verify *verify, uint64_t index, const struct entry *entry)
{
	struct hm_bytes kid, hash;
	if (!entry_string(entry->members[ENTRY_KID], &kid)) {
		verify_entry_fault(verify, index, "`kid` is missing");
		return;
	}
	if (entry_string(entry->members[ENTRY_TBS], &hash) == entry_string(entry->members[ENTRY_TBS_HMAC], &hash))
		verify_entry_fault(verify, index, "one of `tbs` and `tbs_hmac` must be there");
	struct verify_kid *key = verify_kid(verify->kids, kid);
	if (!key)
		verify_entry_fault(verify, index, "`kid` is too long, or one of too many keys");
	else if (entry->type != ENTRY_RETRY &&
		 !verify_kid_signs(key, entry->type == ENTRY_STATUS_LIST ? VERIFY_STATUS_LIST : VERIFY_CREDENTIAL))
		verify_entry_fault(verify, index, "its key signs credentials and status lists");
	else
		key->entries++;
}

/* ---- a shard's beginning and end ---- */

static bool is_text(struct hm_bytes value, const char *text)
{
	struct hm_bytes found;
	return entry_string(value, &found) && found.length == strlen(text) &&
	       memcmp(found.data, text, found.length) == 0;
}

static bool is_hash(struct hm_bytes value, const struct merkle_hash *hash)
{
	char text[64];
	struct hm_bytes found;
	size_t length = base64url_encode(hash->bytes, sizeof hash->bytes, text);
	return entry_string(value, &found) && found.length == length && memcmp(found.data, text, length) == 0;
}

static void check_previous(struct verify *verify, struct hm_bytes previous)
{
	const struct verify_shard *before = &verify->before;
	struct hm_bytes origin, root, size;
	int64_t number;
	uint64_t index = 0;
	if (!entry_find(previous, "origin", &origin) || !entry_find(previous, "root", &root) ||
		!entry_find(previous, "size", &size) || !entry_number(size, &number)) {
		verify_entry_fault(verify, index, "`previous` does not cite the shard before: origin, root and size");
		return;
	}
	if (!verify->has_before)
		return;
	if (*before->origin && !is_text(origin, before->origin))
		verify_entry_fault(verify, index, "`previous` cites another shard than '%s'", before->origin);
	else if (number < 0 || (uint64_t)number != before->size)
		verify_entry_fault(verify, index,
			"`previous` says that the shard before had %" PRId64 " entries; it has %" PRIu64, number,
			before->size);
	else if (!is_hash(root, &before->root))
		verify_entry_fault(verify, index, "`previous` has another root than the shard before");
}

static void check_open(struct verify *verify, const struct entry *entry)
{
	struct hm_bytes previous = entry->members[ENTRY_PREVIOUS];
	bool is_restored = entry->members[ENTRY_RESTORED].data != NULL;
	uint64_t index = 0;
	if (*verify->shard.origin && !is_text(entry->members[ENTRY_ORIGIN], verify->shard.origin))
		verify_entry_fault(
			verify, index, "`origin` is not '%s', as the checkpoint has it", verify->shard.origin);
	if (verify->shard.number > 1 && (previous.data || !is_restored)) /* there may be nothing left to cite */
		check_previous(verify, previous);
	else if (previous.data)
		verify_entry_fault(verify, index, "`previous` cites a shard before the first");
	if (verify->has_before && !verify->before.is_closed && !is_restored)
		verify_entry_fault(verify, index, "shard %u, before this one, was not closed", verify->before.number);
	if (is_restored)
		verify_found(
			verify, false, "", &index, "an old copy was accepted here: what was recorded after it is lost");
	verify_carried(verify, index, entry->members[ENTRY_CARRIED]);
}

static void check_place(struct verify *verify, uint64_t index, enum entry_type type)
{
	if (index == 0 && type != ENTRY_OPEN)
		verify_entry_fault(verify, index, "a shard begins with `open`");
	if (index && type == ENTRY_OPEN)
		verify_entry_fault(verify, index, "`open` stands within the shard");
	if (verify->shard.is_closed)
		verify_entry_fault(verify, index, "it stands behind `close`");
}

/* ---- all ---- */

static void take_time(struct verify_shard *shard, int64_t time)
{
	if (!shard->first_time)
		shard->first_time = time;
	shard->last_time = time;
}

void verify_entry(struct verify *verify, uint64_t index, const uint8_t *data, size_t length)
{
	struct entry entry;
	struct hm_problem why;
	if (entry_read(data, length, &entry, &why) != HM_OK) {
		verify_remember(verify, index, -1);
		verify->shard.is_counted = false; /* it may have been a credential's */
		verify_entry_fault(verify, index, "%s", why.detail);
		return;
	}
	verify_remember(verify, index, (int)entry.type);
	verify->shard.types[entry.type]++;
	take_time(&verify->shard, entry.time);
	check_place(verify, index, entry.type);
	switch (entry.type) {
	case ENTRY_RETRY:
		check_of(verify, index, &entry);
		take_signed(verify, index, &entry);
		break;
	case ENTRY_CREDENTIAL:
	case ENTRY_STATUS_LIST:
		take_signed(verify, index, &entry);
		break;
	case ENTRY_VOID:
		check_of(verify, index, &entry);
		break;
	case ENTRY_OPEN:
		if (index == 0)
			check_open(verify, &entry);
		break;
	case ENTRY_CLOSE:
		verify->shard.is_closed = true;
		break;
	case ENTRY_START:
		verify_service_started(verify);
		break;
	case ENTRY_TOKEN:
		verify_token(verify, index, &entry);
		break;
	case ENTRY_COUNTS:
		verify_counts(verify, index, &entry);
		break;
	default:
		break;
	}
}
