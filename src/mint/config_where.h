/* SPDX-License-Identifier: Apache-2.0 */
/* In which line of a YAML file something stands, for error messages. */
#ifndef HSMINT_CONFIG_WHERE_H
#define HSMINT_CONFIG_WHERE_H

#include <stdbool.h>

/* The line of list[index].member in `path` (`member` NULL: of the list's item; index < 0: `list` is the path of one
 * mapping). 0 when it is not there. */
unsigned config_line(const char *path, const char *list, int index, const char *member);

/* The line of the first mapping key `name` at or after line `from`, and with `again` the first that stood in its
 * mapping before; `from` when there is none. */
unsigned config_line_of_key(const char *path, const char *name, unsigned from, bool again);

#endif
