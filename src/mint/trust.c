/* SPDX-License-Identifier: Apache-2.0 */
#include "trust.h"

#include "spiffe.h"
#include "trust_inside.h"
#include <string.h>

static hm_result refuse(struct hm_problem *why, const char *rule)
{
	return hm_refuse(why, FOREIGN_JWT_REFUSED, NULL, "%s", rule);
}

/* ---- whose it is ---- */

static bool is_in(const char *subject, const char *trust_domain)
{
	struct spiffe_id id;
	const char *rule;
	return spiffe_parse(subject, strlen(subject), &id, &rule) && spiffe_is_in(&id, trust_domain);
}

/* As it claims itself, which its signature then has to prove: `iss` first, since a JWT-SVID need have none. */
static hm_result find(const struct config *config, unsigned issuer, const struct unverified_jwt *claims,
	unsigned *index, struct hm_problem *why)
{
	*index = config->trust_count;
	for (unsigned i = 0; i < config->trust_count; i++) {
		const struct config_trust *trust = &config->trust[i];
		bool is_provider = trust->provider && strcmp(trust->provider, claims->issuer) == 0;
		bool is_domain = trust->trust_domain && is_in(claims->subject, trust->trust_domain);
		if (trust->issuer_index != issuer || (!is_provider && !is_domain))
			continue;
		*index = i;
		if (is_provider)
			return HM_OK;
	}
	return *index < config->trust_count ? HM_OK : refuse(why, "it is of nobody whom the issuer trusts");
}

/* ---- the rules ---- */

/* An ID token: OpenID Connect Core 1.0, section 2. */
static struct jwt_rules provider_rules(const struct config_trust *trust)
{
	return (struct jwt_rules){.typs = {"JWT"},
		.typ_may_be_missing = true,
		.issuer = trust->provider,
		.needs_iat = true,
		.needs_sub = true};
}

/* JWT-SVID, sections 2 and 3. Who has one that is also for others can be any of them. */
static struct jwt_rules domain_rules(void)
{
	return (struct jwt_rules){.typs = {"JWT", "JOSE"},
		.typ_may_be_missing = true,
		.header_is_bare = true,
		.any_issuer = true,
		.one_audience = true,
		.needs_sub = true};
}

static struct jwt_rules rules_of(const struct config *config, const struct config_trust *trust, int64_t now)
{
	const struct config_issuer *issuer = &config->issuers[trust->issuer_index];
	struct jwt_rules rules = trust->provider ? provider_rules(trust) : domain_rules();
	rules.algorithms = trust->algorithms;
	rules.audiences = (const char *const *)trust->audiences;
	rules.audience_count = trust->audiences_count;
	if (!trust->audiences_count) {
		rules.audiences = (const char *const *)&issuer->url;
		rules.audience_count = 1;
	}
	rules.now = now;
	rules.leeway = HM_LEEWAY_MAX;
	rules.max_lifetime = trust->max_lifetime;
	return rules;
}

/* ---- whom it is about ---- */

/* These go to logs, rows and the ledger. */
static bool is_plain(const json_t *value)
{
	const char *text = json_string_value(value);
	if (!text || !*text || strlen(text) > HM_FOREIGN_SUBJECT_MAX)
		return false;
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return false;
	return true;
}

static hm_result read_groups(struct trusted_token *token, struct hm_problem *why)
{
	const json_t *group;
	size_t i;
	if (!token->by->groups)
		return HM_OK;
	token->groups = json_object_get(token->jwt.payload, token->by->groups);
	if (token->groups && !json_is_array(token->groups))
		return refuse(why, "the claim for groups is no array");
	json_array_foreach(token->groups, i, group)
	{
		if (!is_plain(group))
			return refuse(why, "a group is no string of 1 to 255 plain bytes");
	}
	return HM_OK;
}

static hm_result read_person(struct trusted_token *token, struct hm_problem *why)
{
	const json_t *payload = token->jwt.payload, *subject = json_object_get(payload, token->by->subject);
	/* A security event about somebody, such as that he logged out, is no word that he is there: RFC 8417. */
	if (json_object_get(payload, "events"))
		return refuse(why, "it is a security event");
	if (!is_plain(subject))
		return refuse(why, "the claim for the subject is no string of 1 to 255 plain bytes");
	token->subject = json_string_value(subject);
	return read_groups(token, why);
}

static hm_result read_subject(struct trusted_token *token, struct hm_problem *why)
{
	if (token->by->provider)
		return read_person(token, why);
	token->subject = token->jwt.subject;
	return is_in(token->subject, token->by->trust_domain) ? HM_OK : refuse(why, "sub is not in the trust domain");
}

/* ---- all ---- */

hm_result trust_verify(struct trusts *trusts, unsigned issuer, const char *text, size_t length, int64_t now,
	struct trusted_token *out, struct hm_problem *why)
{
	const struct config *config = trusts_config(trusts);
	const struct key_set *keys = NULL;
	struct unverified_jwt claims;
	unsigned index = 0;
	*out = (struct trusted_token){.jwt = {.subject = "", .issuer = "", .id = ""}, .subject = ""};
	HM_TRY(foreign_jwt_peek_unverified(text, length, &claims, why));
	HM_TRY(find(config, issuer, &claims, &index, why));
	HM_TRY(trusts_keys(trusts, index, claims.kid, &keys, why));
	out->by = &config->trust[index];
	struct jwt_rules rules = rules_of(config, out->by, now);
	HM_TRY(foreign_jwt_verify(text, length, &rules, keys, &out->jwt, why));
	hm_result result = read_subject(out, why);
	if (result != HM_OK)
		trusted_token_free(out);
	return result;
}

void trusted_token_free(struct trusted_token *token)
{
	foreign_jwt_free(&token->jwt);
	*token = (struct trusted_token){.jwt = token->jwt, .subject = ""};
}
