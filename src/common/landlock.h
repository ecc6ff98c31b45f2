/* SPDX-License-Identifier: Apache-2.0 */
/* Landlock: what files this process may use from now on. */
#ifndef HSMINT_LANDLOCK_H
#define HSMINT_LANDLOCK_H

#include <stdbool.h>

struct landlock_path {
	const char *path; /* a file, or a directory and all under it */
	bool write;       /* else: read and execute */
	bool required;    /* else: one that is not there is passed over */
};

/*
 * Allow nothing: no file, no TCP bind or connect, no abstract socket, no signal to others, as far as the kernel knows
 * how. Both confine this thread and those that it makes, and cannot be undone. They return the kernel's Landlock
 * version; 0 with errno: it has none, or refused.
 */
int landlock_enter_nothing(void);

/* Allow these paths alone, and no signal to others; the network as it was. On failure `*fault` is the path at fault, or
 * NULL. */
int landlock_enter(const struct landlock_path *paths, unsigned count, const char **fault);

#endif
