/* SPDX-License-Identifier: Apache-2.0 */
#include "api_inside.h"

#include "policy.h"
#include <stdio.h>
#include <string.h>

static void take(const struct config *config, unsigned issuer, const struct config_caller *known,
	struct api_actor *actor, char name[HM_NAME_MAX + 1])
{
	actor->known = known;
	snprintf(actor->name, sizeof actor->name, "%s", known->name);
	snprintf(name, HM_NAME_MAX + 1, "%s", config->issuers[issuer].name);
}

static hm_result find_at(const struct config *config, const char *named, struct api_actor *actor,
	char issuer[HM_NAME_MAX + 1], struct hm_problem *why)
{
	for (unsigned i = 0; i < config->issuers_count; i++) {
		if (strcmp(config->issuers[i].name, named) != 0)
			continue;
		const struct config_caller *known = policy_find_caller(config, i, &actor->caller);
		if (!known)
			break;
		take(config, i, known, actor, issuer);
		return HM_OK;
	}
	if (!policy_knows_caller(config, &actor->caller))
		return hm_refuse(why, "unknown_caller", NULL, "a caller that the configuration lists");
	return hm_refuse(why, "unknown_issuer", "issuer", "the name of an issuer that this is a caller of");
}

hm_result api_who_find(const struct config *config, const char *named, struct api_actor *actor,
	char issuer[HM_NAME_MAX + 1], struct hm_problem *why)
{
	unsigned found = 0;
	if (named)
		return find_at(config, named, actor, issuer, why);
	for (unsigned i = 0; i < config->issuers_count; i++) {
		const struct config_caller *known = policy_find_caller(config, i, &actor->caller);
		if (known && found++ == 0)
			take(config, i, known, actor, issuer);
	}
	if (!found)
		return hm_refuse(why, "unknown_caller", NULL, "a caller that the configuration lists");
	if (found > 1)
		return hm_refuse(why, "missing_member", "issuer", "the name of the issuer that this is about");
	return HM_OK;
}

/* "register or revoke" */
static void write_roles(unsigned roles, char *text, size_t size)
{
	static const char *const names[] = {"mint", "task", "audit", "register", "approve", "revoke", "operate"};
	size_t used = 0;
	text[0] = 0;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if ((roles >> i & 1) && used < size)
			used += (size_t)snprintf(text + used, size - used, "%s%s", used ? " or " : "", names[i]);
}

hm_result api_who_check(const struct api_route *route, const struct api_actor *actor, struct hm_problem *why)
{
	char names[128];
	bool is_proven = actor->way != WAY_GATE;
	unsigned wanted = is_proven ? route->proven : route->gate;
	if (actor->known->roles & wanted)
		return HM_OK;
	if (!is_proven && (actor->known->roles & route->proven))
		return hm_refuse(why, "proof_required", NULL, "over the control socket, or with an HTTP signature");
	if (is_proven && !route->proven)
		return hm_refuse(why, "not_found", NULL, "over HTTP without a signature");
	write_roles(route->gate | route->proven, names, sizeof names);
	return hm_refuse(why, "role_missing", NULL, "a caller with the role %s", names);
}
