/* SPDX-License-Identifier: Apache-2.0 */
/* How tasks are found: by id, in the order of ids, and by ref. */
#include "tasks_inside.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

enum { BITS_MIN = 6, BITS_MAX = 30, PER_BUCKET = 2, BITS_PER_CHARACTER = 6 };

/* ---- by id ---- */

/* Among the 64 characters of an id, in the order of their codes; what is none of them counts as one beside it. */
static unsigned rank(char c)
{
	if (c < '0')
		return 0;
	if (c < 'A')
		return c <= '9' ? 1 + (unsigned)(c - '0') : 10;
	if (c < 'a')
		return c <= 'Z' ? 11 + (unsigned)(c - 'A') : 36 + (c >= '_');
	return c <= 'z' ? 38 + (unsigned)(c - 'a') : 63;
}

/* Ids are random, so their first bits spread them evenly, and the buckets are in the order of the ids. */
static size_t bucket_of(unsigned bits, const char *id)
{
	unsigned number = 0;
	for (unsigned taken = 0; taken < BITS_MAX; taken += BITS_PER_CHARACTER) {
		number = number << BITS_PER_CHARACTER | (*id ? rank(*id) : 0);
		id += *id != 0;
	}
	return number >> (BITS_MAX - bits);
}

struct task_node *tasks_node(const struct tasks *tasks, const char *id)
{
	struct task_node *node = tasks->buckets[bucket_of(tasks->bits, id)];
	while (node && strcmp(node->task.id, id) != 0)
		node = node->next;
	return node;
}

/* The place in its bucket that a node of this id has, or would have. */
static struct task_node **place_of(struct tasks *tasks, const char *id)
{
	struct task_node **place = &tasks->buckets[bucket_of(tasks->bits, id)];
	while (*place && strcmp((*place)->task.id, id) < 0)
		place = &(*place)->next;
	return place;
}

/* Without memory for more buckets those that are there get longer. */
static void grow(struct tasks *tasks)
{
	unsigned bits = tasks->bits + 1;
	struct task_node **buckets = bits <= BITS_MAX ? calloc((size_t)1 << bits, sizeof *buckets) : NULL;
	if (!buckets)
		return;
	for (size_t i = 0; i < (size_t)1 << tasks->bits; i++) {
		struct task_node **end = &buckets[2 * i], *node = tasks->buckets[i];
		for (; node && bucket_of(bits, node->task.id) == 2 * i; node = node->next) {
			*end = node;
			end = &node->next;
		}
		*end = NULL;
		buckets[2 * i + 1] = node;
	}
	free(tasks->buckets);
	tasks->buckets = buckets;
	tasks->bits = bits;
}

static const struct task_node *first_from(const struct tasks *tasks, size_t bucket)
{
	for (; bucket < (size_t)1 << tasks->bits; bucket++)
		if (tasks->buckets[bucket])
			return tasks->buckets[bucket];
	return NULL;
}

const struct task_node *tasks_behind(const struct tasks *tasks, const struct task_node *node)
{
	return node->next ? node->next : first_from(tasks, bucket_of(tasks->bits, node->task.id) + 1);
}

const struct task_node *tasks_next(const struct tasks *tasks, const char *id)
{
	size_t bucket = bucket_of(tasks->bits, id);
	const struct task_node *node = tasks->buckets[bucket];
	while (node && strcmp(node->task.id, id) <= 0)
		node = node->next;
	return node ? node : first_from(tasks, bucket + 1);
}

void tasks_insert(struct tasks *tasks, struct task_node *node)
{
	struct task_node **place = place_of(tasks, node->task.id);
	node->next = *place;
	*place = node;
	tasks->count += task_is_there(&node->task);
	if (++tasks->nodes > (unsigned)PER_BUCKET << tasks->bits)
		grow(tasks);
}

void tasks_remove(struct tasks *tasks, struct task_node *node)
{
	*place_of(tasks, node->task.id) = node->next;
	tasks->nodes--;
	tasks->count -= task_is_there(&node->task);
}

/* ---- by ref ---- */

static int compare(const void *a, const void *b)
{
	const struct task *one = a, *other = b;
	int order = strcmp(one->ref, other->ref);
	if (!order)
		order = strcmp(one->caller, other->caller);
	return order ? order : strcmp(one->issuer, other->issuer);
}

bool task_has_name(const struct task *task, const struct task *other)
{
	return compare(task, other) == 0;
}

struct task_node *tasks_named(const struct tasks *tasks, const char *issuer, const char *caller, const char *ref)
{
	const struct task wanted = {.issuer = issuer, .caller = caller, .ref = ref};
	struct task_node *const *found = (struct task_node *const *)tfind(&wanted, &tasks->refs, compare);
	return found ? *found : NULL;
}

bool tasks_name(struct tasks *tasks, struct task_node *node, const struct task_naming *naming)
{
	struct task_node **found = (struct task_node **)tsearch(node, &tasks->refs, compare);
	if (!found)
		return false;
	if (*found != node)
		task_naming(&(*found)->task)->version = 0;
	*found = node;
	*task_naming(&node->task) = *naming;
	return true;
}

void tasks_unname(struct tasks *tasks, struct task_node *node)
{
	struct task_naming *naming = task_naming(&node->task);
	if (!naming || !naming->version)
		return;
	naming->version = 0;
	(void)tdelete(node, &tasks->refs, compare);
}

/* ---- begin and end ---- */

struct tasks *tasks_open(void)
{
	struct tasks *tasks = calloc(1, sizeof *tasks);
	if (!tasks)
		return NULL;
	tasks->bits = BITS_MIN;
	tasks->buckets = calloc((size_t)1 << BITS_MIN, sizeof *tasks->buckets);
	if (tasks->buckets)
		return tasks;
	free(tasks);
	return NULL;
}

void tasks_close(struct tasks *tasks)
{
	if (!tasks)
		return;
	for (size_t i = 0; i < (size_t)1 << tasks->bits; i++)
		while (tasks->buckets[i]) {
			struct task_node *node = tasks->buckets[i];
			tasks->buckets[i] = node->next;
			tasks_unname(tasks, node);
			task_node_free(tasks, node);
		}
	free(tasks->buckets);
	free(tasks);
}
