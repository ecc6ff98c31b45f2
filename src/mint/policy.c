/* SPDX-License-Identifier: Apache-2.0 */
#include "policy.h"

#include "claims.h"
#include "pattern.h"
#include "spiffe.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static hm_result choose_profile(const struct config *config, const struct gate_caller *caller,
	const struct mint_request *request, struct decision *decision, struct hm_problem *why)
{
	const struct config_profile *profile = find_profile(config, request->profile);
	decision->caller = profile ? policy_find_caller(config, profile->issuer_index, caller) : NULL;
	if (!decision->caller && !policy_knows_caller(config, caller))
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

/* ---- what ---- */

static bool matches_any(char *const *patterns, unsigned count, const char *text, size_t length)
{
	for (unsigned i = 0; i < count; i++)
		if (pattern_matches(patterns[i], text, length))
			return true;
	return false;
}

static hm_result check_subject(const struct decision *decision, const char *subject, struct hm_problem *why)
{
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

static hm_result check_audiences(
	const struct decision *decision, const struct mint_request *request, struct hm_problem *why)
{
	const struct config_profile *profile = decision->profile;
	for (unsigned i = 0; i < request->audience_count; i++)
		if (!matches_any(profile->audiences, profile->audiences_count, request->audiences[i],
			    strlen(request->audiences[i])))
			return hm_refuse(why, "audience_not_allowed", "audience", "audiences that the profile allows");
	return HM_OK;
}

static bool has_scope(const struct config_profile *profile, const char *scope, size_t length)
{
	for (unsigned i = 0; i < profile->scopes_count; i++)
		if (strlen(profile->scopes[i]) == length && memcmp(profile->scopes[i], scope, length) == 0)
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
static hm_result check_scope(const struct decision *decision, const char *scopes, struct hm_problem *why)
{
	unsigned count = 0;
	for (const char *scope = scopes;;) {
		size_t length = strcspn(scope, " ");
		if (length == 0 || length > HM_SCOPE_MAX)
			return hm_refuse(why, "invalid_scope", "scope",
				"scopes of 1 to %d characters, one space between them", HM_SCOPE_MAX);
		if (++count > HM_SCOPES_MAX)
			return hm_refuse(why, "invalid_scope", "scope", "at most %d scopes", HM_SCOPES_MAX);
		if (is_repeated(scopes, scope, length))
			return hm_refuse(why, "invalid_scope", "scope", "each scope once");
		if (!has_scope(decision->profile, scope, length))
			return hm_refuse(why, "scope_not_allowed", "scope", "scopes that the profile lists");
		if (!scope[length])
			return HM_OK;
		scope += length + 1;
	}
}

static hm_result choose_lifetime(struct decision *decision, const struct mint_request *request, struct hm_problem *why)
{
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
static hm_result choose_tenant(struct decision *decision, const struct mint_request *request, struct hm_problem *why)
{
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

hm_result policy_decide(const struct config *config, const struct gate_caller *caller,
	const struct mint_request *request, struct decision *decision, struct hm_problem *why)
{
	*decision = (struct decision){0};
	HM_TRY(choose_profile(config, caller, request, decision, why));
	HM_TRY(check_subject(decision, request->subject, why));
	HM_TRY(check_audiences(decision, request, why));
	if (request->scope)
		HM_TRY(check_scope(decision, request->scope, why));
	HM_TRY(choose_lifetime(decision, request, why));
	HM_TRY(claims_check(decision->profile, request->claims, why));
	return choose_tenant(decision, request, why);
}
