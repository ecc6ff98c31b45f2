/* SPDX-License-Identifier: Apache-2.0 */
#include "policy.h"

#include "claims.h"
#include "pattern.h"
#include "spiffe.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is asked, and what is known. */
struct inquiry {
	const struct config *config;
	const struct policy_views *views;
	const struct policy_granted *granted;
	const struct gate_caller *caller;
	const struct mint_request *request;
};

/* ---- who ---- */

static bool is_by_uri(const struct config_caller *known, const struct gate_caller *caller)
{
	return caller->kind == CALLER_CERTIFICATE && known->uri && caller->uri[0] &&
	       strcmp(known->uri, caller->uri) == 0;
}

static bool is_by_spki(const struct config_caller *known, const struct gate_caller *caller)
{
	return caller->kind == CALLER_CERTIFICATE && known->spki &&
	       memcmp(known->spki_sha256, caller->spki_sha256, sizeof known->spki_sha256) == 0;
}

static bool is_by_uid(const struct config_caller *known, const struct gate_caller *caller)
{
	return caller->kind == CALLER_UNIX && known->uid && *known->uid == caller->uid;
}

bool policy_is_caller(const struct config_caller *known, const struct gate_caller *caller)
{
	return is_by_uri(known, caller) || is_by_spki(known, caller) || is_by_uid(known, caller);
}

const struct config_caller *policy_find_caller(
	const struct config *config, unsigned issuer, const struct gate_caller *caller)
{
	static bool (*const ways[])(const struct config_caller *, const struct gate_caller *) = {
		is_by_uri, is_by_spki, is_by_uid};
	for (size_t way = 0; way < sizeof ways / sizeof *ways; way++)
		for (unsigned i = 0; i < config->callers_count; i++)
			if (config->callers[i].issuer_index == issuer && ways[way](&config->callers[i], caller))
				return &config->callers[i];
	return NULL;
}

bool policy_knows_caller(const struct config *config, const struct gate_caller *caller)
{
	for (unsigned i = 0; i < config->issuers_count; i++)
		if (policy_find_caller(config, i, caller))
			return true;
	return false;
}

hm_result policy_check_role(const struct config *config, const struct gate_caller *caller, unsigned roles,
	const char *names, struct hm_problem *why)
{
	for (unsigned i = 0; i < config->issuers_count; i++) {
		const struct config_caller *known = policy_find_caller(config, i, caller);
		if (known && (known->roles & roles))
			return HM_OK;
	}
	if (!policy_knows_caller(config, caller))
		return hm_refuse(why, "unknown_caller", NULL, "a caller that the configuration lists");
	return hm_refuse(why, "role_missing", NULL, "a caller with the role %s", names);
}

/* ---- which profile ---- */

static const struct config_profile *find_profile(const struct config *config, const char *name)
{
	for (unsigned i = 0; i < config->profiles_count; i++)
		if (strcmp(config->profiles[i].name, name) == 0)
			return &config->profiles[i];
	return NULL;
}

/* A client assertion is for one issuer, and proves nothing at another. */
static const struct config_caller *find_caller(const struct inquiry *inquiry, const struct config_profile *profile)
{
	const struct config_caller *client = inquiry->request->client;
	if (!profile)
		return NULL;
	if (client)
		return client->issuer_index == profile->issuer_index ? client : NULL;
	return policy_find_caller(inquiry->config, profile->issuer_index, inquiry->caller);
}

static hm_result choose_profile(const struct inquiry *inquiry, struct decision *decision, struct hm_problem *why)
{
	const struct config *config = inquiry->config;
	const struct config_profile *profile = find_profile(config, inquiry->request->profile);
	decision->caller = find_caller(inquiry, profile);
	if (!decision->caller && !inquiry->request->client && !policy_knows_caller(config, inquiry->caller))
		return hm_refuse(why, "unknown_caller", NULL, "a caller that the configuration lists");
	if (!decision->caller)
		return hm_refuse(why, "unknown_profile", "profile", "a profile that serves this caller");
	if (!(decision->caller->roles & ROLE_MINT))
		return hm_refuse(why, "role_missing", NULL, "a caller with the role mint");

	decision->profile = profile;
	decision->issuer = &config->issuers[profile->issuer_index];
	for (unsigned i = 0; i < profile->callers_count; i++)
		if (strcmp(profile->callers[i], decision->caller->name) == 0)
			return HM_OK;
	return hm_refuse(why, "caller_not_allowed", "profile", "a caller that the profile lists");
}

