/* SPDX-License-Identifier: Apache-2.0 */
#include "mint_request.h"

#include <string.h>

static hm_result wrong_type(struct hm_problem *why, const char *member, const char *wanted)
{
	return hm_refuse(why, "wrong_type", member, "%s", wanted);
}

static hm_result take_string(json_t *value, const char *member, const char **out, struct hm_problem *why)
{
	if (!json_is_string(value))
		return wrong_type(why, member, "a string");
	*out = json_string_value(value);
	return HM_OK;
}

static hm_result take_one_audience(json_t *value, struct mint_request *request, struct hm_problem *why)
{
	if (!json_is_string(value))
		return wrong_type(why, "audience", "a string, or an array of strings");
	const char *text = json_string_value(value);
	size_t length = json_string_length(value);
	if (length == 0 || length > HM_AUDIENCE_MAX)
		return hm_refuse(why, "invalid_audience", "audience", "1 to %d bytes", HM_AUDIENCE_MAX);
	for (size_t i = 0; i < length; i++)
		if (text[i] <= ' ' || text[i] >= 0x7f) /* bytes of UTF-8 are negative or above */
			return hm_refuse(why, "invalid_audience", "audience", "printable ASCII without spaces");
	for (unsigned i = 0; i < request->audience_count; i++)
		if (strcmp(request->audiences[i], text) == 0)
			return hm_refuse(why, "invalid_audience", "audience", "each audience once");
	request->audiences[request->audience_count++] = text;
	return HM_OK;
}

static hm_result take_audience(json_t *value, struct mint_request *request, struct hm_problem *why)
{
	if (!json_is_array(value))
		return take_one_audience(value, request, why);
	size_t count = json_array_size(value);
	if (count == 0 || count > HM_AUDIENCES_MAX)
		return hm_refuse(why, "invalid_audience", "audience", "1 to %d audiences", HM_AUDIENCES_MAX);
	for (size_t i = 0; i < count; i++)
		HM_TRY(take_one_audience(json_array_get(value, i), request, why));
	return HM_OK;
}

static hm_result take_lifetime(json_t *value, struct mint_request *request, struct hm_problem *why)
{
	if (!json_is_integer(value))
		return wrong_type(why, "lifetime", "an integer: seconds");
	request->lifetime = json_integer_value(value);
	if (request->lifetime < 1)
		return hm_refuse(why, "lifetime_not_allowed", "lifetime", "at least 1 second");
	return HM_OK;
}

static hm_result take_context(json_t *value, struct mint_request *request, struct hm_problem *why)
{
	const char *name;
	json_t *member;
	size_t bytes = 0;
	if (!json_is_object(value))
		return wrong_type(why, "context", "an object of strings");
	if (json_object_size(value) > HM_CONTEXT_MAX)
		return hm_refuse(why, "invalid_context", "context", "at most %d members", HM_CONTEXT_MAX);
	json_object_foreach(value, name, member)
	{
		if (!json_is_string(member))
			return wrong_type(why, "context", "an object of strings");
		bytes += strlen(name) + json_string_length(member);
	}
	if (bytes > HM_CONTEXT_BYTES_MAX)
		return hm_refuse(why, "invalid_context", "context", "at most %d bytes in all", HM_CONTEXT_BYTES_MAX);
	request->context = value;
	return HM_OK;
}

/* The last part of the path under /v1/mint/ that the request would have alone. */
static hm_result take_kind(json_t *kind, struct hm_problem *why)
{
	if (!kind)
		return hm_refuse(why, "missing_member", "kind", "jwt");
	if (!json_is_string(kind))
		return wrong_type(why, "kind", "a string");
	if (strcmp(json_string_value(kind), "jwt") != 0)
		return hm_refuse(why, "invalid_kind", "kind", "jwt");
	return HM_OK;
}

static hm_result take_id(json_t *value, const char *member, const char **out, struct hm_problem *why)
{
	HM_TRY(take_string(value, member, out, why));
	size_t length = strlen(*out);
	return length && length <= HM_ID_MAX ? HM_OK : wrong_type(why, member, "an id, as it was given");
}

/* tasks_open_one reads what opens one. */
static hm_result take_task(json_t *value, struct mint_request *request, struct hm_problem *why)
{
	if (json_is_string(value))
		return take_id(value, "task", &request->task_id, why);
	if (!json_is_object(value))
		return wrong_type(why, "task", "a task's id, or an object that opens one");
	if (!json_object_get(value, "ref"))
		return hm_refuse(why, "missing_member", "task.ref", "your own name for the task");
	request->task = value;
	return HM_OK;
}

static hm_result take_member(const char *name, json_t *value, struct mint_request *request, struct hm_problem *why)
{
	if (strcmp(name, "profile") == 0)
		return take_string(value, name, &request->profile, why);
	if (strcmp(name, "subject") == 0)
		return take_string(value, name, &request->subject, why);
	if (strcmp(name, "audience") == 0)
		return take_audience(value, request, why);
	if (strcmp(name, "scope") == 0)
		return take_string(value, name, &request->scope, why);
	if (strcmp(name, "lifetime") == 0)
		return take_lifetime(value, request, why);
	if (strcmp(name, "context") == 0)
		return take_context(value, request, why);
	if (strcmp(name, "claims") == 0) {
		request->claims = value;
		return json_is_object(value) ? HM_OK : wrong_type(why, name, "an object");
	}
	if (strcmp(name, "task") == 0)
		return take_task(value, request, why);
	if (strcmp(name, "approval") == 0)
		return take_id(value, name, &request->approval, why);
	return hm_refuse(why, "unknown_member", name,
		"profile, subject, audience, scope, lifetime, task, approval, claims, context");
}

static hm_result take_members(bool with_kind, struct mint_request *request, struct hm_problem *why)
{
	const char *name;
	json_t *value;
	json_object_foreach(request->body, name, value) if (!with_kind || strcmp(name, "kind") != 0)
		HM_TRY(take_member(name, value, request, why));
	if (!request->profile)
		return hm_refuse(why, "missing_member", "profile", "a profile's name");
	if (!request->subject)
		return hm_refuse(why, "missing_member", "subject", "the agent's SPIFFE ID");
	if (!request->audience_count)
		return hm_refuse(why, "missing_member", "audience", "who will accept the credential");
	return HM_OK;
}

hm_result mint_request_parse(struct hm_bytes body, bool with_kind, struct mint_request *request, struct hm_problem *why)
{
	json_error_t error;
	*request = (struct mint_request){0};
	request->body = json_loadb((const char *)body.data, body.length, JSON_REJECT_DUPLICATES, &error);
	if (!json_is_object(request->body)) /* gate has checked the form, but mint does not rely on it */
		return hm_refuse(why, "malformed_json", NULL, "a JSON object");
	if (with_kind)
		HM_TRY(take_kind(json_object_get(request->body, "kind"), why));
	return take_members(with_kind, request, why);
}

hm_result mint_request_read(json_t *body, struct mint_request *request, struct hm_problem *why)
{
	*request = (struct mint_request){.body = body};
	return take_members(false, request, why);
}

void mint_request_free(struct mint_request *request)
{
	json_decref(request->body);
	request->body = NULL;
	delegation_free(request->delegation);
	request->delegation = NULL;
}
