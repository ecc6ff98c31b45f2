/* SPDX-License-Identifier: Apache-2.0 */
/* Who may do what by which way: docs/governance.md has the same table in words. */
#include "agent_api.h"
#include "api_inside.h"
#include "approval_api.h"
#include "nonce_api.h"
#include "oauth_api.h"
#include "policy_api.h"
#include "revocation_api.h"
#include "task_api.h"

#define SEES_AGENTS (ROLE_AUDIT | ROLE_REGISTER | ROLE_REVOKE | ROLE_OPERATE)
#define SEES_TASKS  (ROLE_TASK | ROLE_AUDIT | ROLE_REVOKE | ROLE_OPERATE)
#define ENDS_TASKS  (ROLE_TASK | ROLE_REVOKE | ROLE_OPERATE)
#define SEES_ASKED  (ROLE_MINT | ROLE_AUDIT | ROLE_APPROVE)

/* {method, path, through gate, proven, parameters, form, act, operation} */
static const struct api_route routes[] = {
	{"POST", "/v1/agents", 0, ROLE_REGISTER, "", false, true, agent_api_add},
	{"POST", "/v1/agents/import", 0, ROLE_REGISTER, "", false, true, agent_api_import},
	{"GET", "/v1/agents", ROLE_AUDIT, SEES_AGENTS, "after limit spiffe_id ", false, false, agent_api_list},
	{"GET", "/v1/agents/{id}", ROLE_AUDIT, SEES_AGENTS, "", false, false, agent_api_show},
	{"POST", "/v1/agents/{id}/suspend", 0, ROLE_REGISTER | ROLE_REVOKE, "", false, true, agent_api_suspend},
	{"POST", "/v1/agents/{id}/resume", 0, ROLE_REGISTER, "", false, true, agent_api_resume},
	{"POST", "/v1/agents/{id}/retire", 0, ROLE_REGISTER | ROLE_REVOKE, "", false, true, agent_api_retire},
	{"POST", "/v1/agents/{id}/transfer", 0, ROLE_REGISTER, "", false, true, agent_api_transfer},
	{"POST", "/v1/tasks", ROLE_TASK, ROLE_TASK, "", false, true, task_api_open},
	{"GET", "/v1/tasks", ROLE_TASK | ROLE_AUDIT, SEES_TASKS, "after limit ", false, false, task_api_list},
	{"GET", "/v1/tasks/{id}", ROLE_TASK | ROLE_AUDIT, SEES_TASKS, "", false, false, task_api_show},
	{"POST", "/v1/tasks/{id}/pause", ROLE_TASK, ENDS_TASKS, "", false, true, task_api_pause},
	{"POST", "/v1/tasks/{id}/complete", ROLE_TASK, ENDS_TASKS, "", false, true, task_api_complete},
	{"POST", "/v1/tasks/{id}/cancel", ROLE_TASK, ENDS_TASKS, "", false, true, task_api_cancel},
	{"POST", "/v1/tasks/{id}/resume", ROLE_TASK, ROLE_TASK | ROLE_OPERATE, "", false, true, task_api_resume},
	{"GET", "/v1/approvals", SEES_ASKED, SEES_ASKED, "after limit wait ", false, false, approval_api_list},
	{"GET", "/v1/approvals/{id}", SEES_ASKED, SEES_ASKED, "wait ", false, false, approval_api_show},
	{"POST", "/v1/approvals/{id}/grant", 0, ROLE_APPROVE, "", false, true, approval_api_grant},
	{"POST", "/v1/approvals/{id}/deny", 0, ROLE_APPROVE, "", false, true, approval_api_deny},
	{"POST", "/v1/revocations", 0, ROLE_REVOKE, "", false, true, revocation_api_add},
	{"GET", "/v1/revocations", ROLE_AUDIT, ROLE_AUDIT | ROLE_REVOKE, "after limit ", false, false,
		revocation_api_list},
	{"POST", "/v1/policy/explain", ROLE_AUDIT, ROLE_AUDIT | ROLE_OPERATE, "", false, false, policy_api_explain},
	{"POST", "/v1/nonces", ROLE_ANY, 0, "", false, false, nonce_api_make},
	{"POST", "/oauth2/introspect", ROLE_AUDIT | ROLE_MINT, ROLE_AUDIT | ROLE_MINT, "", true, false,
		oauth_api_introspect},
	{"POST", "/oauth2/revoke", ROLE_MINT, ROLE_MINT, "", true, true, oauth_api_revoke},
};

const struct api_table api_table = {routes, sizeof routes / sizeof *routes};

struct api *api_open(struct service *service)
{
	return api_open_with(service, &api_table);
}
