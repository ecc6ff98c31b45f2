/* SPDX-License-Identifier: Apache-2.0 */
#include "request.h"

#include "error.h"
#include "limits.h"
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

struct hsmint_request {
	json_t *members;
	char failed[128]; /* the first member that could not be taken */
	char key[HM_IDEMPOTENCY_KEY_MAX + 1];
};

hsmint_request *hsmint_request_new(void)
{
	hsmint_request *request = calloc(1, sizeof *request);
	if (!request)
		return NULL;
	request->members = json_object();
	if (!request->members) {
		free(request);
		return NULL;
	}
	return request;
}

void hsmint_request_free(hsmint_request *request)
{
	if (!request)
		return;
	json_decref(request->members);
	free(request);
}

static int fail(hsmint_request *request, const char *member)
{
	if (request && !request->failed[0])
		snprintf(request->failed, sizeof request->failed, "%s", member && *member ? member : "(no name)");
	return -1;
}

/* Take over `value`, which is NULL when it could not be made. */
static int set(hsmint_request *request, const char *member, json_t *value)
{
	if (!request || !member || json_object_get(request->members, member)) {
		json_decref(value);
		return fail(request, member);
	}
	return json_object_set_new(request->members, member, value) == 0 ? 0 : fail(request, member);
}

int hsmint_request_text(hsmint_request *request, const char *member, const char *text)
{
	return set(request, member, json_string(text));
}

int hsmint_request_number(hsmint_request *request, const char *member, int64_t value)
{
	return set(request, member, json_integer(value));
}

int hsmint_request_json(hsmint_request *request, const char *member, const char *json)
{
	return set(request, member, json ? json_loads(json, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL) : NULL);
}

/* The array or object that grows under `member`; made when it is not there. NULL: something else is. */
static json_t *growing(hsmint_request *request, const char *member, json_type type)
{
	if (!request || !member)
		return NULL;
	json_t *value = json_object_get(request->members, member);
	if (value)
		return json_typeof(value) == type ? value : NULL;
	if (set(request, member, type == JSON_ARRAY ? json_array() : json_object()) < 0)
		return NULL;
	return json_object_get(request->members, member);
}

int hsmint_request_add(hsmint_request *request, const char *member, const char *text)
{
	json_t *array = growing(request, member, JSON_ARRAY);
	if (!array || json_array_append_new(array, json_string(text)) < 0)
		return fail(request, member);
	return 0;
}

int hsmint_request_pair(hsmint_request *request, const char *member, const char *name, const char *value)
{
	json_t *object = growing(request, member, JSON_OBJECT);
	if (!object || !name || json_object_get(object, name) ||
		json_object_set_new(object, name, json_string(value)) < 0)
		return fail(request, member);
	return 0;
}

int hsmint_request_set_key(hsmint_request *request, const char *key)
{
	size_t length = key ? strlen(key) : 0;
	bool sound = request && !request->key[0] && length >= 1 && length < sizeof request->key;
	for (size_t i = 0; sound && i < length; i++)
		sound = key[i] > ' ' && key[i] < 0x7f;
	if (!sound)
		return fail(request, "Idempotency-Key");
	memcpy(request->key, key, length + 1);
	return 0;
}

const char *request_key(const hsmint_request *request)
{
	return request->key;
}

char *request_text(const hsmint_request *request, hsmint_error **error)
{
	if (!request) {
		error_make(error, "client_argument", "no request");
		return NULL;
	}
	if (request->failed[0]) {
		error_make(error, "client_argument",
			"the value of \"%s\" is not usable: UTF-8 or JSON as the member takes it, set once",
			request->failed);
		return NULL;
	}
	char *text = json_dumps(request->members, JSON_COMPACT);
	if (!text)
		error_make(error, "client_memory", "request");
	return text;
}
