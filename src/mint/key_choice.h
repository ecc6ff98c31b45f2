/* SPDX-License-Identifier: Apache-2.0 */
/* Which of a profile's keys signs: its keys do the same, each on a token of its own. */
#ifndef HSMINT_KEY_CHOICE_H
#define HSMINT_KEY_CHOICE_H

#include "service.h"

/*
 * Of the profile's keys that can sign now the one whose token has the least to do; for one that was `pending` with a
 * token, of another token that would take it. NULL: none can.
 */
const struct issuing_key *key_choice(
	const struct service *service, const struct config_profile *profile, const struct pending *pending);

/* When none can sign now: the first whose token may come back in time. Never NULL. */
const struct issuing_key *key_choice_to_wait_for(const struct service *service, const struct config_profile *profile);

/* Whether the key with this kid signs for the profile, or did and is not retired. */
bool key_choice_knows(const struct service *service, const struct config_profile *profile, const char *kid);

#endif
