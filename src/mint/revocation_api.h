/* SPDX-License-Identifier: Apache-2.0 */
/* What is revoked over the API: docs/governance.md. */
#ifndef HSMINT_REVOCATION_API_H
#define HSMINT_REVOCATION_API_H

#include "api.h"
#include "revocations.h"
#include "status_lists.h"

api_operation revocation_api_add, revocation_api_list;

/* One credential, with its place in a status list if it has one, until it would have expired. HM_REFUSED:
 * revoke_task_instead, others share its place. */
hm_result revocation_of_credential(struct api_call *call, const char *id, const struct status_place *place,
	int64_t expires, const char *reason, bool force, struct hm_problem *why) HM_MUST_USE;

#endif
