/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a JSON object names a member twice, so that two readers could take it for two different things. */
#ifndef HSMINT_JSON_MEMBERS_H
#define HSMINT_JSON_MEMBERS_H

#include <stdbool.h>
#include <stddef.h>

/*
 * True when `text` is one object, whole and with nothing behind it, whose own members (not those further in) include
 * none called `name` but the first, and none whose name is spelled with an escape. What stands between brackets and
 * quotes is not judged further: a reader that takes what is no JSON at all is beyond help.
 */
bool json_members_name_once(const char *text, size_t length, const char *name);

#endif
