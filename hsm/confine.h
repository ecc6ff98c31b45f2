/* SPDX-License-Identifier: Apache-2.0 */
/* What a vendor's module, loaded into this process, may reach of the file system. */
#ifndef HSMINT_CONFINE_H
#define HSMINT_CONFINE_H

#include "failure.h"

/*
 * Allow this process the configured paths, the PIN, the latches, the module's own directory, the system's libraries and
 * what they read when they look up names and times; and no signal to other processes. Nothing is changed when no paths
 * are configured. Before the module is loaded, for good. TOKEN_DEVICE: a path is not there. TOKEN_PERMANENT: the
 * kernel has no Landlock, unless that is to be at best.
 */
hm_result confine(const struct token_config *config, struct token_failure *why) HM_MUST_USE;

#endif
