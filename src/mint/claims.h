/* SPDX-License-Identifier: Apache-2.0 */
/* The claims a caller adds: checked against its profile, then written into the payload. */
#ifndef HSMINT_CLAIMS_H
#define HSMINT_CLAIMS_H

#include "config.h"
#include "json_write.h"
#include <jansson.h>

/*
 * Refuse unless every claim of `claims` (NULL: none) is listed by the profile and as it demands, and every required
 * one is there. `why->field` is "claims.NAME".
 */
hm_result claims_check(const struct config_profile *profile, json_t *claims, struct hm_problem *why) HM_MUST_USE;

/* Write the checked claims and the profile's constants as members, in the profile's order. */
void claims_write(const struct config_profile *profile, json_t *claims, struct hm_json *json);

#endif
