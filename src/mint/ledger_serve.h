/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger over HTTP: who may read what, and one read after the other in libuv's thread pool, so that those who read
 * never keep the ledger's writer from a thread.
 */
#ifndef HSMINT_LEDGER_SERVE_H
#define HSMINT_LEDGER_SERVE_H

#include "service.h"

struct ledger_serve; /* opaque; made by ledger_serve_open, released by ledger_serve_close */

/* After the ledger is open. NULL: no memory. */
struct ledger_serve *ledger_serve_open(struct service *service);
void ledger_serve_close(struct ledger_serve *serve); /* once the loop has ended; NULL is fine */

/* Answer one of the OPERATION_LEDGER_*, now or later. */
void ledger_serve_request(struct ledger_serve *serve, uint64_t id, const struct gate_request *request);

#endif
