/* SPDX-License-Identifier: Apache-2.0 */
/* The decision: may this caller have this credential? Pure: it reads the configuration, the views and the request, and
 * changes nothing. */
#ifndef HSMINT_POLICY_H
#define HSMINT_POLICY_H

#include "agents.h"
#include "approvals.h"
#include "config.h"
#include "mint_request.h"
#include "tasks.h"

/* What is known of agents, tasks and approvals, and when it is. */
struct policy_views {
	const struct agents *agents;
	const struct tasks *tasks;
	const struct approvals *approvals;
	int64_t now; /* seconds since 1970 */
};

/* What was committed for this very request already, so that it does not stand in its own way. */
struct policy_granted {
	bool approval;                            /* its approval is used up by it */
	bool struck;                              /* it is counted with its task */
	bool assertion;                           /* its client's assertion is used up by it */
	struct proof proof;                       /* the keys that it showed */
	bool engine;                              /* the outside decision point said yes, */
	char decision_id[HM_DECISION_ID_MAX + 1]; /* by this name of its own */
};

/* What was allowed. Everything points into the configuration that was asked and into the views, the tenant into the
 * request. */
struct decision {
	const struct config_profile *profile;
	const struct config_issuer *issuer;
	const struct config_caller *caller;
	int64_t now;        /* when it was decided: what is struck is issued then */
	unsigned lifetime;  /* seconds */
	unsigned backdate;  /* seconds */
	const char *tenant; /* in the request's context; NULL: the caller has none */
	/* The key that it is bound to, the request's: the member of `cnf` and the thumbprint; NULL: it is bound to
	 * none. */
	const char *cnf, *thumbprint;

	const struct agent *agent;       /* NULL: an instance of `accountable` that is not there yet */
	const struct agent *accountable; /* whose owner and limits hold: the agent, or its class */
	const struct task *task;         /* NULL: none, or */
	bool opens_task;                 /* one is to be opened first */
	/* Of either; NULL: of none, "" as the task has it. */
	const char *purpose, *on_behalf_of;
	int64_t task_ends;               /* by its own expiry */
	bool counts;                     /* the task counts it */
	unsigned approvers;              /* so many must approve it first, */
	unsigned approve_within;         /* within so many seconds; 0: none, or they have */
	const struct approval *approval; /* that allowed it; NULL: none was needed */
	const char *decision_id;         /* the outside decision point's; "": none */
	char hash[44];                   /* of what was, or is to be, approved; "": nothing */
};

/*
 * Profile, proof, subject, audience, scope, lifetime, claims, tenant, agent, task, approval, in this order; the first
 * rule that says no fills `why`. A caller learns nothing about profiles of issuers it is not a caller of: those read as
 * unknown. Of what has to be approved and is not yet, or of a task that is not open yet, the decision says so.
 */
hm_result policy_decide(const struct config *config, const struct policy_views *views,
	const struct policy_granted *granted, const struct gate_caller *caller, const struct mint_request *request,
	struct decision *decision, struct hm_problem *why) HM_MUST_USE;

/* The same, telling of each rule in turn what it said, until one says no. */
typedef void policy_step(void *context, const char *rule, hm_result result, const struct hm_problem *why);
hm_result policy_explain(const struct config *config, const struct policy_views *views,
	const struct gate_caller *caller, const struct mint_request *request, struct decision *decision,
	policy_step *step, void *context, struct hm_problem *why) HM_MUST_USE;

/*
 * What is done to the whole service, not to one issuer, needs one of `roles` at any issuer. HM_REFUSED: unknown_caller,
 * or role_missing with `names` as what would be accepted.
 */
hm_result policy_check_role(const struct config *config, const struct gate_caller *caller, unsigned roles,
	const char *names, struct hm_problem *why) HM_MUST_USE;

/* True when it is a caller of any issuer. */
bool policy_knows_caller(const struct config *config, const struct gate_caller *caller);

/* Whether what this one proved is, in any way, an identity of that caller. */
bool policy_is_caller(const struct config_caller *known, const struct gate_caller *caller);

/* The caller with this identity at `issuer` (an index), or NULL. A URI SAN goes before the key's hash. */
const struct config_caller *policy_find_caller(
	const struct config *config, unsigned issuer, const struct gate_caller *caller);

#endif