/* What is sent as a DPoP proof is meant, and binds (RFC 9449, section 5); a certificate only where the profile wants
 * it: a client may well have to show one to be let in, and yet use its tokens without. */
static hm_result check_proof(const struct inquiry *inquiry, struct decision *decision, struct hm_problem *why)
{
	const struct proof *proof = &inquiry->request->proof;
	unsigned wanted = decision->profile->proof;
	bool is_wanted = !wanted;
	if (proof->jkt[0]) {
		decision->cnf = "jkt";
		decision->thumbprint = proof->jkt;
		is_wanted |= wanted & PROOF_DPOP;
	} else if (proof->x5t_s256[0] && (wanted & PROOF_MTLS)) {
		decision->cnf = "x5t#S256";
		decision->thumbprint = proof->x5t_s256;
		is_wanted = true;
	}
	if (is_wanted)
		return HM_OK;
	static const char *const accepted[] = {[PROOF_DPOP] = "a DPoP proof",
		[PROOF_MTLS] = "a client certificate of the agent's, and no DPoP proof",
		[PROOF_DPOP | PROOF_MTLS] = "a DPoP proof, or a client certificate of the agent's"};
	return hm_refuse(why, "key_proof_required", NULL, "at the token endpoint, %s", accepted[wanted]);
}

/* ---- what ---- */

static bool matches_any(char *const *patterns, unsigned count, const char *text, size_t length)
{
	for (unsigned i = 0; i < count; i++)
		if (pattern_matches(patterns[i], text, length))
			return true;
	return false;
}

static hm_result check_subject(const struct inquiry *inquiry, struct decision *decision, struct hm_problem *why)
{
	const char *subject = inquiry->request->subject;
	struct spiffe_id id;
	const char *rule;
	size_t length = strlen(subject);
	if (!spiffe_parse(subject, length, &id, &rule))
		return hm_refuse(why, "invalid_subject", "subject", "%s", rule);
	const char *trust_domain = decision->issuer->trust_domain;
	if (strlen(trust_domain) != id.trust_domain_length ||
		memcmp(trust_domain, id.trust_domain, id.trust_domain_length) != 0)
		return hm_refuse(why, "subject_not_allowed", "subject", "an agent of trust domain %s", trust_domain);
	if (!matches_any(decision->profile->subjects, decision->profile->subjects_count, subject, length))
		return hm_refuse(why, "subject_not_allowed", "subject", "a subject that the profile allows");
	return HM_OK;
}

static hm_result check_audiences(const struct inquiry *inquiry, struct decision *decision, struct hm_problem *why)
{
	const struct mint_request *request = inquiry->request;
	const struct config_profile *profile = decision->profile;
	for (unsigned i = 0; i < request->audience_count; i++)
		if (!matches_any(profile->audiences, profile->audiences_count, request->audiences[i],
			    strlen(request->audiences[i])))
			return hm_refuse(why, "audience_not_allowed", "audience", "audiences that the profile allows");
	return HM_OK;
}

static bool has_scope(char *const *scopes, unsigned count, const char *scope, size_t length)
{
	for (unsigned i = 0; i < count; i++)
		if (strlen(scopes[i]) == length && memcmp(scopes[i], scope, length) == 0)
			return true;
	return false;
}

static bool is_repeated(const char *all, const char *scope, size_t length)
{
	for (const char *other = all; other < scope;) {
		size_t other_length = strcspn(other, " ");
		if (other_length == length && memcmp(other, scope, length) == 0)
			return true;
		other += other_length + 1;
	}
	return false;
}

