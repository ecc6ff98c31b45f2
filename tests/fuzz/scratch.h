/* SPDX-License-Identifier: Apache-2.0 */
/* A directory for targets that read files: in memory where the system has room for it, gone when the run ends well. */
#ifndef HSMINT_SCRATCH_H
#define HSMINT_SCRATCH_H

#include <stddef.h>

/* Its path, the same at every call. */
const char *scratch_directory(void);

/* Give the file of this name in it these bytes (mode 0600); `directory/name` makes the directory too. Returns the
 * file's path, valid until the next call. Aborts when that fails. */
const char *scratch_write(const char *name, const void *data, size_t length);

/* The file's bytes; at most `size`. Aborts when that fails. */
size_t scratch_read(const char *name, void *data, size_t size);

#endif
