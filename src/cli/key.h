/* SPDX-License-Identifier: Apache-2.0 */
/* What the verbs of `hsmint key` share. */
#ifndef HSMINT_CLI_KEY_H
#define HSMINT_CLI_KEY_H

#include <jansson.h>
#include <stdbool.h>

struct key_words {
	const char *verb, *name;
	const char *more; /* a version's number or a URI; NULL: not given */
	const char *control, *config, *label;
	bool now, json;
};

/* Give `request` (taken over) to the control socket. NULL: it failed or was refused, which was said, with `*status`. */
char *key_call(const struct key_words *words, json_t *request, int *status);

/* Ask, and print the version that the reply tells of. Returns the exit status. */
int key_ask(const struct key_words *words, json_t *request);

/* The verbs that change a token: they need the configuration, and start hsmint-token admin. Each returns the exit
 * status. */
int key_create(const struct key_words *words);
int key_destroy(const struct key_words *words);

#endif
