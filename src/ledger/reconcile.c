/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile.h"

#include "entry.h"
#include "shard.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { KEYS_MAX = 1024, TOKENS_MAX = 64, LIVES_MAX = 64, STRANGERS_MAX = 256 };

/* A token, as the configuration names it. */
struct its_token {
	char name[HM_NAME_MAX + 1];
	bool is_uncounted; /* a life of its process ended so */
	bool is_running;   /* a process of it has said its last word yet; */
	int64_t counted;   /* what it signed since then is not in the ledger */
};

/* A process of a token that has not ended. */
struct life {
	struct its_token *token;
	char epoch[HM_ID_MAX + 1]; /* "": not known yet */
	int64_t counted;           /* the time of its last counts, or of its start */
};

struct its_key {
	char kid[HM_KID_MAX + 1], label[HM_LABEL_MAX + 1], id[2 * HM_KEY_ID_MAX + 1];
	bool on[TOKENS_MAX]; /* that counted for it */
	uint64_t counted;
	uint64_t logged_before, logged; /* before its tokens counted last, and by then */
};

/* A name in the log that is not of one key. */
struct stranger {
	char name[HM_LABEL_MAX + 1];
	unsigned keys; /* that it fits */
	uint64_t logged;
};

struct reconcile {
	struct reconcile_listener listener;
	struct its_key keys[KEYS_MAX];
	struct its_token tokens[TOKENS_MAX];
	struct life lives[LIVES_MAX];
	struct stranger strangers[STRANGERS_MAX];
	unsigned key_count, token_count, life_count, stranger_count;
	int64_t began; /* the time of the first entry */
	bool has_begun;
	uint64_t early, late; /* signatures in the log from before the ledger, and since the last counts */
};

static void __attribute__((format(printf, 3, 4)))
tell(const struct reconcile *reconcile, enum reconcile_kind kind, const char *format, ...)
{
	char text[512];
	va_list arguments;
	va_start(arguments, format);
	(void)vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	reconcile->listener.found(reconcile->listener.context, kind, text);
}

static hm_result too_many(struct hm_problem *why, const char *what)
{
	return hm_refuse(why, "ledger", NULL, "it has too many %s to be reconciled", what);
}

/* A member's text. False: it has none, or one that is too long. */
static bool take_text(struct hm_bytes value, char *text, size_t size)
{
	struct hm_bytes string;
	if (!value.data || !entry_string(value, &string) || string.length >= size)
		return false;
	memcpy(text, string.data, string.length);
	text[string.length] = 0;
	return true;
}

/* ---- keys and tokens ---- */

static struct its_key *find_key(struct reconcile *reconcile, const char *kid)
{
	unsigned i = 0;
	while (i < reconcile->key_count && strcmp(reconcile->keys[i].kid, kid) != 0)
		i++;
	if (i == KEYS_MAX)
		return NULL;
	if (i == reconcile->key_count)
		snprintf(reconcile->keys[reconcile->key_count++].kid, HM_KID_MAX + 1, "%s", kid);
	return &reconcile->keys[i];
}

static struct its_token *find_token(struct reconcile *reconcile, const char *name)
{
	unsigned i = 0;
	while (i < reconcile->token_count && strcmp(reconcile->tokens[i].name, name) != 0)
		i++;
	if (i == TOKENS_MAX)
		return NULL;
	if (i == reconcile->token_count)
		snprintf(reconcile->tokens[reconcile->token_count++].name, HM_NAME_MAX + 1, "%s", name);
	return &reconcile->tokens[i];
}

static hm_result take_key(struct reconcile *reconcile, struct hm_bytes whole, struct hm_problem *why)
{
	char kid[HM_KID_MAX + 1];
	struct hm_bytes value;
	if (!entry_find(whole, "kid", &value) || !take_text(value, kid, sizeof kid))
		return HM_OK; /* its token has not shown it yet */
	struct its_key *key = find_key(reconcile, kid);
	if (!key)
		return too_many(why, "keys");
	if (entry_find(whole, "label", &value))
		(void)!take_text(value, key->label, sizeof key->label);
	if (entry_find(whole, "id", &value))
		(void)!take_text(value, key->id, sizeof key->id);
	return HM_OK;
}

/* ---- lives ---- */

/* The life with this epoch; when there is none, one of the token's of which no epoch is known. */
static struct life *find_life(struct reconcile *reconcile, const struct its_token *token, const char *epoch)
{
	struct life *unnamed = NULL;
	for (unsigned i = 0; i < reconcile->life_count; i++) {
		struct life *life = &reconcile->lives[i];
		if (life->token == token && *epoch && strcmp(life->epoch, epoch) == 0)
			return life;
		if (life->token == token && !*life->epoch)
			unnamed = life;
	}
	return unnamed;
}

