/* SPDX-License-Identifier: Apache-2.0 */
#include "pending.h"

#include <stdlib.h>

struct pending_pool {
	struct pending_list waiting; /* not answered, oldest first */
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

struct pending *pending_take(struct pending_pool *pool)
{
	if (!pool->free_count)
		return NULL;
	unsigned place = pool->free[--pool->free_count];
	struct pending *pending = &pool->places[place];
	pending->id = (((pending->id >> PLACE_BITS) + 1) << PLACE_BITS) | place;
	pending->in_use = true;
	pending->answered = pending->at_work = false;
	pending->tries = 0;
	TAILQ_INSERT_TAIL(&pool->waiting, pending, by_age);
	pool->in_use++;
	return pending;
}

void pending_mark_answered(struct pending_pool *pool, struct pending *pending)
{
	if (pending->answered)
		return;
	pending->answered = true;
	TAILQ_REMOVE(&pool->waiting, pending, by_age);
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

struct pending *pending_oldest(struct pending_pool *pool)
{
	return TAILQ_FIRST(&pool->waiting);
}

unsigned pending_count(const struct pending_pool *pool)
{
	return pool->in_use;
}
