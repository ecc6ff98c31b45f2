/* SPDX-License-Identifier: Apache-2.0 */
/* What opens a task: its members' form, what is within its agent and its parent, and the rows that say so. */
#include "base64url.h"
#include "id.h"
#include "pattern.h"
#include "tasks_inside.h"
#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MEMBERS "purpose, on_behalf_of, ref, audiences, scopes, expires, lifetime, parent"

struct opening {
	json_t *members;
	enum task_way way;
	int64_t now;
	struct hm_problem *why;
};

static hm_result HM_PRINTF(4, 5)
	refuse(const struct opening *opening, const char *code, const char *member, const char *format, ...)
{
	char field[sizeof opening->why->field + 8]; /* longer, so that hm_refuse cuts it, between characters */
	char text[sizeof opening->why->detail];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	snprintf(field, sizeof field, "%s%s", opening->way == TASK_BY_MINT ? "task." : "", member);
	return hm_refuse(opening->why, code, field, "%s", text);
}

/* ---- the form of each member ---- */

static hm_result take_text(
	const struct opening *opening, const char *member, json_t *value, int most, const char **text)
{
	if (!json_is_string(value))
		return refuse(opening, "wrong_type", member, "a string");
	*text = json_string_value(value);
	if (!task_is_text(*text, json_string_length(value), (size_t)most))
		return refuse(opening, "invalid_member", member, "1 to %d bytes without control characters", most);
	return HM_OK;
}

/* What an exchange opens is found by its ref: nobody else may name a task so. */
static hm_result take_ref(const struct opening *opening, const char *member, json_t *value, const char **ref)
{
	HM_TRY(take_text(opening, member, value, HM_REF_MAX, ref));
	bool is_of_exchange = strncmp(*ref, TASK_EXCHANGE_REF, strlen(TASK_EXCHANGE_REF)) == 0;
	if (is_of_exchange && opening->way != TASK_BY_EXCHANGE)
		return refuse(opening, "invalid_member", member, "one that does not begin with " TASK_EXCHANGE_REF);
	return HM_OK;
}

static hm_result take_time(const struct opening *opening, const char *member, json_t *value, int64_t *time)
{
	if (!json_is_integer(value))
		return refuse(opening, "wrong_type", member, "an integer: seconds");
	*time = json_integer_value(value);
	if (*time < 1)
		return refuse(opening, "lifetime_not_allowed", member, "1 second to %d days, from now",
			HM_TASK_SECONDS_MAX / 86400);
	return HM_OK;
}

static hm_result take_parent(const struct opening *opening, const char *member, json_t *value, char *parent)
{
	if (!json_is_string(value))
		return refuse(opening, "wrong_type", member, "a string");
	if (!task_is_id(json_string_value(value)))
		return refuse(opening, "unknown_task", member, "a task of this caller that is open");
	memcpy(parent, json_string_value(value), HM_ID_MAX + 1);
	return HM_OK;
}

/* A list of texts: what each may be, how many at most, and the code of one that is wrong. */
struct list_rule {
	bool (*is_one)(const char *text, size_t length);
	unsigned most;
	const char *code, *one;
};

static const struct list_rule audiences_rule = {task_is_audience, HM_AUDIENCES_MAX, "invalid_audience",
	"audiences of 1 to 512 printable ASCII characters without spaces"};
static const struct list_rule scopes_rule = {task_is_scope, HM_SCOPES_MAX, "invalid_scope",
	"scopes of 1 to 64 printable ASCII characters without spaces, quotes and backslashes"};

static bool has(char *const *list, unsigned count, const char *text)
{
	for (unsigned i = 0; i < count; i++)
		if (strcmp(list[i], text) == 0)
			return true;
	return false;
}

static hm_result take_list(const struct opening *opening, const char *member, json_t *value,
	const struct list_rule *rule, char **list, uint8_t *count)
{
	if (!json_is_array(value))
		return refuse(opening, "wrong_type", member, "an array of strings");
	if (json_array_size(value) < 1 || json_array_size(value) > rule->most)
		return refuse(opening, rule->code, member, "1 to %u", rule->most);
	for (size_t i = 0; i < json_array_size(value); i++) {
		json_t *item = json_array_get(value, i);
		const char *text = json_string_value(item);
		if (!text)
			return refuse(opening, "wrong_type", member, "an array of strings");
		if (!rule->is_one(text, json_string_length(item)))
			return refuse(opening, rule->code, member, "%s", rule->one);
		if (has(list, *count, text))
			return refuse(opening, rule->code, member, "each once");
		list[(*count)++] = (char *)text;
	}
	return HM_OK;
}

