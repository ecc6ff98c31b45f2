/* SPDX-License-Identifier: Apache-2.0 */
/* An agent's limits as JSON: read from a request or a row, and written. */
#ifndef HSMINT_AGENT_LIMITS_H
#define HSMINT_AGENT_LIMITS_H

#include "agents.h"
#include "json_write.h"

/* Its texts are those of the JSON that it was read from. */
struct limits_read {
	struct agent_limits limits;
	char *audiences[HM_PATTERNS_MAX], *scopes[HM_SCOPES_MAX];
};

/* HM_REFUSED: wrong_type, unknown_member or invalid_member, with the field "limits.…". */
hm_result agent_limits_read(json_t *json, struct limits_read *out, struct hm_problem *why) HM_MUST_USE;

/* The same for who has none, or narrows nothing. */
bool agent_limits_narrow(const struct agent_limits *limits);

/* As an object, its names sorted. */
void agent_limits_write(const struct agent_limits *limits, struct hm_json *json);

#endif
