/* SPDX-License-Identifier: Apache-2.0 */
/* The sockets that mint owns, so that a restarted gate keeps their backlog. */
#ifndef HSMINT_LISTEN_H
#define HSMINT_LISTEN_H

#include "config.h"

/* Listen on a Unix socket of `type` (SOCK_STREAM, SOCK_SEQPACKET), open to every local user: who may do what is
 * decided by the peer's credentials. A socket left by a dead process is replaced, one in use is refused. */
hm_result listen_unix(const char *path, int type, int *fd, struct hm_problem *why) HM_MUST_USE;

/* Listen on a numeric address; `*port` 0 is replaced by the one the system chose. */
hm_result listen_tcp(const char *address, uint16_t *port, int *fd, struct hm_problem *why) HM_MUST_USE;

#endif
