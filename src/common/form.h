/* SPDX-License-Identifier: Apache-2.0 */
/* Names and values as a query or a body of application/x-www-form-urlencoded has them, read in one way only. */
#ifndef HSMINT_FORM_H
#define HSMINT_FORM_H

#include "buffer.h"

/* Is it empty, or pairs with a name and one = each, one & between them, of characters that a URI's query may have, and
 * each % followed by two hexadecimal digits that do not stand for NUL? */
bool form_is_sound(const char *text, size_t length);

/* The next pair of a sound text, as it is written; `*at` begins with 0. False: that was the last. */
bool form_next(struct hm_bytes text, size_t *at, struct hm_bytes *name, struct hm_bytes *value);

/* What is written, with + and % replaced, into `out`, which has room for its length and a NUL. Returns its length. */
size_t form_decode(struct hm_bytes written, char *out);

#endif
