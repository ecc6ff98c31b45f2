/* SPDX-License-Identifier: Apache-2.0 */
/* The paths of the API as gate and mint both read them: {id} stands for 1 to HM_API_ID_MAX letters, digits, - and _. */
#ifndef HSMINT_API_PATH_H
#define HSMINT_API_PATH_H

#include "limits.h"
#include <stdbool.h>

/* Is `path` one of this pattern's? Then its id, "" when the pattern has none, goes to `id` (NULL: it is not wanted). */
bool api_path_matches(const char *pattern, const char *path, char id[HM_API_ID_MAX + 1]);

#endif
