/* SPDX-License-Identifier: Apache-2.0 */
/* /v1/agents: agents and classes are registered, shown, suspended, resumed, retired and given to another owner. What
 * each takes and answers is in docs/governance.md. */
#ifndef HSMINT_AGENT_API_H
#define HSMINT_AGENT_API_H

#include "api.h"

api_operation agent_api_add, agent_api_import, agent_api_list, agent_api_show;
api_operation agent_api_suspend, agent_api_resume, agent_api_retire, agent_api_transfer;

#endif
