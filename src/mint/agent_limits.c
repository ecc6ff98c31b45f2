/* SPDX-License-Identifier: Apache-2.0 */
#include "agent_limits.h"

#include <stdio.h>
#include <string.h>

static hm_result wrong_type(struct hm_problem *why, const char *field, const char *wanted)
{
	return hm_refuse(why, "wrong_type", field, "%s", wanted);
}

/* What no audience, scope or kind has within: it is compared with theirs byte by byte. */
static bool is_word(const char *text, size_t most)
{
	size_t length = strlen(text);
	for (size_t i = 0; i < length; i++)
		if (text[i] <= ' ' || text[i] >= 0x7f) /* bytes of UTF-8 are negative or above */
			return false;
	return length > 0 && length <= most;
}

static bool lists(char *const *words, unsigned count, const char *word)
{
	for (unsigned i = 0; i < count; i++)
		if (strcmp(words[i], word) == 0)
			return true;
	return false;
}

/* An empty list would read as "none", and narrow nothing: it is refused. */
static hm_result take_words(json_t *value, const char *field, size_t length_most, char **words, unsigned most,
	unsigned *count, struct hm_problem *why)
{
	char item[64];
	size_t size = json_array_size(value);
	if (!json_is_array(value))
		return wrong_type(why, field, "an array of strings");
	if (size == 0 || size > most)
		return hm_refuse(why, "invalid_member", field, "1 to %u of them, or none of this member", most);
	for (size_t i = 0; i < size; i++) {
		json_t *word = json_array_get(value, i);
		snprintf(item, sizeof item, "%s[%zu]", field, i);
		if (!json_is_string(word))
			return wrong_type(why, item, "a string");
		if (!is_word(json_string_value(word), length_most))
			return hm_refuse(
				why, "invalid_member", item, "1 to %zu of printable ASCII without spaces", length_most);
		if (lists(words, *count, json_string_value(word)))
			return hm_refuse(why, "invalid_member", item, "each once");
		words[(*count)++] = (char *)json_string_value(word);
	}
	return HM_OK;
}

static hm_result take_kind(json_t *value, struct agent_limits *limits, struct hm_problem *why)
{
	for (unsigned kind = 0; json_is_string(value) && kind < CREDENTIAL_KINDS; kind++)
		if (strcmp(json_string_value(value), credential_kind_name(kind)) == 0) {
			limits->kinds |= 1U << kind;
			return HM_OK;
		}
	return hm_refuse(why, "invalid_member", "limits.kinds", "%s and %s", credential_kind_name(KIND_ACCESS_TOKEN),
		credential_kind_name(KIND_JWT_SVID));
}

static hm_result take_kinds(json_t *value, struct agent_limits *limits, struct hm_problem *why)
{
	if (!json_is_array(value))
		return wrong_type(why, "limits.kinds", "an array of strings");
	if (json_array_size(value) == 0)
		return hm_refuse(why, "invalid_member", "limits.kinds", "at least one, or none of this member");
	for (size_t i = 0; i < json_array_size(value); i++)
		HM_TRY(take_kind(json_array_get(value, i), limits, why));
	return HM_OK;
}

static hm_result take_number(
	json_t *value, const char *field, unsigned least, unsigned most, unsigned *out, struct hm_problem *why)
{
	if (!json_is_integer(value))
		return wrong_type(why, field, "an integer");
	if (json_integer_value(value) < least || json_integer_value(value) > most)
		return hm_refuse(why, "invalid_member", field, "%u to %u", least, most);
	*out = (unsigned)json_integer_value(value);
	return HM_OK;
}

static hm_result take_member(const char *name, json_t *value, struct limits_read *out, struct hm_problem *why)
{
	struct agent_limits *limits = &out->limits;
	char field[64];
	if (strcmp(name, "audiences") == 0)
		return take_words(value, "limits.audiences", HM_AUDIENCE_MAX, out->audiences, HM_PATTERNS_MAX,
			&limits->audiences_count, why);
	if (strcmp(name, "scopes") == 0)
		return take_words(
			value, "limits.scopes", HM_SCOPE_MAX, out->scopes, HM_SCOPES_MAX, &limits->scopes_count, why);
	if (strcmp(name, "kinds") == 0)
		return take_kinds(value, limits, why);
	if (strcmp(name, "lifetime") == 0)
		return take_number(value, "limits.lifetime", 1, HM_LIFETIME_MAX, &limits->lifetime, why);
	if (strcmp(name, "depth") == 0)
		return take_number(value, "limits.depth", 0, HM_DEPTH_MAX, &limits->depth, why);
	snprintf(field, sizeof field, "limits.%.48s", name);
	return hm_refuse(why, "unknown_member", field, "audiences, scopes, kinds, lifetime, depth");
}

hm_result agent_limits_read(json_t *json, struct limits_read *out, struct hm_problem *why)
{
	const char *name;
	json_t *value;
	out->limits = (struct agent_limits){.audiences = out->audiences, .scopes = out->scopes, .depth = HM_DEPTH_MAX};
	if (!json)
		return HM_OK;
	if (!json_is_object(json))
		return wrong_type(why, "limits", "an object");
	json_object_foreach(json, name, value) HM_TRY(take_member(name, value, out, why));
	return HM_OK;
}

bool agent_limits_narrow(const struct agent_limits *limits)
{
	return limits && (limits->audiences_count || limits->scopes_count || limits->kinds || limits->lifetime ||
				 limits->depth < HM_DEPTH_MAX);
}

static void write_words(struct hm_json *json, const char *name, char *const *words, unsigned count)
{
	if (!count)
		return;
	hm_json_key(json, name);
	hm_json_begin(json, '[');
	for (unsigned i = 0; i < count; i++)
		hm_json_string(json, words[i]);
	hm_json_end(json, ']');
}

static void write_kinds(struct hm_json *json, unsigned kinds)
{
	if (!kinds)
		return;
	hm_json_key(json, "kinds");
	hm_json_begin(json, '[');
	for (unsigned kind = 0; kind < CREDENTIAL_KINDS; kind++)
		if (kinds & 1U << kind)
			hm_json_string(json, credential_kind_name(kind));
	hm_json_end(json, ']');
}

void agent_limits_write(const struct agent_limits *limits, struct hm_json *json)
{
	hm_json_begin(json, '{');
	write_words(json, "audiences", limits->audiences, limits->audiences_count);
	if (limits->depth < HM_DEPTH_MAX)
		hm_json_member_number(json, "depth", limits->depth);
	write_kinds(json, limits->kinds);
	if (limits->lifetime)
		hm_json_member_number(json, "lifetime", limits->lifetime);
	write_words(json, "scopes", limits->scopes, limits->scopes_count);
	hm_json_end(json, '}');
}
