/* SPDX-License-Identifier: Apache-2.0 */
#include "client_auth.h"

#include "foreign_jwt.h"
#include "own_token.h"
#include "pattern.h"
#include "policy.h"
#include "trust.h"
#include <string.h>

static hm_result refuse(struct hm_problem *why, const char *field, const char *wanted)
{
	return hm_refuse(why, "client_refused", field, "%s", wanted);
}

/* ---- by the connection ---- */

static hm_result by_connection(const struct service *service, unsigned issuer, const struct client_claim *claim,
	struct client *out, struct hm_problem *why)
{
	if (claim->connection->kind == CALLER_NONE)
		return refuse(why, NULL, "a client certificate, the Unix socket, or client_assertion");
	out->caller = policy_find_caller(service->config, issuer, claim->connection);
	return out->caller ? HM_OK : hm_refuse(why, "unknown_caller", NULL, "a caller of this issuer");
}

/* ---- by a key of the client's (RFC 7523, section 3) ---- */

static const struct config_caller *find_with_keys(const struct config *config, unsigned issuer, const char *name)
{
	for (unsigned i = 0; i < config->callers_count; i++) {
		const struct config_caller *caller = &config->callers[i];
		if (caller->issuer_index == issuer && caller->keys && strcmp(caller->name, name) == 0)
			return caller;
	}
	return NULL;
}

/* draft-ietf-oauth-rfc7523bis: the audience is the issuer, and nobody else: one that was made for another server, or
 * for an endpoint that another server claims to have, is not good here. */
static hm_result verify_own_key(const struct client_claim *claim, const struct config_issuer *issuer,
	const struct config_caller *caller, struct client *out, struct hm_problem *why)
{
	const char *audience = issuer->url;
	const struct jwt_rules rules = {.algorithms = ~0U,
		.typs = {"JWT", "client-authentication+jwt"},
		.typ_may_be_missing = true,
		.kid_may_be_missing = true, /* RFC 7523 has none */
		.issuer = caller->name,
		.audiences = &audience,
		.audience_count = 1,
		.one_audience = true,
		.now = claim->now,
		.leeway = HM_LEEWAY_MAX,
		.max_lifetime = HM_ASSERTION_SECONDS,
		.needs_jti = true,
		.needs_sub = true};
	FOREIGN_JWT_AUTO jwt = {.payload = NULL};
	struct hm_problem found;
	if (foreign_jwt_verify(claim->assertion, strlen(claim->assertion), &rules, caller->keys, &jwt, &found) != HM_OK)
		return refuse(why, "client_assertion", found.detail);
	if (strcmp(jwt.subject, caller->name) != 0)
		return refuse(why, "client_assertion", "sub as iss");
	return assertion_of(issuer->name, caller->name, jwt.id, jwt.expires + HM_LEEWAY_MAX, &out->assertion, why);
}

/* ---- by the word of somebody trusted: a CI job's token in place of a secret ---- */

/* Of several whose patterns match, client_id says which. */
static const struct config_caller *find_by_trust(
	const struct config *config, unsigned issuer, const struct trusted_token *token, const char *id)
{
	for (unsigned i = 0; i < config->callers_count; i++) {
		const struct config_caller *caller = &config->callers[i];
		if (caller->issuer_index == issuer && caller->trust && strcmp(caller->trust, token->by->name) == 0 &&
			client_is_named(caller, id) &&
			pattern_matches(caller->subject, token->subject, strlen(token->subject)))
			return caller;
	}
	return NULL;
}

static hm_result by_trust(const struct service *service, unsigned issuer, const struct client_claim *claim,
	struct client *out, struct hm_problem *why)
{
	TRUSTED_TOKEN_AUTO token = {.by = NULL};
	hm_result result = trust_verify(
		service->trusts, issuer, claim->assertion, strlen(claim->assertion), claim->now, &token, why);
	if (result == HM_UNAVAILABLE)
		return result;
	out->caller = result == HM_OK ? find_by_trust(service->config, issuer, &token, claim->id) : NULL;
	if (!out->caller || !token.jwt.id[0] || json_object_get(token.jwt.payload, "act") ||
		json_object_get(token.jwt.payload, "cnf"))
		return refuse(why, "client_assertion", "a token, with jti, about a caller of this issuer");
	return assertion_of(service->config->issuers[issuer].name, out->caller->name, token.jwt.id,
		token.jwt.expires + HM_LEEWAY_MAX, &out->assertion, why);
}

