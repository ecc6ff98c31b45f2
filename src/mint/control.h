/* SPDX-License-Identifier: Apache-2.0 */
/* control.sock: operators' commands as frames, the peer's credentials read by mint itself. */
#ifndef HSMINT_CONTROL_H
#define HSMINT_CONTROL_H

#include "service.h"

struct control; /* opaque */

/* Serve operators on a listening SOCK_SEQPACKET socket, which it takes over. NULL: no memory. */
struct control *control_open(struct service *service, int listener);
void control_close(struct control *control); /* NULL is fine */

#endif
