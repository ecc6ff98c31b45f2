/* SPDX-License-Identifier: Apache-2.0 */
/* The token process as mint starts it: get ready, say so, sign until mint hangs up. */
#ifndef HSMINT_SERVE_H
#define HSMINT_SERVE_H

#include "pin.h"

/* Receive the first frame from mint, with the parts of a PIN if they come along. False: it is none, or malformed.
 * `config` is a caller's static: it is large. */
bool serve_receive_config(struct token_config *config, struct pin_parts *parts) HM_MUST_USE;

/* Returns the exit status. */
int serve_run(void);

#endif
