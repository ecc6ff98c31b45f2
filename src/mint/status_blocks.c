/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks of places: their memory, and how they are found. */
#include "siphash.h"
#include "status_inside.h"
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_SIZE = 1024, PER_BUCKET = 2, AT_ONCE = 1024 };

/* ---- their memory: pieces of AT_ONCE blocks, numbered on ---- */

struct status_block *status_block(const struct status_lists *lists, status_number number)
{
	return number ? &lists->pieces[(number - 1) / AT_ONCE][(number - 1) % AT_ONCE] : NULL;
}

static bool add_piece(struct status_lists *lists)
{
	struct status_block **pieces = reallocarray((void *)lists->pieces, lists->pieces_count + 1, sizeof *pieces);
	if (!pieces)
		return false;
	lists->pieces = pieces;
	struct status_block *piece = calloc(AT_ONCE, sizeof *piece);
	if (!piece)
		return false;
	pieces[lists->pieces_count++] = piece;
	for (status_number number = lists->pieces_count * AT_ONCE; number > (lists->pieces_count - 1) * AT_ONCE;
		number--) {
		status_block(lists, number)->next_of_holder = lists->free;
		lists->free = number;
	}
	return true;
}

status_number status_block_new(struct status_lists *lists)
{
	if (!lists->free && !add_piece(lists))
		return 0;
	status_number number = lists->free;
	struct status_block *block = status_block(lists, number);
	lists->free = block->next_of_holder;
	*block = (struct status_block){.version = 0};
	return number;
}

void status_block_free(struct status_lists *lists, status_number number)
{
	struct status_block *block = status_block(lists, number);
	words_give(&lists->words, block->agent);
	words_give(&lists->words, block->kid);
	*block = (struct status_block){.next_of_holder = lists->free};
	lists->free = number;
}

/* ---- finding them ---- */

const char *status_block_issuer(const struct status_lists *lists, const struct status_block *block)
{
	return lists->issuers[block->issuer].name;
}

static unsigned hash(const struct status_lists *lists, const char *issuer, const char *name)
{
	char text[HM_NAME_MAX + HM_SPIFFE_ID_MAX + 2];
	int length = snprintf(text, sizeof text, "%s %s", issuer, name);
	return (unsigned)siphash(lists->key, text, (size_t)length) & (lists->size - 1);
}

static status_number *holder_bucket(
	const struct status_lists *lists, const char *issuer, const char *agent, const char *task)
{
	return &lists->by_holder[hash(lists, issuer, task[0] ? task : agent)];
}

struct status_block *status_holder_first(
	const struct status_lists *lists, const char *issuer, const char *agent, const char *task)
{
	return status_block(lists, *holder_bucket(lists, issuer, agent, task));
}

struct status_block *status_agent_first(const struct status_lists *lists, const char *issuer, const char *agent)
{
	return status_block(lists, lists->by_agent[hash(lists, issuer, agent)]);
}

static status_number *next_of(struct status_block *block, bool of_agent)
{
	return of_agent ? &block->next_of_agent : &block->next_of_holder;
}

static unsigned bucket_of(const struct status_lists *lists, const struct status_block *block, bool of_agent)
{
	const char *issuer = status_block_issuer(lists, block);
	return hash(lists, issuer, of_agent || !block->task[0] ? block->agent : block->task);
}

/* Each bucket becomes two, in the same order. */
static void split(const struct status_lists *lists, const status_number *table, status_number *larger, bool of_agent)
{
	unsigned half = lists->size / 2;
	for (unsigned i = 0; i < half; i++) {
		status_number *ends[2] = {&larger[i], &larger[i + half]}, number = table[i];
		while (number) {
			struct status_block *block = status_block(lists, number);
			status_number **end = &ends[bucket_of(lists, block, of_agent) >= half];
			**end = number;
			*end = next_of(block, of_agent);
			number = **end;
		}
		*ends[0] = *ends[1] = 0;
	}
}

/* Twice as many buckets; without memory the chains are longer. */
static void grow(struct status_lists *lists)
{
	status_number *by_agent = lists->by_agent, *by_holder = lists->by_holder;
	status_number *new_agent = calloc(2 * (size_t)lists->size, sizeof(status_number));
	status_number *new_holder = calloc(2 * (size_t)lists->size, sizeof(status_number));
	if (!new_agent || !new_holder) {
		free(new_agent);
		free(new_holder);
		return;
	}
	lists->size *= 2;
	split(lists, by_agent, new_agent, true);
	split(lists, by_holder, new_holder, false);
	lists->by_agent = new_agent;
	lists->by_holder = new_holder;
	free(by_agent);
	free(by_holder);
}

/* The newest first: that is where places are left. */
void status_block_link(struct status_lists *lists, status_number number)
{
	if (++lists->count > PER_BUCKET * lists->size)
		grow(lists);
	struct status_block *block = status_block(lists, number);
	const char *issuer = status_block_issuer(lists, block);
	status_number *holder = holder_bucket(lists, issuer, block->agent, block->task);
	status_number *agent = &lists->by_agent[hash(lists, issuer, block->agent)];
	block->next_of_holder = *holder;
	block->next_of_agent = *agent;
	*holder = *agent = number;
}

void status_block_unlink(struct status_lists *lists, status_number number)
{
	const struct status_block *block = status_block(lists, number);
	const char *issuer = status_block_issuer(lists, block);
	status_number *at = holder_bucket(lists, issuer, block->agent, block->task);
	while (*at != number)
		at = &status_block(lists, *at)->next_of_holder;
	*at = block->next_of_holder;
	at = &lists->by_agent[hash(lists, issuer, block->agent)];
	while (*at != number)
		at = &status_block(lists, *at)->next_of_agent;
	*at = block->next_of_agent;
	lists->count--;
}

struct status_block *status_block_at(const struct status_lists *lists, const char *issuer, struct status_place place)
{
	const struct status_issuer *at = status_issuer(lists, issuer);
	if (!at || place.list >= at->count || place.index >= STATUS_LIST_PLACES)
		return NULL;
	const struct status_list *list = at->lists[place.list];
	for (unsigned back = 0; back < STATUS_BLOCK_PLACES && back <= place.index; back++) {
		struct status_block *block = status_block(lists, list->blocks[place.index - back]);
		if (block)
			return back < block->count ? block : NULL;
	}
	return NULL;
}

/* ---- begin and end ---- */

bool status_blocks_open(struct status_lists *lists)
{
	lists->size = FIRST_SIZE;
	lists->by_holder = calloc(lists->size, sizeof *lists->by_holder);
	lists->by_agent = calloc(lists->size, sizeof *lists->by_agent);
	lists->key = malloc(sizeof *lists->key);
	return lists->by_holder && lists->by_agent && lists->key &&
	       RAND_bytes(lists->key->bytes, sizeof lists->key->bytes) == 1;
}

void status_blocks_close(struct status_lists *lists)
{
	for (unsigned i = 0; i < lists->pieces_count; i++)
		free(lists->pieces[i]);
	free((void *)lists->pieces);
	free(lists->by_holder);
	free(lists->by_agent);
	free(lists->key);
}
