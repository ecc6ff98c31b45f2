/* SPDX-License-Identifier: Apache-2.0 */
/* One key ceremony: commands one a frame (docs/frames.md), in whose end the key is kept or is no more. */
#ifndef HSMINT_CEREMONY_H
#define HSMINT_CEREMONY_H

/* Serve commands until who started us hangs up. Returns the exit status. */
int ceremony_run(void);

#endif
