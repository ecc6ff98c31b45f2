/* SPDX-License-Identifier: Apache-2.0 */
/* Inside libhsmint: reading the answer to a mint request. */
#ifndef HSMINT_CLIENT_REPLY_H
#define HSMINT_CLIENT_REPLY_H

#include "hsmint/client.h"

/* Parse a 200's body; the reply takes over `text` (also on failure). NULL and `*error`: it lacks what a reply has. */
hsmint_reply *reply_parse(char *text, size_t length, hsmint_error **error);

#endif
