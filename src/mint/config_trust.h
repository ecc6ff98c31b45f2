/* SPDX-License-Identifier: Apache-2.0 */
/* What `trust` of a configuration must mean beyond its form. */
#ifndef HSMINT_CONFIG_TRUST_H
#define HSMINT_CONFIG_TRUST_H

#include "config_place.h"

/* Check one of `trust`, of which those before are checked already, and set its defaults. */
hm_result config_check_trust(struct config *config, unsigned index, const struct place *place) HM_MUST_USE;

#endif
