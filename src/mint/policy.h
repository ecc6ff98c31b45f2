/* SPDX-License-Identifier: Apache-2.0 */
/* The decision: may this caller have this credential? Pure: it reads the configuration and the request, nothing else.
 */
#ifndef HSMINT_POLICY_H
#define HSMINT_POLICY_H

#include "config.h"
#include "mint_request.h"

/* What was allowed. Everything points into the configuration that was asked, the tenant into the request. */
struct decision {
	const struct config_profile *profile;
	const struct config_issuer *issuer;
	const struct config_caller *caller;
	unsigned lifetime;  /* seconds */
	unsigned backdate;  /* seconds */
	const char *tenant; /* in the request's context; NULL: the caller has none */
};

/*
 * Role, profile, subject, audience, scope, lifetime, claims, tenant, in this order; the first rule that says no fills
 * `why`. A caller learns nothing about profiles of issuers it is not a caller of: those read as unknown.
 */
hm_result policy_decide(const struct config *config, const struct gate_caller *caller,
	const struct mint_request *request, struct decision *decision, struct hm_problem *why) HM_MUST_USE;

/*
 * What is done to the whole service, not to one issuer, needs one of `roles` at any issuer. HM_REFUSED: unknown_caller,
 * or role_missing with `names` as what would be accepted.
 */
hm_result policy_check_role(const struct config *config, const struct gate_caller *caller, unsigned roles,
	const char *names, struct hm_problem *why) HM_MUST_USE;

/* True when it is a caller of any issuer. */
bool policy_knows_caller(const struct config *config, const struct gate_caller *caller);

/* The caller with this identity at `issuer` (an index), or NULL. A URI SAN goes before the key's hash. */
const struct config_caller *policy_find_caller(
	const struct config *config, unsigned issuer, const struct gate_caller *caller);

#endif
