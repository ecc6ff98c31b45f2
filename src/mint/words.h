/* SPDX-License-Identifier: Apache-2.0 */
/* Texts of which many say the same, kept once: names of issuers and callers, agents' SPIFFE IDs. */
#ifndef HSMINT_WORDS_H
#define HSMINT_WORDS_H

struct words {
	void *tree;
};

/* The one that is kept, counted once more; NULL: no memory. */
const char *words_take(struct words *words, const char *text);
/* One that words_take gave, or NULL, is needed by one less. */
void words_give(struct words *words, const char *text);

#endif
