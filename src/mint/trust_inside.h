/* SPDX-License-Identifier: Apache-2.0 */
/* What trust.c asks of trust_keys.c, and nobody else. */
#ifndef HSMINT_TRUST_INSIDE_H
#define HSMINT_TRUST_INSIDE_H

#include "trust.h"

const struct config *trusts_config(const struct trusts *trusts);

/*
 * The keys of `config->trust[index]`, for a token that names `kid`. HM_OK: there are some, with this one or for certain
 * without it. HM_UNAVAILABLE, TRUST_UNAVAILABLE: there are none, or this one may be among those being asked for.
 */
hm_result trusts_keys(struct trusts *trusts, unsigned index, const char *kid, const struct key_set **keys,
	struct hm_problem *why) HM_MUST_USE;

#endif