static void forget_life(struct reconcile *reconcile, struct life *life)
{
	*life = reconcile->lives[--reconcile->life_count];
}

static void end_uncounted(struct reconcile *reconcile, struct life *life)
{
	life->token->is_uncounted = true;
	tell(reconcile, RECONCILE_UNKNOWN,
		"token %s: epoch %s ended uncounted: what it signed after %" PRId64 " is not known", life->token->name,
		*life->epoch ? life->epoch : "(it was never ready)", life->counted);
	forget_life(reconcile, life);
}

static hm_result begin_life(
	struct reconcile *reconcile, struct its_token *token, const char *epoch, int64_t time, struct hm_problem *why)
{
	if (reconcile->life_count == LIVES_MAX)
		return too_many(why, "processes at once");
	struct life *life = &reconcile->lives[reconcile->life_count++];
	*life = (struct life){.token = token, .counted = time};
	snprintf(life->epoch, sizeof life->epoch, "%s", epoch);
	return HM_OK;
}

static hm_result take_life(struct reconcile *reconcile, const struct entry *entry, struct hm_problem *why)
{
	char name[HM_NAME_MAX + 1], epoch[HM_ID_MAX + 1] = "";
	struct hm_bytes event = entry->members[ENTRY_EVENT];
	if (!take_text(entry->members[ENTRY_NAME], name, sizeof name) || !event.data)
		return HM_OK;
	(void)!take_text(entry->members[ENTRY_EPOCH], epoch, sizeof epoch);
	struct its_token *token = find_token(reconcile, name);
	if (!token)
		return too_many(why, "tokens");
	if (entry_is(event, "\"started\""))
		return begin_life(reconcile, token, "", entry->time, why);
	struct life *life = find_life(reconcile, token, epoch);
	if (entry_is(event, "\"ready\"") && !life)
		return begin_life(reconcile, token, epoch, entry->time, why);
	if (entry_is(event, "\"ready\""))
		snprintf(life->epoch, sizeof life->epoch, "%s", epoch);
	else if (entry_is(event, "\"ended\"") && life)
		end_uncounted(reconcile, life);
	return HM_OK;
}

/* ---- counts ---- */

static hm_result take_signed(
	struct reconcile *reconcile, struct hm_bytes element, const struct its_token *token, struct hm_problem *why)
{
	char kid[HM_KID_MAX + 1];
	struct hm_bytes value, count_text;
	int64_t count;
	if (!entry_find(element, "kid", &value) || !take_text(value, kid, sizeof kid) ||
		!entry_find(element, "count", &count_text) || !entry_number(count_text, &count) || count < 0)
		return hm_refuse(why, "ledger", NULL, "`signed` has an element without `count` and `kid`");
	struct its_key *key = find_key(reconcile, kid);
	if (!key)
		return too_many(why, "keys");
	key->counted += (uint64_t)count;
	key->on[token - reconcile->tokens] = true;
	return HM_OK;
}

static hm_result take_counts(struct reconcile *reconcile, const struct entry *entry, struct hm_problem *why)
{
	char name[HM_NAME_MAX + 1], epoch[HM_ID_MAX + 1];
	struct hm_bytes at = entry->members[ENTRY_SIGNED], element;
	if (!take_text(entry->members[ENTRY_TOKEN_NAME], name, sizeof name) ||
		!take_text(entry->members[ENTRY_EPOCH], epoch, sizeof epoch))
		return hm_refuse(why, "ledger", NULL, "`counts` without `token` and `epoch`");
	struct its_token *token = find_token(reconcile, name);
	if (!token)
		return too_many(why, "tokens");
	while (at.data && entry_next(&at, &element))
		HM_TRY(take_signed(reconcile, element, token, why));
	struct life *life = find_life(reconcile, token, epoch);
	if (life && entry_is(entry->members[ENTRY_FINAL], "true"))
		forget_life(reconcile, life);
	else if (life)
		life->counted = entry->time;
	return HM_OK;
}

/* ---- the ledger ---- */

static hm_result take_entry(struct reconcile *reconcile, const uint8_t *data, size_t length, struct hm_problem *why)
{
	struct entry entry;
	HM_TRY(entry_read(data, length, &entry, why));
	if (!reconcile->has_begun)
		reconcile->began = entry.time;
	reconcile->has_begun = true;
	if (entry.type == ENTRY_KEY)
		return take_key(reconcile, (struct hm_bytes){data, length}, why);
	if (entry.type == ENTRY_TOKEN)
		return take_life(reconcile, &entry, why);
	if (entry.type == ENTRY_COUNTS)
		return take_counts(reconcile, &entry, why);
	while (entry.type == ENTRY_START && reconcile->life_count) /* the service before did not end by itself */
		end_uncounted(reconcile, &reconcile->lives[0]);
	return HM_OK;
}