/* RFC 6749, section 3.3: scope-tokens with one space between them. */
static hm_result check_scope(const struct inquiry *inquiry, struct decision *decision, struct hm_problem *why)
{
	const struct config_profile *profile = decision->profile;
	const char *scopes = inquiry->request->scope;
	unsigned count = 0;
	for (const char *scope = scopes; scope;) {
		size_t length = strcspn(scope, " ");
		if (length == 0 || length > HM_SCOPE_MAX)
			return hm_refuse(why, "invalid_scope", "scope",
				"scopes of 1 to %d characters, one space between them", HM_SCOPE_MAX);
		if (++count > HM_SCOPES_MAX)
			return hm_refuse(why, "invalid_scope", "scope", "at most %d scopes", HM_SCOPES_MAX);
		if (is_repeated(scopes, scope, length))
			return hm_refuse(why, "invalid_scope", "scope", "each scope once");
		if (!has_scope(profile->scopes, profile->scopes_count, scope, length))
			return hm_refuse(why, "scope_not_allowed", "scope", "scopes that the profile lists");
		scope = scope[length] ? scope + length + 1 : NULL;
	}
	return HM_OK;
}

static hm_result choose_lifetime(const struct inquiry *inquiry, struct decision *decision, struct hm_problem *why)
{
	const struct mint_request *request = inquiry->request;
	const struct config_profile *profile = decision->profile;
	decision->backdate = profile->backdate ? *profile->backdate : HM_BACKDATE_DEFAULT;
	decision->lifetime = profile->lifetime.standard;
	if (!request->lifetime)
		return HM_OK;
	if (request->lifetime > profile->lifetime.maximum)
		return hm_refuse(why, "lifetime_not_allowed", "lifetime", "1 to %u seconds", profile->lifetime.maximum);
	decision->lifetime = (unsigned)request->lifetime;
	return HM_OK;
}

/* A caller that speaks for tenants says for whom in every request: whoever it leaves out would share with all others.
 */
static hm_result choose_tenant(const struct inquiry *inquiry, struct decision *decision, struct hm_problem *why)
{
	const struct mint_request *request = inquiry->request;
	char field[HM_NAME_MAX + 16];
	const char *name = decision->caller ? decision->caller->tenant : NULL;
	if (!decision->caller)
		return hm_broken(why, "a decision without a caller");
	if (!name)
		return HM_OK;
	snprintf(field, sizeof field, "context.%s", name);
	decision->tenant = json_string_value(json_object_get(request->context, name));
	if (!decision->tenant)
		return hm_refuse(why, "missing_member", field, "the tenant");
	if (!decision->tenant[0] || strlen(decision->tenant) > HM_TENANT_MAX)
		return hm_refuse(why, "invalid_context", field, "a tenant of 1 to %d bytes", HM_TENANT_MAX);
	return HM_OK;
}

static hm_result check_claims(const struct inquiry *inquiry, struct decision *decision, struct hm_problem *why)
{
	return claims_check(decision->profile, inquiry->request->claims, why);
}

/* ---- whose it is ---- */

static hm_result check_agent(const struct inquiry *inquiry, struct decision *decision, struct hm_problem *why)
{
	const struct agents *agents = inquiry->views->agents;
	const char *issuer = decision->issuer->name, *subject = inquiry->request->subject;
	decision->agent = agents_find(agents, issuer, subject);
	decision->accountable = decision->agent ? agents_accountable(agents, decision->agent)
						: agents_class_of(agents, issuer, subject);
	if (decision->agent && !decision->accountable)
		return hm_refuse(why, "unknown_agent", "subject", "an agent whose class is registered");
	hm_result result = agents_check(decision->agent, decision->accountable, inquiry->views->now, why);
	if (result != HM_OK)
		snprintf(why->field, sizeof why->field, "subject");
	return result;
}

/* Whether all the scopes of a request are among these; none listed: nothing is narrowed. */
static bool scopes_are_within(char *const *scopes, unsigned count, const char *asked)
{
	for (const char *scope = count ? asked : NULL; scope;) {
		size_t length = strcspn(scope, " ");
		if (!has_scope(scopes, count, scope, length))
			return false;
		scope = scope[length] ? scope + length + 1 : NULL;
	}
	return true;
}

