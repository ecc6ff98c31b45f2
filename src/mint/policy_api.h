/* SPDX-License-Identifier: Apache-2.0 */
/* POST /v1/policy/explain: what the decision on a mint request would be, rule by rule, without minting. */
#ifndef HSMINT_POLICY_API_H
#define HSMINT_POLICY_API_H

#include "api.h"

api_operation policy_api_explain;

#endif