static hm_result take_bundle(
	struct reconcile *reconcile, const uint8_t *bundle, size_t left, uint64_t index, struct hm_problem *why)
{
	const uint8_t *entry;
	size_t length;
	char detail[sizeof why->detail];
	for (; tile_next_entry(&bundle, &left, &entry, &length); index++) {
		hm_result result = take_entry(reconcile, entry, length, why);
		if (result == HM_OK)
			continue;
		memcpy(detail, why->detail, sizeof detail);
		return hm_refuse(why, "ledger", NULL, "entry %" PRIu64 ": %.400s", index, detail);
	}
	return left ? hm_refuse(why, "ledger", NULL, "the bundle ends before entry %" PRIu64 " does", index) : HM_OK;
}

static hm_result take_shard(struct reconcile *reconcile, struct shard *shard, struct hm_problem *why)
{
	uint64_t size = shard_size(shard);
	for (uint64_t index = 0; index < size; index += TILE_WIDTH) {
		uint8_t *bundle = NULL;
		size_t length;
		struct tile_name name = {.level = TILE_ENTRIES,
			.number = index / TILE_WIDTH,
			.width = size - index < TILE_WIDTH ? (unsigned)(size - index) : TILE_WIDTH};
		HM_TRY(shard_bundle(shard, &name, &bundle, &length, why));
		hm_result result = take_bundle(reconcile, bundle, length, index, why);
		free(bundle);
		if (result != HM_OK)
			return result;
	}
	return HM_OK;
}

static hm_result read_shards(struct reconcile *reconcile, const char *directory, struct hm_problem *why)
{
	unsigned first, last;
	HM_TRY(shard_numbers(directory, &first, &last, why));
	if (!first)
		return hm_unavailable(why, "ledger", "%s: no shard of a ledger is there", directory);
	for (unsigned number = first; number <= last; number++) {
		SHARD_AUTO *shard = NULL;
		HM_TRY(shard_open(directory, number, &shard, why));
		HM_TRY(take_shard(reconcile, shard, why));
	}
	return HM_OK;
}

/* What runs on has signed since it counted, and will tell; of a token's processes the one that told longest ago. */
static void note_running(struct reconcile *reconcile)
{
	for (unsigned i = 0; i < reconcile->life_count; i++) {
		const struct life *life = &reconcile->lives[i];
		if (!life->token->is_running || life->counted < life->token->counted)
			life->token->counted = life->counted;
		life->token->is_running = true;
	}
}

hm_result reconcile_open(const char *directory, const struct reconcile_listener *listener, struct reconcile **out,
	struct hm_problem *why)
{
	struct reconcile *reconcile = calloc(1, sizeof *reconcile);
	*out = reconcile;
	if (!reconcile)
		return hm_unavailable(why, "system", "no memory");
	reconcile->listener = *listener;
	HM_TRY(read_shards(reconcile, directory, why));
	note_running(reconcile);
	return HM_OK;
}

void reconcile_close(struct reconcile *reconcile)
{
	free(reconcile);
}

/* ---- the log ---- */

static bool take_number(const char *text, size_t length, int64_t *number)
{
	*number = 0;
	for (size_t i = 0; i < length; i++) {
		if (text[i] < '0' || text[i] > '9' || *number > HM_INTEGER_MAX / 10)
			return false;
		*number = *number * 10 + (text[i] - '0');
	}
	return length && *number <= HM_INTEGER_MAX;
}

static bool fits(const struct its_key *key, const char *name)
{
	return strcmp(key->kid, name) == 0 || (*key->label && strcmp(key->label, name) == 0) ||
	       (*key->id && strcasecmp(key->id, name) == 0);
}

static struct its_key *named_key(struct reconcile *reconcile, const char *name, unsigned *count)
{
	struct its_key *found = NULL;
	*count = 0;
	for (unsigned i = 0; i < reconcile->key_count; i++)
		if (fits(&reconcile->keys[i], name)) {
			found = &reconcile->keys[i];
			++*count;
		}
	return found;
}

static hm_result take_stranger(
	struct reconcile *reconcile, const char *name, unsigned keys, uint64_t count, struct hm_problem *why)
{
	unsigned i = 0;
	while (i < reconcile->stranger_count && strcmp(reconcile->strangers[i].name, name) != 0)
		i++;
	if (i == STRANGERS_MAX)
		return hm_refuse(
			why, "ledger", NULL, "at most %d names of keys that the ledger does not know", STRANGERS_MAX);
	if (i == reconcile->stranger_count)
		snprintf(reconcile->strangers[reconcile->stranger_count++].name, HM_LABEL_MAX + 1, "%s", name);
	reconcile->strangers[i].keys = keys;
	reconcile->strangers[i].logged += count;
	return HM_OK;
}

