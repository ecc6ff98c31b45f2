/* SPDX-License-Identifier: Apache-2.0 */
/* What a configuration must mean beyond its form. */
#ifndef HSMINT_CONFIG_CHECK_H
#define HSMINT_CONFIG_CHECK_H

#include "config.h"

/*
 * Check every rule, resolve names to indexes, set defaults and make relative paths absolute (from the directory of
 * `path`). HM_REFUSED: `why->detail` is "FILE:LINE: …".
 */
hm_result config_check(struct config *config, const char *path, struct hm_problem *why) HM_MUST_USE;

#endif
