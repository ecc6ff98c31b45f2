/* SPDX-License-Identifier: Apache-2.0 */
/* `hsmint-token admin`: key commands, one token's configuration and then one command a frame (docs/frames.md). */
#ifndef HSMINT_ADMIN_H
#define HSMINT_ADMIN_H

/* Serve commands until who started us hangs up. Returns the exit status. */
int admin_run(void);

#endif