static hm_result take_member(
	const struct opening *opening, const char *member, json_t *value, struct task_form *form, int64_t *lifetime)
{
	struct task *task = &form->task;
	if (strcmp(member, "purpose") == 0)
		return take_text(opening, member, value, HM_PURPOSE_MAX, &task->purpose);
	if (strcmp(member, "on_behalf_of") == 0)
		return take_text(opening, member, value, HM_OWNER_MAX, &task->on_behalf_of);
	if (strcmp(member, "ref") == 0)
		return take_ref(opening, member, value, &task->ref);
	if (strcmp(member, "audiences") == 0)
		return take_list(opening, member, value, &audiences_rule, task->audiences, &task->audiences_count);
	if (strcmp(member, "scopes") == 0)
		return take_list(opening, member, value, &scopes_rule, task->scopes, &task->scopes_count);
	if (strcmp(member, "expires") == 0)
		return take_time(opening, member, value, &task->expires);
	if (strcmp(member, "lifetime") == 0)
		return take_time(opening, member, value, lifetime);
	if (strcmp(member, "parent") == 0)
		return take_parent(opening, member, value, form->parent);
	return refuse(opening, "unknown_member", member, "%s", MEMBERS);
}

/* With `expires` 0: none was asked for. */
static hm_result take_members(const struct opening *opening, struct task_form *form)
{
	const char *name;
	json_t *value;
	int64_t lifetime = 0;
	json_object_foreach(opening->members, name, value) HM_TRY(take_member(opening, name, value, form, &lifetime));
	if (!*form->task.purpose)
		return refuse(opening, "missing_member", "purpose", "what the agent is doing");
	if (opening->way != TASK_BY_CALL && !*form->task.ref)
		return refuse(opening, "missing_member", "ref", "a name of the caller's own for the task");
	if (lifetime && form->task.expires)
		return refuse(opening, "invalid_member", "lifetime", "either expires or lifetime");
	if (lifetime > HM_TASK_SECONDS_MAX)
		return refuse(opening, "lifetime_not_allowed", "lifetime", "at most %d seconds", HM_TASK_SECONDS_MAX);
	if (lifetime)
		form->task.expires = opening->now + lifetime;
	return HM_OK;
}

/* ---- a ref that is known ---- */

/* Over the canonical form of what the caller said, and of which agent: it has no control characters, so jansson's form
 * is RFC 8785's. */
static hm_result digest_of(const struct opening *opening, const char *agent, uint8_t digest[32])
{
	json_t *content = json_copy(opening->members);
	char *text = NULL;
	bool done = content && json_object_set_new(content, "agent", json_string(agent)) == 0;
	if (done)
		text = json_dumps(content, JSON_COMPACT | JSON_SORT_KEYS);
	done = text && EVP_Digest(text, strlen(text), digest, NULL, EVP_sha256(), NULL) == 1;
	free(text);
	json_decref(content);
	return done ? HM_OK : hm_broken(opening->why, "no digest of a task");
}

/* `*known` NULL: the caller has named none so. */
static hm_result find_known(const struct opening *opening, const struct task *known, const uint8_t digest[32])
{
	const struct task_naming *naming = task_naming(known);
	if (memcmp(naming->digest, digest, sizeof naming->digest) != 0)
		return refuse(opening, "task_mismatch", "ref",
			"what the task was opened with, or another ref: this one names task %s", known->id);
	return HM_OK;
}

/* ---- within the agent and the parent ---- */

/* A pattern is within another if that one matches it as a text: what one `*` takes, the other takes too. */
static bool is_within(const char *text, char *const *patterns, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (pattern_matches(patterns[i], text, strlen(text)))
			return true;
	return count == 0;
}

static hm_result check_lists(const struct opening *opening, const struct task *task, char *const *audiences,
	unsigned audiences_count, char *const *scopes, unsigned scopes_count, const char *whose)
{
	for (unsigned i = 0; i < task->audiences_count; i++)
		if (!is_within(task->audiences[i], audiences, audiences_count))
			return refuse(opening, "audience_not_allowed", "audiences", "audiences within its %s's", whose);
	for (unsigned i = 0; i < task->scopes_count; i++)
		if (scopes_count && !has(scopes, scopes_count, task->scopes[i]))
			return refuse(opening, "scope_not_allowed", "scopes", "scopes within its %s's", whose);
	return HM_OK;
}

