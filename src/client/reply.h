/* SPDX-License-Identifier: Apache-2.0 */
/* Inside libhsmint: reading the answer to a mint request. */
#ifndef HSMINT_CLIENT_REPLY_H
#define HSMINT_CLIENT_REPLY_H

#include "exchange.h"

/* Takes the answer's text over, also on failure. NULL and `*error`: others have to approve it first, or it is no reply.
 */
hsmint_reply *reply_parse(const struct answer *answer, hsmint_error **error);

#endif
