/* SPDX-License-Identifier: Apache-2.0 */
#include "key_command.h"

#include "key_life.h"
#include <string.h>

static hm_result get_name(const json_t *request, const char **name, struct hm_problem *why)
{
	*name = json_string_value(json_object_get(request, "key"));
	return *name ? HM_OK : hm_refuse(why, "missing_member", "key", "the key's name");
}

/* A member that may be missing: "" then. */
static hm_result get_text(const json_t *request, const char *member, const char **text, struct hm_problem *why)
{
	const json_t *value = json_object_get(request, member);
	*text = value ? json_string_value(value) : "";
	return *text ? HM_OK : hm_refuse(why, "wrong_type", member, "a string");
}

static hm_result get_version(const json_t *request, bool required, unsigned *number, struct hm_problem *why)
{
	const json_t *value = json_object_get(request, "version");
	json_int_t integer = json_integer_value(value);
	*number = 0;
	if (!value && !required)
		return HM_OK;
	if (!json_is_integer(value) || integer < 1 || integer > UINT32_MAX)
		return hm_refuse(why, value ? "wrong_type" : "missing_member", "version", "the version's number");
	*number = (unsigned)integer;
	return HM_OK;
}

hm_result key_command_adopt(
	struct service *service, const json_t *request, const struct control_asker *asker, struct hm_problem *why)
{
	struct key_address address;
	const char *name;
	HM_TRY(get_name(request, &name, why));
	HM_TRY(get_text(request, "label", &address.label, why));
	HM_TRY(get_text(request, "id", &address.id, why));
	HM_TRY(get_text(request, "token", &address.token, why));
	HM_TRY(get_text(request, "serial", &address.serial, why));
	return key_life_adopt(service, name, &address, asker, why);
}

hm_result key_command_activate(
	struct service *service, const json_t *request, struct hm_json *json, struct hm_problem *why)
{
	const struct key_version *changed;
	const json_t *now = json_object_get(request, "now");
	const char *name;
	unsigned number;
	HM_TRY(get_name(request, &name, why));
	HM_TRY(get_version(request, false, &number, why));
	if (now && !json_is_boolean(now))
		return hm_refuse(why, "wrong_type", "now", "true or false");
	HM_TRY(key_life_activate(service, name, number, json_is_true(now), &changed, why));
	key_version_reply(json, changed);
	return HM_OK;
}

hm_result key_command_retire(
	struct service *service, const json_t *request, struct hm_json *json, struct hm_problem *why)
{
	const struct key_version *changed;
	const char *name;
	unsigned number;
	HM_TRY(get_name(request, &name, why));
	HM_TRY(get_version(request, true, &number, why));
	HM_TRY(key_life_retire(service, name, number, &changed, why));
	key_version_reply(json, changed);
	return HM_OK;
}

hm_result key_command_forget(struct service *service, const json_t *request, struct hm_problem *why)
{
	const char *name;
	unsigned number;
	HM_TRY(get_name(request, &name, why));
	HM_TRY(get_version(request, true, &number, why));
	return key_life_forget(service, name, number, why);
}
