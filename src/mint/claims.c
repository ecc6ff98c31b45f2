/* SPDX-License-Identifier: Apache-2.0 */
#include "claims.h"

#include "pattern.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static hm_result HM_PRINTF(4, 5)
	refuse(struct hm_problem *why, const char *code, const char *name, const char *format, ...)
{
	char field[sizeof why->field + 8]; /* longer, so that hm_refuse cuts it, between characters */
	char text[sizeof why->detail];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	snprintf(field, sizeof field, "claims.%s", name);
	return hm_refuse(why, code, field, "%s", text);
}

static const struct config_claim *find(const struct config_profile *profile, const char *name)
{
	for (unsigned i = 0; i < profile->claims_count; i++)
		if (strcmp(profile->claims[i].name, name) == 0)
			return &profile->claims[i];
	return NULL;
}

static bool is_listed(const struct config_claim *claim, const char *text)
{
	for (unsigned i = 0; i < claim->enumeration_count; i++)
		if (strcmp(claim->enumeration[i], text) == 0)
			return true;
	return claim->enumeration_count == 0;
}

static hm_result check_string(const struct config_claim *claim, json_t *value, struct hm_problem *why)
{
	const char *text = json_string_value(value);
	size_t length = json_string_length(value);
	if (length > claim->size)
		return refuse(why, "invalid_claim", claim->name, "at most %u bytes", claim->size);
	if (claim->pattern && !pattern_matches(claim->pattern, text, length))
		return refuse(why, "invalid_claim", claim->name, "text matching %s", claim->pattern);
	if (!is_listed(claim, text))
		return refuse(
			why, "invalid_claim", claim->name, "one of the profile's %u values", claim->enumeration_count);
	return HM_OK;
}

/* RFC 7493, section 2.2: a verifier may read numbers as doubles, and beyond this would see another one. */
static bool is_exact_integer(const json_t *value)
{
	return json_is_integer(value) && json_integer_value(value) >= -HM_INTEGER_MAX &&
	       json_integer_value(value) <= HM_INTEGER_MAX;
}

static hm_result check_one(
	const struct config_profile *profile, const char *name, json_t *value, struct hm_problem *why)
{
	const struct config_claim *claim = find(profile, name);
	if (!claim)
		return refuse(why, "claim_not_allowed", name, "only claims that the profile lists");
	if (claim->constant)
		return refuse(why, "claim_not_allowed", name, "nothing: the profile sets this claim itself");
	switch (claim->type) {
	case CLAIM_STRING:
		return json_is_string(value) ? check_string(claim, value, why)
					     : refuse(why, "invalid_claim", name, "a string");
	case CLAIM_INTEGER:
		return is_exact_integer(value)
			       ? HM_OK
			       : refuse(why, "invalid_claim", name, "an integer from -(2^53)+1 to 2^53-1");
	case CLAIM_BOOLEAN:
		return json_is_boolean(value) ? HM_OK : refuse(why, "invalid_claim", name, "true or false");
	}
	return hm_broken(why, "claim type %d", (int)claim->type);
}

hm_result claims_check(const struct config_profile *profile, json_t *claims, struct hm_problem *why)
{
	const char *name;
	json_t *value;

	json_object_foreach(claims, name, value) HM_TRY(check_one(profile, name, value, why));
	if (claims && json_dumpb(claims, NULL, 0, JSON_COMPACT) > HM_CLAIMS_BYTES_MAX)
		return hm_refuse(why, "claims_too_large", "claims", "at most %d bytes in all", HM_CLAIMS_BYTES_MAX);
	for (unsigned i = 0; i < profile->claims_count; i++)
		if (profile->claims[i].required && !json_object_get(claims, profile->claims[i].name))
			return refuse(why, "missing_claim", profile->claims[i].name, "the profile requires it");
	return HM_OK;
}

static void write_constant(const struct config_claim *claim, struct hm_json *json)
{
	if (claim->type == CLAIM_STRING)
		hm_json_string(json, claim->constant);
	else if (claim->type == CLAIM_INTEGER)
		hm_json_number(json, strtoll(claim->constant, NULL, 10));
	else
		hm_json_bool(json, strcmp(claim->constant, "true") == 0);
}

static void write_value(json_t *value, struct hm_json *json)
{
	if (json_is_string(value))
		hm_json_text(json, json_string_value(value), json_string_length(value));
	else if (json_is_integer(value))
		hm_json_number(json, json_integer_value(value));
	else
		hm_json_bool(json, json_is_true(value));
}

void claims_write(const struct config_profile *profile, json_t *claims, struct hm_json *json)
{
	for (unsigned i = 0; i < profile->claims_count; i++) {
		const struct config_claim *claim = &profile->claims[i];
		json_t *value = json_object_get(claims, claim->name);
		if (!claim->constant && !value)
			continue;
		hm_json_key(json, claim->name);
		if (claim->constant)
			write_constant(claim, json);
		else
			write_value(value, json);
	}
}
