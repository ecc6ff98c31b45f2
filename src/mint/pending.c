/* SPDX-License-Identifier: Apache-2.0 */
#include "pending.h"

#include <stdlib.h>

struct pending_pool {
	struct pending_list waiting; /* not answered, the nearest deadline first */
	unsigned free_count, in_use;
	uint16_t free[HM_PENDING_MAX]; /* a stack, so that a quiet service touches few pages */
	struct pending places[HM_PENDING_MAX];
};

struct pending_pool *pending_open(void)
{
	struct pending_pool *pool = calloc(1, sizeof *pool);
	if (!pool)
		return NULL;
	TAILQ_INIT(&pool->waiting);
	for (unsigned i = 0; i < HM_PENDING_MAX; i++)
		pool->free[i] = (uint16_t)(HM_PENDING_MAX - 1 - i);
	pool->free_count = HM_PENDING_MAX;
	return pool;
}

void pending_close(struct pending_pool *pool)
{
	free(pool);
}

/* An id is the place and how often it was used, never 0 (a probe's id). */
enum { PLACE_BITS = 16 };

/* Most have the same time, so that their place is at the end. */
static void insert(struct pending_list *waiting, struct pending *pending)
{
	struct pending *before = TAILQ_LAST(waiting, pending_list);
	while (before && before->deadline_ms > pending->deadline_ms)
		before = TAILQ_PREV(before, pending_list, by_deadline);
	if (before)
		TAILQ_INSERT_AFTER(waiting, before, pending, by_deadline);
	else
		TAILQ_INSERT_HEAD(waiting, pending, by_deadline);
}

struct pending *pending_take(struct pending_pool *pool, uint64_t deadline_ms)
{
	if (!pool->free_count)
		return NULL;
	unsigned place = pool->free[--pool->free_count];
	struct pending *pending = &pool->places[place];
	pending->id = (((pending->id >> PLACE_BITS) + 1) << PLACE_BITS) | place;
	pending->in_use = true;
	pending->answered = pending->at_work = pending->goes_first = false;
	pending->what = PENDING_CREDENTIAL;
	pending->is_signed = false;
	pending->ticket = 0;
	pending->tries = 0;
	pending->moved = false;
	pending->was_with = NULL;
	pending->token = NULL;
	pending->member = NULL;
	pending->replay = NULL;
	pending->leader = NULL;
	TAILQ_INIT(&pending->followers);
	pending->deadline_ms = pending->wanted_until_ms = deadline_ms;
	insert(&pool->waiting, pending);
	pool->in_use++;
	return pending;
}

void pending_mark_answered(struct pending_pool *pool, struct pending *pending)
{
	if (pending->answered)
		return;
	pending->answered = true;
	TAILQ_REMOVE(&pool->waiting, pending, by_deadline);
}

void pending_release(struct pending_pool *pool, struct pending *pending)
{
	pending_mark_answered(pool, pending);
	pending->in_use = false;
	pool->free[pool->free_count++] = (uint16_t)(pending - pool->places);
	pool->in_use--;
}

struct pending *pending_find(struct pending_pool *pool, uint64_t id)
{
	uint64_t place = id & ((1U << PLACE_BITS) - 1);
	if (place >= HM_PENDING_MAX)
		return NULL;
	struct pending *pending = &pool->places[place];
	return pending->in_use && pending->id == id ? pending : NULL;
}

struct pending *pending_next_due(struct pending_pool *pool)
{
	return TAILQ_FIRST(&pool->waiting);
}

unsigned pending_count(const struct pending_pool *pool)
{
	return pool->in_use;
}

unsigned pending_free(const struct pending_pool *pool)
{
	return pool->free_count;
}
