/* SPDX-License-Identifier: Apache-2.0 */
/* What is done with approvals over the API: docs/governance.md. */
#ifndef HSMINT_APPROVAL_API_H
#define HSMINT_APPROVAL_API_H

#include "api.h"

api_operation approval_api_list, approval_api_show, approval_api_grant, approval_api_deny;

#endif