/* When what signs with this key counted last; INT64_MAX: nothing signs any more. */
static int64_t counted_until(const struct reconcile *reconcile, const struct its_key *key)
{
	int64_t until = INT64_MAX;
	for (unsigned i = 0; i < reconcile->token_count; i++) {
		const struct its_token *token = &reconcile->tokens[i];
		if (key->on[i] && token->is_running && token->counted < until)
			until = token->counted;
	}
	return until;
}

static void take_signatures(struct reconcile *reconcile, struct its_key *key, int64_t time, uint64_t count)
{
	int64_t until = counted_until(reconcile, key);
	if (time < until) /* of two events in a second it is not known which came first */
		key->logged_before += count;
	if (time <= until)
		key->logged += count;
	else
		reconcile->late += count;
}

hm_result reconcile_line(struct reconcile *reconcile, const char *line, size_t length, struct hm_problem *why)
{
	const char *first = memchr(line, ',', length), *last = memrchr(line, ',', length);
	char name[HM_LABEL_MAX + 1];
	int64_t time, count;
	unsigned keys;
	if (!first || first == last || last - first - 1 > HM_LABEL_MAX ||
		!take_number(line, (size_t)(first - line), &time) ||
		!take_number(last + 1, (size_t)(line + length - last - 1), &count))
		return hm_refuse(why, "ledger", NULL,
			"expected time,key,count: seconds since 1970, a kid, CKA_LABEL or CKA_ID, and a number");
	snprintf(name, sizeof name, "%.*s", (int)(last - first - 1), first + 1);
	if (time < reconcile->began) {
		reconcile->early += (uint64_t)count;
		return HM_OK;
	}
	struct its_key *key = named_key(reconcile, name, &keys);
	if (keys != 1)
		return take_stranger(reconcile, name, keys, (uint64_t)count, why);
	take_signatures(reconcile, key, time, (uint64_t)count);
	return HM_OK;
}

/* ---- what is found ---- */

/* A key that no process counted may be on any token. */
static bool is_uncounted(const struct reconcile *reconcile, const struct its_key *key)
{
	bool is_on_any = false, has_any = false;
	for (unsigned i = 0; i < reconcile->token_count; i++) {
		if (key->on[i] && reconcile->tokens[i].is_uncounted)
			return true;
		is_on_any |= key->on[i];
		has_any |= reconcile->tokens[i].is_uncounted;
	}
	return !is_on_any && has_any;
}

static void tell_key(const struct reconcile *reconcile, const struct its_key *key)
{
	const char *name = *key->label ? key->label : key->id;
	if (key->logged_before > key->counted && is_uncounted(reconcile, key))
		tell(reconcile, RECONCILE_UNKNOWN,
			"key %s (%s): the HSM signed %" PRIu64 " times, and %" PRIu64
			" were counted; a process of its token that ended uncounted may have signed the others",
			key->kid, name, key->logged_before, key->counted);
	else if (key->logged_before > key->counted)
		tell(reconcile, RECONCILE_MORE,
			"key %s (%s): the HSM signed %" PRIu64 " times, and only %" PRIu64
			" were counted: signatures were made that did not come from hsmint",
			key->kid, name, key->logged_before, key->counted);
	else if (is_uncounted(reconcile, key))
		tell(reconcile, RECONCILE_UNKNOWN,
			"key %s (%s): a process of its token ended uncounted, so that as many as it may have signed "
			"would "
			"not be missed",
			key->kid, name);
	else if (key->logged < key->counted)
		tell(reconcile, RECONCILE_FEWER,
			"key %s (%s): %" PRIu64 " signatures were counted, and the HSM's log has only %" PRIu64,
			key->kid, name, key->counted, key->logged);
}

static void tell_stranger(const struct reconcile *reconcile, const struct stranger *stranger)
{
	if (stranger->keys)
		tell(reconcile, RECONCILE_UNKNOWN,
			"%s: %u keys are labelled so, and the %" PRIu64 " signatures of the log may be of any of them",
			stranger->name, stranger->keys, stranger->logged);
	else
		tell(reconcile, RECONCILE_NOTE, "%s: not a key of hsmint; %" PRIu64 " signatures of it left out",
			stranger->name, stranger->logged);
}

void reconcile_end(struct reconcile *reconcile)
{
	for (unsigned i = 0; i < reconcile->key_count; i++)
		tell_key(reconcile, &reconcile->keys[i]);
	for (unsigned i = 0; i < reconcile->stranger_count; i++)
		tell_stranger(reconcile, &reconcile->strangers[i]);
	if (reconcile->early)
		tell(reconcile, RECONCILE_NOTE,
			"%" PRIu64 " signatures were made before the ledger begins, and left out", reconcile->early);
	if (reconcile->late)
		tell(reconcile, RECONCILE_NOTE,
			"%" PRIu64 " signatures were made since a process that runs on counted last, and left out",
			reconcile->late);
}
