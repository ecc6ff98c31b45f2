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
	if (tsearch(word->text, &words->tree, compare))
		return word->text;
	free(word);
	return NULL;
}

const char *words_take(struct words *words, const char *text)
{
	char *const *found = (char *const *)tfind(text, &words->tree, compare);
	if (!found)
		return add(words, text);
	word_of(*found)->users++;
	return *found;
}

void words_give(struct words *words, const char *text)
{
	if (!text || --word_of(text)->users)
		return;
	(void)tdelete(text, &words->tree, compare);
	free(word_of(text));
}
