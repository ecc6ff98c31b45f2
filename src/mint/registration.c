/* SPDX-License-Identifier: Apache-2.0 */
#include "registration.h"

#include "agent_row.h"
#include "spiffe.h"
#include <string.h>

/* ---- members of several requests ---- */

/* These texts are shown on terminals. */
static bool has_control(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			return true;
	return false;
}

static hm_result take_text(
	json_t *value, const char *name, size_t least, size_t most, const char **out, struct hm_problem *why)
{
	if (!json_is_string(value))
		return hm_refuse(why, "wrong_type", name, "a string");
	size_t length = json_string_length(value);
	*out = json_string_value(value);
	if (length < least || length > most || has_control(*out))
		return hm_refuse(
			why, "invalid_member", name, "%zu to %zu bytes without control characters", least, most);
	return HM_OK;
}

static hm_result take_review(json_t *value, int64_t *out, struct hm_problem *why)
{
	if (!json_is_integer(value))
		return hm_refuse(why, "wrong_type", "review", "an integer: seconds since 1970");
	*out = json_integer_value(value);
	if (*out < 1 || *out > HM_INTEGER_MAX)
		return hm_refuse(why, "invalid_member", "review", "seconds since 1970");
	return HM_OK;
}

static hm_result missing(const char *name, const char *wanted, struct hm_problem *why)
{
	return hm_refuse(why, "missing_member", name, "%s", wanted);
}

/* ---- an agent ---- */

static hm_result take_class(json_t *value, bool *out, struct hm_problem *why)
{
	if (!json_is_boolean(value))
		return hm_refuse(why, "wrong_type", "class", "true or false");
	*out = json_boolean_value(value);
	return HM_OK;
}

static hm_result take_agent_member(const char *name, json_t *value, struct registration *out, struct hm_problem *why)
{
	struct agent *agent = &out->agent;
	if (strcmp(name, "spiffe_id") == 0)
		return take_text(value, name, 1, HM_SPIFFE_ID_MAX, &agent->spiffe_id, why);
	if (strcmp(name, "class") == 0)
		return take_class(value, &agent->is_class, why);
	if (strcmp(name, "owner") == 0)
		return take_text(value, name, 1, HM_OWNER_MAX, &agent->owner, why);
	if (strcmp(name, "contact") == 0)
		return take_text(value, name, 0, HM_OWNER_MAX, &agent->contact, why);
	if (strcmp(name, "purpose") == 0)
		return take_text(value, name, 1, HM_PURPOSE_MAX, &agent->purpose, why);
	if (strcmp(name, "review") == 0)
		return take_review(value, &agent->review, why);
	if (strcmp(name, "limits") == 0)
		return agent_limits_read(value, &out->limits, why);
	return hm_refuse(why, "unknown_member", name, "spiffe_id, class, owner, contact, purpose, review, limits");
}

static hm_result check_pattern(const char *pattern, const char *trust_domain, struct hm_problem *why)
{
	if (!spiffe_is_pattern(pattern, trust_domain) || !strchr(pattern, '*'))
		return hm_refuse(why, "invalid_member", "spiffe_id",
			"of a class a pattern with a '*', that matches SPIFFE IDs beginning spiffe://%s/",
			trust_domain);
	return HM_OK;
}

static hm_result check_spiffe_id(const char *text, const char *trust_domain, struct hm_problem *why)
{
	struct spiffe_id id;
	const char *rule;
	if (!spiffe_parse(text, strlen(text), &id, &rule))
		return hm_refuse(why, "invalid_member", "spiffe_id", "%s", rule);
	if (!spiffe_is_in(&id, trust_domain))
		return hm_refuse(why, "invalid_member", "spiffe_id", "an agent of trust domain %s", trust_domain);
	return HM_OK;
}

/* Limits each of which is as large as may be would be too much together; nothing else is long. */
static hm_result check_size(const struct agent *agent, struct hm_problem *why)
{
	char body[HM_STORE_BODY_MAX + 1];
	if (agent->limits && agent_row_write(agent, body) == 0)
		return hm_refuse(why, "invalid_member", "limits", "less: an agent has at most %d bytes, as JSON",
			HM_STORE_BODY_MAX);
	return HM_OK;
}

hm_result registration_read(
	json_t *members, const char *issuer, const char *trust_domain, struct registration *out, struct hm_problem *why)
{
	const char *name;
	json_t *value;
	struct agent *agent = &out->agent;

	if (!json_is_object(members))
		return hm_refuse(why, "wrong_type", NULL, "an agent, as an object");
	*agent = (struct agent){.issuer = issuer, .contact = ""};
	HM_TRY(agent_limits_read(NULL, &out->limits, why));
	json_object_foreach(members, name, value) HM_TRY(take_agent_member(name, value, out, why));
	if (!agent->spiffe_id)
		return missing("spiffe_id", "the agent's SPIFFE ID, or the pattern of a class", why);
	if (!agent->owner)
		return missing("owner", "who answers for it", why);
	if (!agent->purpose)
		return missing("purpose", "what it is for", why);
	if (!agent->review)
		return missing("review", "when it is to be reviewed, in seconds since 1970", why);
	HM_TRY(agent->is_class ? check_pattern(agent->spiffe_id, trust_domain, why)
			       : check_spiffe_id(agent->spiffe_id, trust_domain, why));
	if (agent_limits_narrow(&out->limits.limits))
		agent->limits = &out->limits.limits;
	return check_size(agent, why);
}

/* ---- a transfer ---- */

static hm_result take_transfer_member(const char *name, json_t *value, struct transfer *out, struct hm_problem *why)
{
	if (strcmp(name, "owner") == 0)
		return take_text(value, name, 1, HM_OWNER_MAX, &out->owner, why);
	if (strcmp(name, "contact") == 0)
		return take_text(value, name, 0, HM_OWNER_MAX, &out->contact, why);
	if (strcmp(name, "review") == 0)
		return take_review(value, &out->review, why);
	return hm_refuse(why, "unknown_member", name, "owner, contact, review");
}

hm_result transfer_read(json_t *members, struct transfer *out, struct hm_problem *why)
{
	const char *name;
	json_t *value;
	*out = (struct transfer){0};
	json_object_foreach(members, name, value) HM_TRY(take_transfer_member(name, value, out, why));
	return out->owner ? HM_OK : missing("owner", "who answers for it from now on", why);
}
