/* SPDX-License-Identifier: Apache-2.0 */
/* What a credential needs of the store before it can be struck, and whether it may still go out when it is signed. */
#ifndef HSMINT_GOVERNED_H
#define HSMINT_GOVERNED_H

#include "parked.h"
#include "service.h"
#include "status_lists.h"

/* HM_UNAVAILABLE: the views are older than the configuration believes, so nobody knows what has ended. */
hm_result governed_is_fresh(const struct service *service, struct hm_problem *why) HM_MUST_USE;

/* For what is said of credentials: also where a row is not understood. */
hm_result governed_refusal(const struct service *service, struct hm_problem *why) HM_MUST_USE;

struct policy_views governed_views(const struct service *service);

/* What is missing, if anything is. */
struct governed_needs {
	struct changes *changes; /* NULL: nothing; released by governed_needs_free, unless taken */
	struct parked_acts acts;
	struct policy_granted granted; /* what was before, and what the changes add */
	bool has_place;                /* and this is it */
	struct status_place place;
};

void governed_needs_free(struct governed_needs *needs);
#define GOVERNED_NEEDS_AUTO __attribute__((cleanup(governed_needs_free))) struct governed_needs

/* For a credential signed by the key with this kid, which expires then. HM_REFUSED: the task that the request opens. */
hm_result governed_prepare(struct service *service, const struct decision *decision, const struct mint_request *request,
	const char *kid, int64_t expires, struct governed_needs *needs, struct hm_problem *why) HM_MUST_USE;

/* The approval that this request needs first: `needs->acts.approval_id`. */
hm_result governed_ask(const struct decision *decision, const struct mint_request *request,
	struct governed_needs *needs, struct hm_problem *why) HM_MUST_USE;

/* Who it is for, that it was struck for: remembered with it. */
void governed_remember(struct pending *pending, const struct decision *decision, const struct mint_request *request,
	const struct governed_needs *needs);

/* It is signed: do agent and task still stand, and was nothing of it revoked meanwhile? */
hm_result governed_still(
	const struct service *service, const struct pending *pending, struct hm_problem *why) HM_MUST_USE;

#endif