static hm_result check_agent(const struct opening *opening, const struct agents *agents, const struct task *task)
{
	const struct agent *agent = agents_find(agents, task->issuer, task->agent);
	const struct agent *accountable =
		agent ? agents_accountable(agents, agent) : agents_class_of(agents, task->issuer, task->agent);
	const struct agent_limits *limits = accountable ? accountable->limits : NULL;
	if (!limits)
		return HM_OK;
	return check_lists(opening, task, limits->audiences, limits->audiences_count, limits->scopes,
		limits->scopes_count, "agent");
}

/* A parent that another caller opened is as if it was not there; but whoever exchanges a token of that caller's was
 * given it. */
static bool may_be_parent(const struct opening *opening, const struct task *parent, const struct task *task)
{
	return parent && strcmp(parent->issuer, task->issuer) == 0 &&
	       (opening->way == TASK_BY_EXCHANGE || strcmp(parent->caller, task->caller) == 0);
}

static hm_result find_parent(const struct opening *opening, const struct tasks *tasks, struct task_form *form)
{
	unsigned depth = 1;
	if (!*form->parent)
		return HM_OK;
	const struct task *parent = tasks_find(tasks, form->parent);
	if (!may_be_parent(opening, parent, &form->task))
		return refuse(opening, "unknown_task", "parent", "a task of this caller that is open");
	if (tasks_check(parent, opening->now, opening->why) != HM_OK) {
		const struct hm_problem problem = *opening->why;
		return refuse(opening, problem.code, "parent", "%s", problem.detail);
	}
	for (const struct task *above = parent; above; above = above->parent)
		depth++;
	if (depth > HM_DEPTH_MAX)
		return refuse(opening, "task_too_deep", "parent", "trees of tasks at most %d deep", HM_DEPTH_MAX);
	form->task.parent = (struct task *)parent;
	return HM_OK;
}

/* What a child does not say is as its parent's. */
static void inherit(struct task *task)
{
	const struct task *parent = task->parent;
	if (!task->audiences_count && parent->audiences_count) {
		task->audiences = parent->audiences;
		task->audiences_count = parent->audiences_count;
	}
	if (!task->scopes_count && parent->scopes_count) {
		task->scopes = parent->scopes;
		task->scopes_count = parent->scopes_count;
	}
}

static hm_result choose_end(const struct opening *opening, struct task *task)
{
	const char *member = json_object_get(opening->members, "expires") ? "expires" : "lifetime";
	int64_t parents = task->parent ? task_expires(task->parent) : INT64_MAX;
	if (!task->expires) {
		task->expires = opening->now + HM_TASK_SECONDS;
		if (task->expires > parents)
			task->expires = parents;
		return HM_OK;
	}
	if (task->expires <= opening->now || task->expires - opening->now > HM_TASK_SECONDS_MAX)
		return refuse(opening, "lifetime_not_allowed", member, "1 second to %d days, from now",
			HM_TASK_SECONDS_MAX / 86400);
	if (task->expires > parents)
		return refuse(
			opening, "lifetime_not_allowed", member, "no later than its parent: %lld", (long long)parents);
	return HM_OK;
}

static hm_result check_bounds(
	const struct opening *opening, const struct tasks *tasks, const struct agents *agents, struct task_form *form)
{
	struct task *task = &form->task;
	HM_TRY(find_parent(opening, tasks, form));
	if (task->parent) {
		HM_TRY(check_lists(opening, task, task->parent->audiences, task->parent->audiences_count,
			task->parent->scopes, task->parent->scopes_count, "parent"));
		inherit(task);
	}
	HM_TRY(check_agent(opening, agents, task));
	return choose_end(opening, task);
}

/* ---- the changes ---- */

/* The agent's row, or its class's, must still be what it was: an act on it that came first wins. */
static bool guard_agent(struct changes *changes, const struct agent *agent)
{
	char key[HM_STORE_KEY_MAX + 1];
	if (!agent)
		return true;
	snprintf(key, sizeof key, "%s %s", agent->issuer, agent->spiffe_id);
	return changes_guard(changes, RECORD_AGENT, key, agent->version);
}

