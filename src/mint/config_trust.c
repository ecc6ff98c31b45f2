/* SPDX-License-Identifier: Apache-2.0 */
#include "config_trust.h"

#include "spiffe.h"
#include <stdlib.h>
#include <string.h>

enum { ALL_ALGORITHMS = (1 << KEY_ALGORITHMS) - 1 };

/* OpenID Connect Core 1.0, section 2, and what a request line can carry; a slash at the end counts. */
static bool is_https(const char *url, const char *never)
{
	static const char scheme[] = "https://";
	const char *host = url + sizeof scheme - 1;
	if (strlen(url) > HM_URL_MAX || strncmp(url, scheme, sizeof scheme - 1) != 0 || !*host || *host == '/')
		return false;
	for (const char *c = host; *c; c++)
		if (*c <= ' ' || *c >= 0x7f || strchr(never, *c))
			return false;
	return true;
}

static bool same_text(const char *a, const char *b)
{
	return a && b && strcmp(a, b) == 0;
}

/* One of the two, and not ourselves: what we sign is verified as ours, with all that was said of it since. */
static hm_result check_who(const struct config *config, const struct config_trust *trust, const struct place *place)
{
	const struct config_issuer *issuer = &config->issuers[trust->issuer_index];
	if (!trust->provider == !trust->trust_domain)
		return complain(place, NULL, "one of provider and trust_domain: whose word is taken");
	if (trust->provider && !is_https(trust->provider, "?#@\"\\"))
		return complain(place, "provider", "'%.64s': iss of its tokens, an https URL of at most %d bytes",
			trust->provider, HM_URL_MAX);
	if (trust->trust_domain && !spiffe_is_trust_domain(trust->trust_domain, strlen(trust->trust_domain)))
		return complain(place, "trust_domain", "'%.64s' is not a SPIFFE trust domain", trust->trust_domain);
	if (same_text(trust->provider, issuer->url) || same_text(trust->trust_domain, issuer->trust_domain))
		return complain(place, trust->provider ? "provider" : "trust_domain",
			"is issuer '%.64s' itself, whose credentials are known by its own keys", issuer->name);
	return HM_OK;
}

static hm_result compare(const struct config_trust *trust, const struct config_trust *other, const struct place *place)
{
	if (trust->issuer_index != other->issuer_index)
		return HM_OK;
	if (strcmp(trust->name, other->name) == 0)
		return complain(place, "name", "'%.64s' is taken already", trust->name);
	if (same_text(trust->provider, other->provider) || same_text(trust->trust_domain, other->trust_domain))
		return complain(place, trust->provider ? "provider" : "trust_domain", "is that of '%.64s' already",
			other->name);
	return HM_OK;
}

static hm_result check_keys(struct config_trust *trust, const struct place *place)
{
	if (!trust->keys == !trust->keys_url)
		return complain(place, NULL, "one of keys and keys_url: where its keys are");
	if (trust->keys)
		HM_TRY(make_absolute(place, "keys", &trust->keys));
	if (trust->keys_url && !is_https(trust->keys_url, "#@\"\\"))
		return complain(place, "keys_url",
			"'%.64s': an https URL of at most %d bytes, without user and "
			"fragment",
			trust->keys_url, HM_URL_MAX);
	if (trust->ca && !trust->keys_url)
		return complain(place, "ca", "needs keys_url");
	return trust->ca ? make_absolute(place, "ca", &trust->ca) : HM_OK;
}

static bool is_claim(const char *name)
{
	return strlen(name) <= HM_NAME_MAX;
}

/* Whom a token is about. In a trust domain that is a SPIFFE ID, and SPIFFE says nothing of groups. */
static hm_result check_claims(struct config_trust *trust, const struct place *place)
{
	if (trust->trust_domain && (trust->subject || trust->groups))
		return complain(place, trust->subject ? "subject" : "groups", "needs provider");
	if (!trust->subject && !(trust->subject = strdup("sub")))
		return hm_broken(place->why, "no memory");
	if (!is_claim(trust->subject) || (trust->groups && !is_claim(trust->groups)))
		return complain(place, is_claim(trust->subject) ? "groups" : "subject",
			"a claim's name, of at most %d bytes", HM_NAME_MAX);
	return HM_OK;
}

static hm_result check_bounds(struct config_trust *trust, const struct place *place)
{
	for (unsigned i = 0; i < trust->audiences_count; i++)
		if (strlen(trust->audiences[i]) > HM_AUDIENCE_MAX)
			return complain(place, "audiences", "each of at most %d bytes", HM_AUDIENCE_MAX);
	if (!trust->algorithms)
		trust->algorithms = ALL_ALGORITHMS;
	trust->max_lifetime = HM_TRUST_LIFETIME_SECONDS;
	if (trust->written_max_lifetime && (!parse_period(trust->written_max_lifetime, &trust->max_lifetime) ||
						   trust->max_lifetime < 1 || trust->max_lifetime > HM_LIFETIME_MAX))
		return complain(place, "max_lifetime", "a period of 1s to 24h");
	return HM_OK;
}

hm_result config_check_trust(struct config *config, unsigned index, const struct place *place)
{
	struct config_trust *trust = &config->trust[index];
	HM_TRY(check_name(place, trust->name));
	if (strcmp(trust->name, "spiffe") == 0) /* whom it names, NAME:SUBJECT, must not read as an agent of ours */
		return complain(place, "name", "another than spiffe");
	HM_TRY(find_issuer(config, place, trust->issuer, &trust->issuer_index));
	HM_TRY(check_who(config, trust, place));
	HM_TRY(check_keys(trust, place));
	HM_TRY(check_claims(trust, place));
	HM_TRY(check_bounds(trust, place));
	for (unsigned i = 0; i < index; i++)
		HM_TRY(compare(trust, &config->trust[i], place));
	return HM_OK;
}