static hm_result by_own_key(const struct service *service, unsigned issuer, const struct client_claim *claim,
	struct client *out, struct hm_problem *why)
{
	struct unverified_jwt said;
	struct hm_problem found;
	if (foreign_jwt_peek_unverified(claim->assertion, strlen(claim->assertion), &said, &found) != HM_OK)
		return refuse(why, "client_assertion", found.detail);
	out->caller = find_with_keys(service->config, issuer, said.issuer);
	if (!out->caller)
		return by_trust(service, issuer, claim, out, why);
	return verify_own_key(claim, &service->config->issuers[issuer], out->caller, out, why);
}

/* ---- by a JWT-SVID ---- */

static const struct config_caller *find_by_uri(const struct config *config, unsigned issuer, const char *uri)
{
	for (unsigned i = 0; i < config->callers_count; i++) {
		const struct config_caller *caller = &config->callers[i];
		if (caller->issuer_index == issuer && caller->uri && strcmp(caller->uri, uri) == 0)
			return caller;
	}
	return NULL;
}

static hm_result by_svid(const struct service *service, unsigned issuer, const struct client_claim *claim,
	struct client *out, struct hm_problem *why)
{
	const struct config_issuer *here = &service->config->issuers[issuer];
	OWN_TOKEN_AUTO svid = {.payload = NULL};
	if (own_token_read(service, issuer, claim->assertion, claim->now, &svid, why) != HM_OK ||
		svid.use != KEY_USE_JWT_SVID || !own_token_is_for_only(&svid, here->url) ||
		own_token_stands(service, issuer, &svid, claim->now, why) != HM_OK)
		return refuse(why, "client_assertion", "a JWT-SVID of this issuer that is in force, for it alone");
	out->caller = find_by_uri(service->config, issuer, svid.subject);
	if (!out->caller)
		return refuse(why, "client_assertion", "sub: the uri of a caller");
	return assertion_of(here->name, out->caller->name, svid.id, svid.expires, &out->assertion, why);
}

bool client_svid_was_used(const struct service *service, unsigned issuer, const struct own_token *svid)
{
	struct assertion assertion;
	struct hm_problem why;
	const struct config_caller *caller = find_by_uri(service->config, issuer, svid->subject);
	if (!caller)
		return false;
	return assertion_of(service->config->issuers[issuer].name, caller->name, svid->id, svid->expires, &assertion,
		       &why) != HM_OK ||
	       assertions_was_used(service->assertions, &assertion);
}

/* ---- all ---- */

static const struct {
	const char *type;
	hm_result (*read)(const struct service *service, unsigned issuer, const struct client_claim *claim,
		struct client *out, struct hm_problem *why);
} ways[] = {{"urn:ietf:params:oauth:client-assertion-type:jwt-bearer", by_own_key},
	{"urn:ietf:params:oauth:client-assertion-type:jwt-spiffe", by_svid}};

/* RFC 7521, section 4.2: the two come together; and RFC 6749, section 2.3: no second way beside. */
static hm_result by_assertion(const struct service *service, unsigned issuer, const struct client_claim *claim,
	struct client *out, struct hm_problem *why)
{
	if (!claim->assertion || !claim->type)
		return refuse(why, "client_assertion", "client_assertion and client_assertion_type together");
	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
		if (strcmp(ways[i].type, claim->type) == 0)
			return ways[i].read(service, issuer, claim, out, why);
	return refuse(why, "client_assertion_type", "jwt-bearer or jwt-spiffe");
}

bool client_is_named(const struct config_caller *caller, const char *id)
{
	return !id || strcmp(id, caller->name) == 0 || (caller->uri && strcmp(id, caller->uri) == 0);
}

static hm_result find(const struct service *service, unsigned issuer, const struct client_claim *claim,
	struct client *out, struct hm_problem *why)
{
	if (claim->secret)
		return refuse(why, "client_secret", "a client certificate, the Unix socket, or client_assertion");
	if (claim->assertion || claim->type)
		return by_assertion(service, issuer, claim, out, why);
	return by_connection(service, issuer, claim, out, why);
}

hm_result client_auth(const struct service *service, unsigned issuer, const struct client_claim *claim,
	struct client *out, struct hm_problem *why)
{
	*out = (struct client){.caller = NULL};
	HM_TRY(find(service, issuer, claim, out, why));
	if (!client_is_named(out->caller, claim->id))
		return refuse(why, "client_id", "the client that is proven");
	if (out->assertion.key[0] && !claim->is_used_up && assertions_was_used(service->assertions, &out->assertion))
		return refuse(why, "client_assertion", "one that was not used before");
	return HM_OK;
}
