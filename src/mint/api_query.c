/* SPDX-License-Identifier: Apache-2.0 */
#include "api_query.h"

#include <stdlib.h>
#include <string.h>

static hm_result read_number(
	const struct api_call *call, const char *name, unsigned most, unsigned *number, struct hm_problem *why)
{
	char *end;
	const char *text = json_string_value(json_object_get(call->query, name));
	if (!text)
		return HM_OK;
	unsigned long value = strtoul(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end || value < 1 || value > most)
		return hm_refuse(why, "invalid_member", name, "1 to %u", most);
	*number = (unsigned)value;
	return HM_OK;
}

hm_result api_query_page(
	const struct api_call *call, const char *more, const char **after, unsigned *limit, struct hm_problem *why)
{
	const char *name;
	json_t *value;
	json_object_foreach(call->query, name, value) if (strcmp(name, "issuer") != 0 && strcmp(name, "after") != 0 &&
							  strcmp(name, "limit") != 0 &&
							  (!more || strcmp(name, more) != 0)) return hm_refuse(why,
		"unknown_member", name, "issuer, after, limit%s%s", more ? ", " : "", more ? more : "");
	*limit = API_LIST_STANDARD;
	*after = json_string_value(json_object_get(call->query, "after"));
	return read_number(call, "limit", HM_LIST_MAX, limit, why);
}

hm_result api_query_wait(const struct api_call *call, unsigned *seconds, struct hm_problem *why)
{
	*seconds = 0;
	return read_number(call, "wait", HM_WAIT_SECONDS_MAX, seconds, why);
}

static bool is_text(const json_t *value, size_t most)
{
	const char *text = json_string_value(value);
	size_t length = json_string_length(value);
	for (size_t i = 0; i < length; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			return false;
	return length >= 1 && length <= most;
}

hm_result api_body_text(
	const struct api_call *call, const char *name, size_t most, const char **text, struct hm_problem *why)
{
	const json_t *value = json_object_get(call->body, name);
	*text = NULL;
	if (!value)
		return HM_OK;
	if (!json_is_string(value))
		return hm_refuse(why, "wrong_type", name, "a string");
	if (!is_text(value, most))
		return hm_refuse(why, "invalid_member", name, "1 to %zu bytes without control characters", most);
	*text = json_string_value(value);
	return HM_OK;
}

hm_result api_body_reason(const struct api_call *call, const char **reason, struct hm_problem *why)
{
	const char *name;
	json_t *value;
	json_object_foreach(call->body, name,
		value) if (strcmp(name, "issuer") != 0 && strcmp(name, "reason") != 0) return hm_refuse(why,
		"unknown_member", name, "issuer, reason");
	return api_body_text(call, "reason", HM_REASON_MAX, reason, why);
}
