/* SPDX-License-Identifier: Apache-2.0 */
/* The row of an agent: what docs/governance.md says is kept of it, read and written. */
#ifndef HSMINT_AGENT_ROW_H
#define HSMINT_AGENT_ROW_H

#include "agent_limits.h"
#include "agents.h"

/* One allocation: the agent, what it points to, and its place in the view (agents.c). */
struct agent_entry {
	struct agent agent;
	uint64_t hash; /* of issuer and SPIFFE ID */
	struct agent_entry *less, *more;
};

/* HM_BROKEN: the row is none of an agent. The caller frees `*out`. */
hm_result agent_row_read(const struct store_row *row, struct agent_entry **out, struct hm_problem *why) HM_MUST_USE;

/* The body, in canonical form and with a NUL. Returns its length; 0: it is longer than a row may be. */
size_t agent_row_write(const struct agent *agent, char body[HM_STORE_BODY_MAX + 1]);

/* Put it as it is now where `agent->version` of it was. False: no memory, or agent_row_write says 0. */
bool agent_row_put(struct changes *changes, const struct agent *agent) HM_MUST_USE;

/* Splits the key at its space. NULL: it has none; else the SPIFFE ID, and the issuer's length is what is before it. */
const char *agent_row_name(const char *key, size_t *issuer_length);

#endif
