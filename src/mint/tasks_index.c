/* SPDX-License-Identifier: Apache-2.0 */
/* How tasks are found: by id, in the order of ids, and by ref. */
#include "tasks_inside.h"

#include <openssl/rand.h>
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

bool task_has_name(const struct task *task, const struct task *other)
{
	return strcmp(task->ref, other->ref) == 0 && strcmp(task->caller, other->caller) == 0 &&
	       strcmp(task->issuer, other->issuer) == 0;
}

static struct task_node **bucket_of_name(const struct tasks *tasks, const struct task *named)
{
	char key[TASK_REF_KEY_MAX + 1];
	task_ref_key(named, key);
	return &tasks->refs[siphash(&tasks->key, key, strlen(key)) & (((size_t)1 << tasks->refs_bits) - 1)];
}

static struct task_node *next_named(const struct task_node *node)
{
	return task_naming(&node->task)->next;
}

static struct task_node *find_named(const struct tasks *tasks, const struct task *named)
{
	struct task_node *node = *bucket_of_name(tasks, named);
	while (node && !task_has_name(&node->task, named))
		node = next_named(node);
	return node;
}

struct task_node *tasks_named(const struct tasks *tasks, const char *issuer, const char *caller, const char *ref)
{
	const struct task wanted = {.issuer = issuer, .caller = caller, .ref = ref};
	return find_named(tasks, &wanted);
}

static void link_named(struct tasks *tasks, struct task_node *node)
{
	struct task_node **bucket = bucket_of_name(tasks, &node->task);
	task_naming(&node->task)->next = *bucket;
	*bucket = node;
}

/* As grow. */
static void grow_refs(struct tasks *tasks)
{
	size_t size = (size_t)1 << tasks->refs_bits;
	struct task_node **before = tasks->refs, **refs = calloc(2 * size, sizeof(struct task_node *));
	if (!refs)
		return;
	tasks->refs = refs;
	tasks->refs_bits++;
	for (size_t i = 0; i < size; i++)
		for (struct task_node *node = before[i], *next; node; node = next) {
			next = next_named(node);
			link_named(tasks, node);
		}
	free(before);
}

void tasks_name(struct tasks *tasks, struct task_node *node, const struct task_naming *naming)
{
	struct task_node *before = find_named(tasks, &node->task);
	if (before)
		tasks_unname(tasks, before);
	*task_naming(&node->task) = *naming;
	if (++tasks->refs_count > (unsigned)PER_BUCKET << tasks->refs_bits && tasks->refs_bits < BITS_MAX)
		grow_refs(tasks);
	link_named(tasks, node);
}

void tasks_unname(struct tasks *tasks, struct task_node *node)
{
	struct task_naming *naming = task_naming(&node->task);
	if (!naming || !naming->version)
		return;
	struct task_node **at = bucket_of_name(tasks, &node->task);
	while (*at != node)
		at = &task_naming(&(*at)->task)->next;
	*at = naming->next;
	naming->version = 0;
	tasks->refs_count--;
}

/* ---- begin and end ---- */

struct tasks *tasks_open(void)
{
	struct tasks *tasks = calloc(1, sizeof *tasks);
	if (!tasks)
		return NULL;
	tasks->bits = tasks->refs_bits = BITS_MIN;
	tasks->buckets = calloc((size_t)1 << BITS_MIN, sizeof *tasks->buckets);
	tasks->refs = calloc((size_t)1 << BITS_MIN, sizeof *tasks->refs);
	if (tasks->buckets && tasks->refs && RAND_bytes(tasks->key.bytes, sizeof tasks->key.bytes) == 1)
		return tasks;
	tasks_close(tasks);
	return NULL;
}

void tasks_close(struct tasks *tasks)
{
	if (!tasks)
		return;
	for (size_t i = 0; tasks->buckets && i < (size_t)1 << tasks->bits; i++)
		for (struct task_node *node = tasks->buckets[i], *next; node; node = next) {
			next = node->next;
			free(node);
		}
	words_close(&tasks->words);
	free(tasks->buckets);
	free(tasks->refs);
	free(tasks);
}
