/* SPDX-License-Identifier: Apache-2.0 */
/* Who gets which place of a status list. */
#include "clock.h"
#include "status_inside.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	/* Without a task a block is kept for so long after it was leased, whoever leased it, and gives its places to
	 * what expires before that. */
	KEPT_SECONDS = 2 * HM_LIFETIME_MAX,
	APART_SECONDS = 300, /* by which clocks of nodes differ at most */
	LOOKED_AT = 64,      /* blocks of one bucket: the newest are first, and older ones have no place left */
	PASSES = 1024,       /* until all old blocks are found */
	LOOK_AT_LEAST = 1024
};

static bool is_of(
	const struct status_lists *lists, const struct status_block *block, const struct status_holder *holder)
{
	return block->shared == holder->shared && strcmp(block->task, holder->task) == 0 &&
	       strcmp(block->agent, holder->agent) == 0 &&
	       strcmp(status_block_issuer(lists, block), holder->issuer) == 0 && strcmp(block->kid, holder->kid) == 0;
}

/* Whether the block is there for as long as what expires then: other nodes delete it, and do not know what this one has
 * given since. */
static bool lasts(const struct status_block *block, int64_t expires)
{
	return block->task[0] || expires <= block->leased + (int64_t)KEPT_SECONDS;
}

bool status_lists_place(
	struct status_lists *lists, const struct status_holder *holder, int64_t expires, struct status_place *place)
{
	struct status_block *block = status_holder_first(lists, holder->issuer, holder->agent, holder->task);
	for (unsigned i = 0; block && i < LOOKED_AT; block = status_block(lists, block->next_of_holder), i++) {
		if (!is_of(lists, block, holder) || (!block->shared && block->used == block->count) ||
			!lasts(block, expires) || status_block_value(lists, block) == STATUS_INVALID)
			continue;
		block->given = (uint32_t)hm_time();
		*place = (struct status_place){block->list, block->first + (block->shared ? 0u : block->used++)};
		return true;
	}
	return false;
}

/* ---- a block for it ---- */

/* The row of its first place says whom a word is for, one block or many: who has neither it nor the word's other rows
 * in view yet would lease what another has leased in part. So a block of one place is put behind the first, which it
 * guards, or is the first. */
static const struct status_block *first_of_many(
	const struct status_lists *lists, const struct status_list *list, unsigned word)
{
	const struct status_block *first = status_block(lists, list->blocks[word * 32]);
	return first && first->count == 1 ? first : NULL;
}

/* A place in a word that has one free, or a whole word. */
static bool find_in_word(const struct status_lists *lists, const struct status_list *list, unsigned word,
	unsigned count, unsigned *first)
{
	uint32_t taken = list->taken[word];
	*first = word * 32;
	if (count > 1)
		return taken == 0;
	if (!(taken & 1))
		return true;
	if (taken == UINT32_MAX || !first_of_many(lists, list, word))
		return false;
	*first += (unsigned)__builtin_ctz(~taken);
	return true;
}

/* From where one was found last, once around; then a new list. */
static bool find_free(
	const struct status_lists *lists, struct status_issuer *issuer, unsigned count, struct status_place *place)
{
	for (unsigned looked = 0; looked < issuer->count * STATUS_WORDS; looked++) {
		struct status_list *list = issuer->lists[issuer->list];
		place->list = issuer->list;
		if (find_in_word(lists, list, issuer->word, count, &place->index))
			return true;
		if (++issuer->word < STATUS_WORDS)
			continue;
		issuer->word = 0;
		issuer->list = (issuer->list + 1) % issuer->count;
	}
	if (!status_list_make(issuer, issuer->count))
		return false;
	issuer->list = issuer->count - 1;
	issuer->word = 0;
	*place = (struct status_place){issuer->list, 0};
	return true;
}

static void reserve(const struct status_issuer *issuer, const struct status_lease *lease)
{
	struct status_list *list = issuer->lists[lease->place.list];
	for (unsigned i = lease->place.index; i < lease->place.index + lease->count; i++)
		list->taken[i / 32] |= 1u << i % 32;
}

/* What another has leased meanwhile stays taken. */
static void give_back(const struct status_lists *lists, const char *name, const struct status_lease *lease)
{
	struct status_list *list = status_issuer(lists, name)->lists[lease->place.list];
	struct status_place place = lease->place;
	for (; place.index < lease->place.index + lease->count; place.index++)
		if (!status_block_at(lists, name, place))
			list->taken[place.index / 32] &= ~(1u << place.index % 32);
}

void status_lists_leased(
	struct status_lists *lists, const char *issuer, const struct status_lease *lease, uint64_t sequence)
{
	if (!lease->count)
		return;
	struct status_block *block = status_block_at(lists, issuer, lease->place);
	if (!sequence)
		give_back(lists, issuer, lease);
	else if (block && block->version == sequence)
		block->used = 0;
}

