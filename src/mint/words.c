/* SPDX-License-Identifier: Apache-2.0 */
#include "words.h"

#include <openssl/rand.h>
#include <search.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_SIZE = 64 };

struct word {
	struct word *next; /* in its bucket */
	unsigned users;
	char text[];
};

static struct word *word_of(const char *text)
{
	return (struct word *)(text - offsetof(struct word, text));
}

static struct word **bucket_of(const struct words *words, const char *text)
{
	return &words->texts[siphash(&words->key, text, strlen(text)) & (words->size - 1)];
}

static bool begin(struct words *words)
{
	if (RAND_bytes(words->key.bytes, sizeof words->key.bytes) != 1)
		return false;
	words->texts = calloc(FIRST_SIZE, sizeof *words->texts);
	words->size = words->texts ? FIRST_SIZE : 0;
	return words->size != 0;
}

/* Without memory for more buckets those that are there get longer. */
static void grow(struct words *words)
{
	struct words larger = {.texts = calloc(2 * (size_t)words->size, sizeof *words->texts),
		.size = 2 * words->size,
		.key = words->key};
	if (!larger.texts)
		return;
	for (unsigned i = 0; i < words->size; i++)
		for (struct word *word = words->texts[i], *next; word; word = next) {
			struct word **bucket = bucket_of(&larger, word->text);
			next = word->next;
			word->next = *bucket;
			*bucket = word;
		}
	free(words->texts);
	words->texts = larger.texts;
	words->size = larger.size;
}

static const char *add(struct words *words, const char *text)
{
	size_t size = strlen(text) + 1;
	struct word *word = malloc(sizeof *word + size);
	if (!word)
		return NULL;
	if (++words->count > words->size)
		grow(words);
	struct word **bucket = bucket_of(words, text);
	memcpy(word->text, text, size);
	word->users = 1;
	word->next = *bucket;
	*bucket = word;
	return word->text;
}

const char *words_take(struct words *words, const char *text)
{
	if (!words->size && !begin(words))
		return NULL;
	for (struct word *word = *bucket_of(words, text); word; word = word->next)
		if (strcmp(word->text, text) == 0) {
			word->users++;
			return word->text;
		}
	return add(words, text);
}

void words_give(struct words *words, const char *text)
{
	if (!text || --word_of(text)->users)
		return;
	struct word **at = bucket_of(words, text), *word = word_of(text);
	while (*at != word)
		at = &(*at)->next;
	*at = word->next;
	words->count--;
	free(word);
}

void words_close(struct words *words)
{
	for (unsigned i = 0; i < words->size; i++)
		for (struct word *word = words->texts[i], *next; word; word = next) {
			next = word->next;
			free(word);
		}
	free(words->texts);
	tdestroy(words->lists, free);
	*words = (struct words){.size = 0};
}

/* ---- lists ---- */

struct word_list {
	unsigned users, count;
	char *items[]; /* their texts stand behind */
};

static struct word_list *list_of(char **items)
{
	return (struct word_list *)((char *)items - offsetof(struct word_list, items));
}

static int compare_lists(const void *a, const void *b)
{
	const struct word_list *one = a, *other = b;
	int order = one->count < other->count ? -1 : one->count > other->count;
	for (unsigned i = 0; i < one->count && !order; i++)
		order = strcmp(one->items[i], other->items[i]);
	return order;
}

static struct word_list *copy_list(char *const *list, unsigned count)
{
	size_t size = sizeof(struct word_list) + count * sizeof *list;
	for (unsigned i = 0; i < count; i++)
		size += strlen(list[i]) + 1;
	struct word_list *copy = malloc(size);
	if (!copy)
		return NULL;
	*copy = (struct word_list){.count = count};
	char *at = (char *)&copy->items[count];
	for (unsigned i = 0; i < count; i++) {
		copy->items[i] = at;
		at = stpcpy(at, list[i]) + 1;
	}
	return copy;
}

char **words_take_list(struct words *words, char *const *list, unsigned count)
{
	struct word_list *copy = copy_list(list, count);
	struct word_list *const *found =
		copy ? (struct word_list *const *)tsearch(copy, &words->lists, compare_lists) : NULL;
	struct word_list *kept = found ? *found : NULL;
	if (kept != copy)
		free(copy);
	if (!kept)
		return NULL;
	kept->users++;
	return kept->items;
}

void words_give_list(struct words *words, char **list)
{
	if (!list || --list_of(list)->users)
		return;
	(void)tdelete(list_of(list), &words->lists, compare_lists);
	free(list_of(list));
}
