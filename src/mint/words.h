/* SPDX-License-Identifier: Apache-2.0 */
/* Texts, and lists of texts, of which many say the same, kept once: names of issuers and callers, agents' SPIFFE IDs,
 * audiences, scopes. */
#ifndef HSMINT_WORDS_H
#define HSMINT_WORDS_H

#include "siphash.h"

/* All zero: none yet. */
struct words {
	struct word **texts; /* a hash table of `size` buckets */
	unsigned size, count;
	struct siphash_key key;
	void *lists; /* a tree */
};

/* The end of all of them, whoever still needs one. */
void words_close(struct words *words);

/* The one that is kept, counted once more; NULL: no memory. */
const char *words_take(struct words *words, const char *text);
/* One that words_take gave, or NULL, is needed by one less. */
void words_give(struct words *words, const char *text);

/* The same of a list, of one text at least. */
char **words_take_list(struct words *words, char *const *list, unsigned count);
void words_give_list(struct words *words, char **list);

#endif
