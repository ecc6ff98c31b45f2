/* SPDX-License-Identifier: Apache-2.0 */
/* Landlock with a ruleset that allows nothing: no file, no TCP bind or connect, no abstract socket, no signal. */
#ifndef HSMINT_LANDLOCK_H
#define HSMINT_LANDLOCK_H

/* Confine this thread, as far as the kernel knows how. Returns the kernel's Landlock version; 0 with errno: it has
 * none, or refused. Cannot be undone. */
int landlock_enter(void);

#endif
