/* SPDX-License-Identifier: Apache-2.0 */
#include "words.h"

#include <search.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct word {
	unsigned users;
	char text[];
};

static struct word *word_of(const char *text)
{
	return (struct word *)(text - offsetof(struct word, text));
}

/* The tree holds texts, so that one can be looked for that is no word yet. */
static int compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

static const char *add(struct words *words, const char *text)
{
	size_t size = strlen(text) + 1;
	struct word *word = malloc(sizeof *word + size);
	if (!word)
		return NULL;
	word->users = 1;
	memcpy(word->text, text, size);
	if (tsearch(word->text, &words->texts, compare))
		return word->text;
	free(word);
	return NULL;
}

const char *words_take(struct words *words, const char *text)
{
	char *const *found = (char *const *)tfind(text, &words->texts, compare);
	if (!found)
		return add(words, text);
	word_of(*found)->users++;
	return *found;
}

void words_give(struct words *words, const char *text)
{
	if (!text || --word_of(text)->users)
		return;
	(void)tdelete(text, &words->texts, compare);
	free(word_of(text));
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