static bool audiences_are_within(char *const *patterns, unsigned count, const struct mint_request *request)
{
	for (unsigned i = 0; count && i < request->audience_count; i++)
		if (!matches_any(patterns, count, request->audiences[i], strlen(request->audiences[i])))
			return false;
	return true;
}

static hm_result check_agent_limits(const struct inquiry *inquiry, struct decision *decision, struct hm_problem *why)
{
	const struct agent_limits *limits = decision->accountable->limits;
	const struct mint_request *request = inquiry->request;
	if (!limits)
		return HM_OK;
	if (limits->kinds && !(limits->kinds & 1u << decision->profile->kind))
		return hm_refuse(why, "agent_limit", "profile", "a kind of credential that the agent may have");
	if (!audiences_are_within(limits->audiences, limits->audiences_count, request))
		return hm_refuse(why, "agent_limit", "audience", "audiences that the agent may have");
	if (!scopes_are_within(limits->scopes, limits->scopes_count, request->scope))
		return hm_refuse(why, "agent_limit", "scope", "scopes that the agent may have");
	if (limits->lifetime && request->lifetime > limits->lifetime)
		return hm_refuse(why, "agent_limit", "lifetime", "1 to %u seconds", limits->lifetime);
	if (limits->lifetime && decision->lifetime > limits->lifetime)
		decision->lifetime = limits->lifetime;
	return HM_OK;
}

/* ---- what for ---- */

static hm_result find_task(
	const struct inquiry *inquiry, struct decision *decision, struct task_form *form, struct hm_problem *why)
{
	const struct mint_request *request = inquiry->request;
	const struct tasks *tasks = inquiry->views->tasks;
	if (request->task) {
		HM_TRY(tasks_read_one(tasks, inquiry->views->agents, decision->issuer->name, decision->caller->name,
			request->subject, request->task, request->delegation ? TASK_BY_EXCHANGE : TASK_BY_MINT,
			inquiry->views->now, form, &decision->task, why));
		decision->opens_task = !decision->task;
		return HM_OK;
	}
	decision->task = request->task_id ? tasks_find(tasks, request->task_id) : NULL;
	/* What belongs to another issuer or agent is as if it was not there. */
	if (decision->task && (strcmp(decision->task->issuer, decision->issuer->name) != 0 ||
				      strcmp(decision->task->agent, request->subject) != 0))
		decision->task = NULL;
	if (request->task_id)
		return tasks_check(decision->task, inquiry->views->now, why);
	if (decision->profile->require & REQUIRE_TASK)
		return hm_refuse(why, "missing_member", "task", "the task it is for");
	return HM_OK;
}

/* It ends with its task. */
static hm_result check_task(const struct inquiry *inquiry, struct decision *decision, struct hm_problem *why)
{
	const struct mint_request *request = inquiry->request;
	struct task_form form = {.parent = ""};
	HM_TRY(find_task(inquiry, decision, &form, why));
	const struct task *task = decision->opens_task ? &form.task : decision->task;
	if (!task)
		return HM_OK;
	HM_TRY(tasks_check(task, inquiry->views->now, why));
	if (!audiences_are_within(task->audiences, task->audiences_count, request))
		return hm_refuse(why, "task_limit", "audience", "audiences of the task");
	if (!scopes_are_within(task->scopes, task->scopes_count, request->scope))
		return hm_refuse(why, "task_limit", "scope", "scopes of the task");
	decision->purpose = task->purpose;
	decision->on_behalf_of = task->on_behalf_of;
	decision->task_ends = task->expires;
	int64_t left = task_expires(task) - inquiry->views->now;
	if (left < decision->lifetime)
		decision->lifetime = (unsigned)left;
	return HM_OK;
}

