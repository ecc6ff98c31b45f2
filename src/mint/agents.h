/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The view of agents and classes of agents: every one in memory, found by issuer and SPIFFE ID. A class is a pattern;
 * an instance of it comes into being at its first mint, has the class's owner and limits, and a status of its own.
 * docs/governance.md has the form of the rows.
 */
#ifndef HSMINT_AGENTS_H
#define HSMINT_AGENTS_H

#include "config.h"
#include "store.h"
#include <jansson.h>

enum agent_status { AGENT_ACTIVE, AGENT_SUSPENDED, AGENT_RETIRED, AGENT_STATUSES };
const char *agent_status_name(enum agent_status status); /* "active", … */

/* What it may have at most; narrower than any profile's. A list with a count of 0 narrows nothing. */
struct agent_limits {
	char **audiences; /* patterns as a profile's */
	char **scopes;
	unsigned audiences_count, scopes_count;
	unsigned kinds;    /* bits 1 << enum credential_kind; 0: all */
	unsigned lifetime; /* seconds; 0: as the profile says */
	unsigned depth;    /* of delegation; HM_DEPTH_MAX: as the profile says */
};

/* Lives until its row changes: look it up again after anything that may wait. */
struct agent {
	uint64_t version;
	char id[HM_ID_MAX + 1];
	const char *issuer;    /* its name in the configuration */
	const char *spiffe_id; /* of a class its pattern */
	bool is_class;
	enum agent_status status;              /* its own */
	const char *owner, *contact, *purpose; /* of an instance "": its class's */
	int64_t created, review;               /* seconds since 1970; review: due then; of an instance 0 */
	const char *of;                        /* of an instance its class's pattern, else NULL */
	const struct agent_limits *limits;     /* NULL: none */
};

struct agents; /* opaque; made by agents_open, released by agents_close */

struct agents *agents_open(void); /* NULL: no memory */
void agents_close(struct agents *agents);

/* A row of RECORD_AGENT. HM_BROKEN: it is not as docs/governance.md says; nothing changed. */
hm_result agents_take(struct agents *agents, const struct store_row *row, struct hm_problem *why) HM_MUST_USE;

/* NULL: none. Of `issuer`, by its name in the configuration. */
const struct agent *agents_find(const struct agents *agents, const char *issuer, const char *spiffe_id);
const struct agent *agents_by_id(const struct agents *agents, const char *id);
/* The class that this SPIFFE ID belongs to: the one with the longest pattern that matches; NULL: none. */
const struct agent *agents_class_of(const struct agents *agents, const char *issuer, const char *spiffe_id);
/* The agent whose owner, review and limits hold: itself, or its class. NULL: it is of a class that is gone. */
const struct agent *agents_accountable(const struct agents *agents, const struct agent *agent);

/* From the SPIFFE ID that is next to `after` (NULL: the first) in the order of strcmp, up to `most`: for lists. */
unsigned agents_list(
	const struct agents *agents, const char *issuer, const char *after, const struct agent **found, unsigned most);
unsigned agents_count(const struct agents *agents);

/*
 * May it have credentials at `now`? `agent` may be NULL when `class` is not: an instance that is not there yet.
 * HM_REFUSED: unknown_agent (both NULL), agent_suspended, agent_retired, agent_unowned, agent_review_due.
 */
hm_result agents_check(
	const struct agent *agent, const struct agent *class, int64_t now, struct hm_problem *why) HM_MUST_USE;

/* The same of who had a credential before, and so is there: nobody of this name is unknown_agent, of a class or not. */
hm_result agents_check_named(const struct agents *agents, const char *issuer, const char *spiffe_id, int64_t now,
	struct hm_problem *why) HM_MUST_USE;

/* The row's key and body of an instance of `class`: what its first mint commits. False: no memory. */
bool agents_put_instance(
	struct changes *changes, const struct agent *class, const char *spiffe_id, int64_t now) HM_MUST_USE;

/* As /v1/agents shows it: the caller's. */
json_t *agent_json(const struct agent *agent);

#endif
