/* SPDX-License-Identifier: Apache-2.0 */
#include "api_inside.h"

#include "form.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- pairs ---- */

static hm_result take_pair(
	json_t *pairs, struct hm_bytes name, struct hm_bytes value, char *room, struct hm_problem *why)
{
	char *text = room + name.length + 1;
	form_decode(name, room);
	size_t length = form_decode(value, text);
	if (json_object_get(pairs, room))
		return hm_refuse(why, "duplicate_member", room, "each name once");
	if (json_object_set_new(pairs, room, json_stringn(text, length)) != 0)
		return hm_refuse(why, "invalid_utf8", NULL, "names and values in UTF-8");
	return HM_OK;
}

static hm_result read_pairs(struct hm_bytes text, json_t *pairs, struct hm_problem *why)
{
	size_t at = 0;
	struct hm_bytes name, value;
	char *room = malloc(text.length + 2);
	hm_result result = pairs && room ? HM_OK : hm_broken(why, "no memory");
	while (result == HM_OK && form_next(text, &at, &name, &value))
		result = take_pair(pairs, name, value, room, why);
	free(room);
	return result;
}

static bool takes_parameter(const char *parameters, const char *name)
{
	size_t length = strlen(name);
	for (const char *at = parameters; (at = strstr(at, name)); at++)
		if (length && (at == parameters || at[-1] == ' ') && at[length] == ' ')
			return true;
	return strcmp(name, "issuer") == 0;
}

hm_result api_words_query(const struct api_route *route, const char *query, json_t **out, struct hm_problem *why)
{
	const char *name;
	json_t *value;
	struct hm_bytes text = {(const uint8_t *)query, strlen(query)};
	*out = json_object();
	if (!form_is_sound(query, text.length))
		return hm_refuse(why, "bad_request", NULL, "a query of NAME=VALUE pairs, percent-encoded");
	HM_TRY(read_pairs(text, *out, why));
	json_object_foreach(*out, name, value)
	{
		if (!takes_parameter(route->parameters, name))
			return hm_refuse(why, "unknown_member", name, "%sissuer", route->parameters);
	}
	return HM_OK;
}

/* ---- bodies ---- */

static hm_result read_json(const char *text, size_t length, json_t **out, struct hm_problem *why)
{
	json_error_t error;
	*out = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
	if (!json_is_object(*out))
		return hm_refuse(why, "malformed_json", NULL, "one JSON object, no member twice");
	return HM_OK;
}

hm_result api_words_body(const struct api_route *route, struct hm_bytes body, json_t **out, struct hm_problem *why)
{
	const char *text = (const char *)body.data;
	*out = NULL;
	if (!body.length)
		return HM_OK;
	if (!route->is_form)
		return read_json(text, body.length, out, why);
	*out = json_object();
	if (!form_is_sound(text, body.length))
		return hm_refuse(why, "malformed_form", NULL, "NAME=VALUE pairs, percent-encoded");
	return read_pairs(body, *out, why);
}

hm_result api_words_issuer(
	const json_t *query, json_t *body, char issuer[HM_NAME_MAX + 1], bool *named, struct hm_problem *why)
{
	const json_t *member = json_object_get(body, "issuer");
	if (!member)
		member = json_object_get(query, "issuer");
	*named = member != NULL;
	if (!member)
		return HM_OK;
	if (!json_is_string(member))
		return hm_refuse(why, "wrong_type", "issuer", "the name of an issuer");
	snprintf(issuer, HM_NAME_MAX + 1, "%s",
		json_string_length(member) <= HM_NAME_MAX ? json_string_value(member) : "");
	(void)json_object_del(body, "issuer"); /* who reads the rest need not know it */
	return HM_OK;
}
