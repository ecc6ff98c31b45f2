/* SPDX-License-Identifier: Apache-2.0 */
#include "delegation.h"

#include "config.h"
#include "identity.h"
#include "mint_request.h"
#include "spiffe.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct delegation *delegation_hold(struct delegation *delegation)
{
	if (delegation)
		delegation->holders++;
	return delegation;
}

void delegation_free(struct delegation *delegation)
{
	if (!delegation || delegation->holders--)
		return;
	json_decref(delegation->payload);
	free(delegation);
}

bool delegation_is_of_person(const struct delegation *delegation)
{
	return !spiffe_begins(delegation->sub);
}

/* ---- the next actor's task ---- */

/* One caller may exchange a token for several actors: each has a task of its own. */
static bool write_ref(const struct delegation *delegation, const char *actor, char ref[HM_REF_MAX + 1])
{
	struct identity identity;
	struct hm_problem why;
	char name[IDENTITY_TEXT_MAX + 1];
	if (identity_of_words("actor", actor, NULL, NULL, &identity, &why) != HM_OK)
		return false;
	identity_text(&identity, name);
	return snprintf(ref, HM_REF_MAX + 1, TASK_EXCHANGE_REF "%s:%s:%s", delegation->from, delegation->kid, name) <=
	       HM_REF_MAX;
}

/* All of it comes of the token, so that each of its exchanges says the same. */
json_t *delegation_task(const struct delegation *delegation, const struct tasks *tasks, const char *actor)
{
	char ref[HM_REF_MAX + 1];
	const struct task *parent = delegation->task[0] ? tasks_find(tasks, delegation->task) : NULL;
	if (!write_ref(delegation, actor, ref))
		return NULL;
	return json_pack("{s:s, s:s, s:s, s:I, s:s*}", "ref", ref, "purpose", "acting on behalf of somebody",
		"on_behalf_of", delegation->sub, "expires", (json_int_t)delegation->expires, "parent",
		parent ? parent->id : NULL);
}

json_t *delegation_actors(const struct delegation *delegation, const char *actor)
{
	json_t *actors = delegation ? json_pack("[s]", actor) : NULL;
	for (const json_t *act = actors ? delegation->act : NULL; act; act = json_object_get(act, "act"))
		if (json_array_append(actors, json_object_get(act, "sub")) != 0) {
			json_decref(actors);
			return NULL;
		}
	return actors;
}

/* ---- no more than the token had ---- */

static bool has_audience(const json_t *audience, const char *wanted)
{
	size_t i;
	const json_t *value;
	if (json_is_string(audience))
		return strcmp(json_string_value(audience), wanted) == 0;
	json_array_foreach(audience, i, value)
	{
		if (json_is_string(value) && strcmp(json_string_value(value), wanted) == 0)
			return true;
	}
	return false;
}

static hm_result check_audiences(
	const struct delegation *delegation, const struct mint_request *request, struct hm_problem *why)
{
	for (unsigned i = 0; delegation->audience && i < request->audience_count; i++)
		if (!has_audience(delegation->audience, request->audiences[i]))
			return hm_refuse(why, "audience_not_allowed", "audience", "audiences of the subject token");
	return HM_OK;
}

static bool has_scope(const char *scopes, const char *wanted, size_t length)
{
	while (*scopes) {
		size_t end = strcspn(scopes, " ");
		if (end == length && memcmp(scopes, wanted, length) == 0)
			return true;
		scopes += scopes[end] ? end + 1 : end;
	}
	return false;
}

/* A provider's token has scopes of the provider's: what they may be here, the profile says. */
static hm_result check_scopes(
	const struct delegation *delegation, const struct mint_request *request, struct hm_problem *why)
{
	const char *scope = delegation->scope ? request->scope : NULL;
	while (scope && *scope) {
		size_t length = strcspn(scope, " ");
		if (!has_scope(delegation->scope, scope, length))
			return hm_refuse(why, "scope_not_allowed", "scope", "scopes of the subject token");
		scope += scope[length] ? length + 1 : length;
	}
	return HM_OK;
}