static bool guard(struct changes *changes, const struct agents *agents, const struct task *task)
{
	const struct agent *agent = agents_find(agents, task->issuer, task->agent);
	const struct agent *class =
		agent ? agents_accountable(agents, agent) : agents_class_of(agents, task->issuer, task->agent);
	return guard_agent(changes, agent) && (class == agent || guard_agent(changes, class)) &&
	       (!task->parent || changes_guard(changes, RECORD_TASK, task->parent->id, task->parent->version));
}

static bool put_ref(struct changes *changes, const struct task *task, uint64_t seen, const uint8_t digest[32])
{
	char key[TASK_REF_KEY_MAX + 1], text[44], body[128];
	if (!*task->ref)
		return true;
	task_ref_key(task, key);
	text[base64url_encode(digest, 32, text)] = 0;
	int length = snprintf(body, sizeof body, "{\"digest\":\"%s\",\"task\":\"%s\"}", text, task->id);
	return changes_put(changes, RECORD_REF, key, seen, body, (size_t)length);
}

static void begin_form(struct task_form *form, const char *issuer, const char *caller, const char *agent, int64_t now)
{
	*form = (struct task_form){.task = {.issuer = issuer,
					   .caller = caller,
					   .agent = agent,
					   .purpose = "",
					   .on_behalf_of = "",
					   .ref = "",
					   .audiences = form->audiences,
					   .scopes = form->scopes,
					   .opened = now}};
}

/* `*named`: the node of its ref, whether that has a task (any more) or not; NULL: none. */
static hm_result read_form(const struct opening *opening, const struct tasks *tasks, const struct agents *agents,
	struct task_form *form, uint8_t digest[32], const struct task_node **named)
{
	const struct task *task = &form->task;
	HM_TRY(take_members(opening, form));
	HM_TRY(digest_of(opening, task->agent, digest));
	*named = *task->ref ? tasks_named(tasks, task->issuer, task->caller, task->ref) : NULL;
	return *named && task_is_there(&(*named)->task) ? find_known(opening, &(*named)->task, digest)
							: check_bounds(opening, tasks, agents, form);
}

hm_result tasks_open_form(const struct tasks *tasks, const struct agents *agents, const char *issuer,
	const char *caller, const char *agent, json_t *members, enum task_way way, int64_t now, struct changes *changes,
	struct task_form *form, char id[HM_ID_MAX + 1], struct hm_problem *why)
{
	uint8_t digest[32];
	const struct task_node *named;
	const struct opening opening = {.members = members, .way = way, .now = now, .why = why};
	begin_form(form, issuer, caller, agent, now);
	HM_TRY(read_form(&opening, tasks, agents, form, digest, &named));
	if (named && task_is_there(&named->task)) {
		memcpy(id, named->task.id, HM_ID_MAX + 1);
		return HM_OK;
	}
	if (!id_make(form->task.id))
		return hm_broken(why, "getrandom gave too little");
	memcpy(id, form->task.id, HM_ID_MAX + 1);
	if (task_put(changes, &form->task) &&
		put_ref(changes, &form->task, named ? task_naming(&named->task)->version : 0, digest) &&
		guard(changes, agents, &form->task))
		return HM_OK;
	return hm_broken(why, "no memory to open a task");
}

hm_result tasks_read_one(const struct tasks *tasks, const struct agents *agents, const char *issuer, const char *caller,
	const char *agent, json_t *members, enum task_way way, int64_t now, struct task_form *form,
	const struct task **known, struct hm_problem *why)
{
	uint8_t digest[32];
	const struct task_node *named;
	const struct opening opening = {.members = members, .way = way, .now = now, .why = why};
	begin_form(form, issuer, caller, agent, now);
	HM_TRY(read_form(&opening, tasks, agents, form, digest, &named));
	*known = named && task_is_there(&named->task) ? &named->task : NULL;
	return HM_OK;
}

hm_result tasks_open_one(const struct tasks *tasks, const struct agents *agents, const char *issuer, const char *caller,
	const char *agent, json_t *members, enum task_way way, int64_t now, struct changes *changes,
	char id[HM_ID_MAX + 1], struct hm_problem *why)
{
	struct task_form form;
	return tasks_open_form(tasks, agents, issuer, caller, agent, members, way, now, changes, &form, id, why);
}