enum { KEY_MAX = HM_NAME_MAX + 32 };

static void write_key(const char *issuer, unsigned list, unsigned first, char key[KEY_MAX])
{
	snprintf(key, KEY_MAX, "%s %u %u", issuer, list, first);
}

static bool guard_first(const struct status_lists *lists, const struct status_issuer *issuer, struct status_place place,
	struct changes *changes)
{
	char key[KEY_MAX];
	unsigned word = place.index / 32;
	const struct status_block *first = first_of_many(lists, issuer->lists[place.list], word);
	if (place.index % 32 == 0 || !first)
		return true;
	write_key(issuer->name, place.list, word * 32, key);
	return changes_guard(changes, RECORD_BLOCK, key, first->version);
}

static bool put(struct changes *changes, const char *issuer, struct status_place place, uint64_t seen, json_t *body)
{
	char key[KEY_MAX];
	write_key(issuer, place.list, place.index, key);
	char *text = body ? json_dumps(body, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
	bool is_put = text && changes_put(changes, RECORD_BLOCK, key, seen, text, strlen(text));
	free(text);
	json_decref(body);
	return is_put;
}

bool status_lists_put_block(struct status_lists *lists, const struct status_holder *holder, int64_t now,
	struct changes *changes, struct status_lease *lease)
{
	unsigned count = holder->shared ? 1 : STATUS_BLOCK_PLACES;
	struct status_issuer *issuer = status_issuer_make(lists, holder->issuer);
	if (!issuer || !find_free(lists, issuer, count, &lease->place))
		return false;
	lease->count = count;
	reserve(issuer, lease);
	if (guard_first(lists, issuer, lease->place, changes) &&
		put(changes, holder->issuer, lease->place, 0,
			json_pack("{s:s, s:i, s:s, s:I, s:b, s:s}", "agent", holder->agent, "count", (int)count, "kid",
				holder->kid, "leased", (json_int_t)now, "shared", holder->shared, "task",
				holder->task)))
		return true;
	status_lists_leased(lists, holder->issuer, lease, 0);
	lease->count = 0;
	return false;
}

bool status_lists_is_shared(const struct status_lists *lists, const char *issuer, struct status_place place)
{
	const struct status_block *block = status_block_at(lists, issuer, place);
	return block && block->shared;
}

bool status_lists_put_ended(
	const struct status_lists *lists, const char *issuer, struct status_place place, struct changes *changes)
{
	const struct status_block *block = status_block_at(lists, issuer, place);
	if (!block)
		return false;
	return put(changes, issuer, (struct status_place){block->list, block->first}, block->version,
		json_pack("{s:s, s:i, s:b, s:s, s:I, s:b, s:s}", "agent", block->agent, "count", block->count, "ended",
			1, "kid", block->kid, "leased", (json_int_t)block->leased, "shared", block->shared, "task",
			block->task));
}

/* Of a task that is gone, which it is a day after its end; or so old that nothing on it can live any more, of which it
 * is known earlier when all of its places were given here. */
static bool is_over(const struct status_lists *lists, const struct status_block *block, int64_t now)
{
	if (block->task[0])
		return !tasks_find(lists->tasks, block->task);
	if (block->given && block->used == block->count && now - block->given > HM_LIFETIME_MAX)
		return true;
	return now > block->leased + (int64_t)KEPT_SECONDS + APART_SECONDS;
}

/* The block that begins at the next place, NULL: none; around and around. */
static const struct status_block *look_at_next(struct status_lists *lists)
{
	if (lists->looked_at.issuer >= lists->issuers_count)
		lists->looked_at.issuer = 0;
	const struct status_issuer *issuer = &lists->issuers[lists->looked_at.issuer];
	if (lists->looked_at.list >= issuer->count) {
		lists->looked_at.list = 0;
		lists->looked_at.issuer++;
		return NULL;
	}
	const struct status_block *block =
		status_block(lists, issuer->lists[lists->looked_at.list]->blocks[lists->looked_at.index]);
	lists->looked_at.index = (lists->looked_at.index + 1) % STATUS_LIST_PLACES;
	lists->looked_at.list += lists->looked_at.index == 0;
	return block;
}

unsigned status_lists_expire(struct status_lists *lists, int64_t now, unsigned most, struct changes *changes)
{
	char key[KEY_MAX];
	unsigned count = 0;
	for (unsigned left = lists->count / PASSES + LOOK_AT_LEAST; left && count < most; left--) {
		const struct status_block *block = look_at_next(lists);
		if (!block || !is_over(lists, block, now))
			continue;
		write_key(status_block_issuer(lists, block), block->list, block->first, key);
		count += changes_delete(changes, RECORD_BLOCK, key, block->version);
	}
	return count;
}