/* RFC 8693, section 4.4: whom the token lets act. One that cannot be understood lets nobody. */
static hm_result check_may_act(
	const struct delegation *delegation, const struct mint_request *request, struct hm_problem *why)
{
	const json_t *may_act = json_object_get(delegation->payload, "may_act");
	const char *actor = json_string_value(json_object_get(may_act, "sub"));
	if (!may_act || (json_object_size(may_act) == 1 && actor && strcmp(actor, request->subject) == 0))
		return HM_OK;
	return hm_refuse(why, "delegation_refused", "subject_token", "the actor that its may_act names");
}

static bool is_listed(char *const *list, unsigned count, const char *text)
{
	for (unsigned i = 0; i < count; i++)
		if (strcmp(list[i], text) == 0)
			return true;
	return false;
}

/* NAME:GROUP, for another's group of that name means nothing. */
static bool is_group_of(const char *listed, const char *name, const char *group)
{
	size_t length = strlen(name);
	return group && strncmp(listed, name, length) == 0 && listed[length] == ':' &&
	       strcmp(listed + length + 1, group) == 0;
}

static bool is_in_group(const struct config_exchange *exchange, const struct delegation *delegation)
{
	size_t i;
	const json_t *group;
	json_array_foreach(delegation->groups, i, group)
	{
		for (unsigned k = 0; k < exchange->groups_count; k++)
			if (is_group_of(exchange->groups[k], delegation->by->name, json_string_value(group)))
				return true;
	}
	return exchange->groups_count == 0;
}

/* Ours are exchanged wherever tokens are; others' where the profile names who made them. */
static hm_result check_provider(
	const struct delegation *delegation, const struct config_exchange *exchange, struct hm_problem *why)
{
	if (!delegation->by)
		return HM_OK;
	if (!exchange || !is_listed(exchange->trust, exchange->trust_count, delegation->by->name))
		return hm_refuse(why, "delegation_refused", "subject_token", "a token of whom the profile trusts");
	return is_in_group(exchange, delegation)
		       ? HM_OK
		       : hm_refuse(why, "delegation_refused", "subject_token", "somebody of a group of the profile's");
}

hm_result delegation_check(const struct delegation *delegation, const struct mint_request *request,
	const struct config_exchange *exchange, unsigned depth, struct hm_problem *why)
{
	HM_TRY(check_provider(delegation, exchange, why));
	if (exchange && exchange->impersonation && delegation->act)
		return hm_refuse(why, "delegation_refused", "subject_token", "a token in which nobody acts yet");

	if (delegation->depth >= depth)
		return hm_refuse(why, "delegation_refused", "subject_token", "a chain of at most %u actors", depth);
	HM_TRY(check_may_act(delegation, request, why));
	HM_TRY(check_audiences(delegation, request, why));
	return check_scopes(delegation, request, why);
}

/* ---- everybody between ---- */

/* The agent of the task above, or, where that token had none, whom it was for, unless that is a person. */
const char *delegation_link(const struct task *task)
{
	const char *agent = task->parent ? task->parent->agent : task->on_behalf_of;
	return task_is_exchange(task) && spiffe_begins(agent) ? agent : NULL;
}

hm_result delegation_stands(const struct agents *agents, const struct task *task, int64_t now, struct hm_problem *why)
{
	HM_TRY(tasks_check(task, now, why));
	return delegation_links(agents, task, now, why);
}

hm_result delegation_links(const struct agents *agents, const struct task *task, int64_t now, struct hm_problem *why)
{
	for (; task; task = task->parent) {
		const char *agent = delegation_link(task);
		if (agent)
			HM_TRY(agents_check_named(agents, task->issuer, agent, now, why));
	}
	return HM_OK;
}