/* On behalf of another: no more than that one's token, for no longer, and while all between stand. */
static hm_result check_delegation(const struct inquiry *inquiry, struct decision *decision, struct hm_problem *why)
{
	const struct delegation *delegation = inquiry->request->delegation;
	const struct config_exchange *exchange = decision->profile->exchange;
	const struct agent_limits *limits = decision->accountable->limits;
	unsigned depth = exchange ? exchange->depth : EXCHANGE_DEPTH_DEFAULT;
	if (!delegation)
		return delegation_links(inquiry->views->agents, decision->task, inquiry->views->now, why);
	if (limits && limits->depth < depth)
		depth = limits->depth;
	HM_TRY(delegation_check(delegation, inquiry->request, exchange, depth, why));
	int64_t left = delegation->expires - inquiry->views->now;
	if (left < 1)
		return hm_refuse(why, "token_refused", "subject_token", "a token that is in force");
	if (left < decision->lifetime)
		decision->lifetime = (unsigned)left;
	return delegation_links(inquiry->views->agents, decision->task, inquiry->views->now, why);
}

static hm_result check_count(const struct inquiry *inquiry, struct decision *decision, struct hm_problem *why)
{
	unsigned most = decision->profile->max_per_task;
	decision->counts = most && !inquiry->granted->struck;
	if (decision->counts && decision->task && decision->task->struck >= most)
		return hm_refuse(why, "task_limit", "task", "at most %u credentials of a task", most);
	return HM_OK;
}

static hm_result check_approval(const struct inquiry *inquiry, struct decision *decision, struct hm_problem *why)
{
	const struct mint_request *request = inquiry->request;
	unsigned within = 0, wanted = approvals_wanted(decision->profile, request, &within);
	if (!wanted)
		return HM_OK;
	json_t *form = approvals_form(decision, request);
	hm_result result = form ? approvals_hash(form, decision->hash, why) : hm_broken(why, "no memory");
	json_decref(form);
	HM_TRY(result);
	if (!request->approval) {
		decision->approvers = wanted;
		decision->approve_within = within;
		return HM_OK;
	}
	decision->approval = approvals_find(inquiry->views->approvals, request->approval);
	if (inquiry->granted->approval && decision->approval)
		return HM_OK;
	return approvals_check(decision->approval, decision->issuer->name, decision->caller->name, decision->hash,
		inquiry->views->now, why);
}

/* ---- all of them ---- */

static const struct {
	const char *name;
	hm_result (*check)(const struct inquiry *inquiry, struct decision *decision, struct hm_problem *why);
} rules[] = {{"profile", choose_profile}, {"proof", check_proof}, {"subject", check_subject},
	{"audience", check_audiences}, {"scope", check_scope}, {"lifetime", choose_lifetime}, {"claims", check_claims},
	{"tenant", choose_tenant}, {"agent", check_agent}, {"agent limits", check_agent_limits}, {"task", check_task},
	{"delegation", check_delegation}, {"credentials of the task", check_count}, {"approval", check_approval}};

static hm_result apply(const struct inquiry *inquiry, struct decision *decision, policy_step *step, void *context,
	struct hm_problem *why)
{
	hm_result result = HM_OK;
	*decision = (struct decision){.now = inquiry->views->now, .decision_id = inquiry->granted->decision_id};
	for (size_t i = 0; i < sizeof rules / sizeof *rules && result == HM_OK; i++) {
		result = rules[i].check(inquiry, decision, why);
		if (step)
			step(context, rules[i].name, result, why);
	}
	return result;
}

hm_result policy_decide(const struct config *config, const struct policy_views *views,
	const struct policy_granted *granted, const struct gate_caller *caller, const struct mint_request *request,
	struct decision *decision, struct hm_problem *why)
{
	const struct inquiry inquiry = {config, views, granted, caller, request};
	return apply(&inquiry, decision, NULL, NULL, why);
}

hm_result policy_explain(const struct config *config, const struct policy_views *views,
	const struct gate_caller *caller, const struct mint_request *request, struct decision *decision,
	policy_step *step, void *context, struct hm_problem *why)
{
	static const struct policy_granted nothing;
	const struct inquiry inquiry = {config, views, &nothing, caller, request};
	return apply(&inquiry, decision, step, context, why);
}
