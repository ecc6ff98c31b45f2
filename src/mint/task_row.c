/* SPDX-License-Identifier: Apache-2.0 */
/* A task as a row of the store has it, and as /v1/tasks shows it. */
#include "json_write.h"
#include "spiffe.h"
#include "tasks_inside.h"
#include <stdio.h>
#include <string.h>

static const char *const state_names[TASK_STATES] = {"open", "paused", "completed", "cancelled", "expired"};

const char *task_state_name(enum task_state state)
{
	return state_names[state];
}

/* ---- what a text may be ---- */

bool task_is_text(const char *text, size_t length, size_t most)
{
	for (size_t i = 0; i < length; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			return false;
	return length >= 1 && length <= most;
}

bool task_is_id(const char *text)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	return strlen(text) == HM_ID_MAX && strspn(text, alphabet) == HM_ID_MAX;
}

static bool is_printable(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (text[i] <= ' ' || text[i] >= 0x7f) /* bytes of UTF-8 are negative or above */
			return false;
	return true;
}

bool task_is_audience(const char *text, size_t length)
{
	return length >= 1 && length <= HM_AUDIENCE_MAX && is_printable(text, length);
}

/* RFC 6749, section 3.3. */
bool task_is_scope(const char *text, size_t length)
{
	return length >= 1 && length <= HM_SCOPE_MAX && is_printable(text, length) && !strpbrk(text, "\"\\");
}

/* ---- reading ---- */

struct reading {
	const json_t *body;
	size_t taken; /* members that were there */
	bool failed;
};

static const json_t *take(struct reading *reading, const char *name, bool required)
{
	const json_t *value = json_object_get(reading->body, name);
	reading->taken += value != NULL;
	reading->failed |= required && !value;
	return value;
}

/* "": it is not there. */
static const char *take_text(struct reading *reading, const char *name, size_t most, bool required)
{
	const json_t *value = take(reading, name, required);
	const char *text = value ? json_string_value(value) : "";
	if (value && (!text || !task_is_text(text, json_string_length(value), most)))
		reading->failed = true;
	return text ? text : "";
}

/* 0: it is not there. */
static int64_t take_number(struct reading *reading, const char *name, int64_t most, bool required)
{
	const json_t *value = take(reading, name, required);
	int64_t number = json_integer_value(value);
	if (value && (!json_is_integer(value) || number < 1 || number > most))
		reading->failed = true;
	return number;
}

static uint8_t take_list(struct reading *reading, const char *name, bool (*is_one)(const char *text, size_t length),
	unsigned most, char **list)
{
	const json_t *value = take(reading, name, false);
	size_t count = json_array_size(value);
	if (value && (count < 1 || count > most))
		reading->failed = true;
	for (size_t i = 0; i < count && !reading->failed; i++) {
		const json_t *item = json_array_get(value, i);
		list[i] = (char *)json_string_value(item);
		if (!list[i] || !is_one(list[i], json_string_length(item)))
			reading->failed = true;
	}
	return reading->failed ? 0 : (uint8_t)count;
}

static uint8_t take_state(struct reading *reading)
{
	const char *name = take_text(reading, "state", HM_NAME_MAX, true);
	for (unsigned state = 0; state < TASK_EXPIRED; state++)
		if (strcmp(name, state_names[state]) == 0)
			return (uint8_t)state;
	reading->failed = true;
	return TASK_CANCELLED;
}

static bool take_held(struct reading *reading)
{
	const json_t *value = take(reading, "held", false);
	reading->failed |= value && !json_is_true(value);
	return value != NULL;
}

static bool is_possible(const struct task_form *form)
{
	struct spiffe_id id;
	const char *rule;
	const struct task *task = &form->task;
	bool has_ended = task->state == TASK_COMPLETED || task->state == TASK_CANCELLED;
	return spiffe_parse(task->agent, strlen(task->agent), &id, &rule) && task->opened < task->expires &&
	       has_ended == (task->ended != 0) && (!task->held || task->state == TASK_PAUSED) &&
	       !strchr(task->issuer, ' ') && !strchr(task->caller, ' ') &&
	       (!*form->parent || (task_is_id(form->parent) && strcmp(form->parent, task->id) != 0));
}

bool task_read(const json_t *body, const char *id, struct task_form *form)
{
	struct reading reading = {.body = body};
	*form = (struct task_form){.task = {.audiences = form->audiences, .scopes = form->scopes}};
	struct task *task = &form->task;
	if (!task_is_id(id))
		return false;
	memcpy(task->id, id, sizeof task->id);
	task->agent = take_text(&reading, "agent", HM_SPIFFE_ID_MAX, true);
	task->audiences_count = take_list(&reading, "audiences", task_is_audience, HM_AUDIENCES_MAX, form->audiences);
	task->caller = take_text(&reading, "caller", HM_NAME_MAX, true);
	task->ended = take_number(&reading, "ended", HM_INTEGER_MAX, false);
	task->expires = take_number(&reading, "expires", HM_INTEGER_MAX, true);
	task->held = take_held(&reading);
	task->issuer = take_text(&reading, "issuer", HM_NAME_MAX, true);
	task->on_behalf_of = take_text(&reading, "on_behalf_of", HM_OWNER_MAX, false);
	task->opened = take_number(&reading, "opened", HM_INTEGER_MAX, true);
	snprintf(form->parent, sizeof form->parent, "%s", take_text(&reading, "parent", HM_ID_MAX, false));
	task->purpose = take_text(&reading, "purpose", HM_PURPOSE_MAX, true);
	task->ref = take_text(&reading, "ref", HM_REF_MAX, false);
	task->scopes_count = take_list(&reading, "scopes", task_is_scope, HM_SCOPES_MAX, form->scopes);
	task->state = take_state(&reading);
	task->struck = (unsigned)take_number(&reading, "struck", UINT32_MAX, false);
	return !reading.failed && json_object_size(body) == reading.taken && is_possible(form);
}

/* ---- writing ---- */

static void put_text(struct hm_json *json, const char *name, const char *text)
{
	if (*text)
		hm_json_member_string(json, name, text);
}

static void put_number(struct hm_json *json, const char *name, int64_t number)
{
	if (number)
		hm_json_member_number(json, name, number);
}

static void put_list(struct hm_json *json, const char *name, char *const *list, unsigned count)
{
	if (!count)
		return;
	hm_json_key(json, name);
	hm_json_begin(json, '[');
	for (unsigned i = 0; i < count; i++)
		hm_json_string(json, list[i]);
	hm_json_end(json, ']');
}

/* RFC 8785: in the order of the names. */
static void put_members(struct hm_json *json, const struct task *task)
{
	hm_json_member_string(json, "agent", task->agent);
	put_list(json, "audiences", task->audiences, task->audiences_count);
	hm_json_member_string(json, "caller", task->caller);
	put_number(json, "ended", task->ended);
	hm_json_member_number(json, "expires", task->expires);
	if (task->held) {
		hm_json_key(json, "held");
		hm_json_bool(json, true);
	}
	hm_json_member_string(json, "issuer", task->issuer);
	put_text(json, "on_behalf_of", task->on_behalf_of);
	hm_json_member_number(json, "opened", task->opened);
	put_text(json, "parent", task->parent ? task->parent->id : "");
	hm_json_member_string(json, "purpose", task->purpose);
	put_text(json, "ref", task->ref);
	put_list(json, "scopes", task->scopes, task->scopes_count);
	hm_json_member_string(json, "state", state_names[task->state]);
	put_number(json, "struck", task->struck);
}

bool task_put(struct changes *changes, const struct task *task)
{
	char body[HM_STORE_BODY_MAX];
	struct hm_json json = hm_json(body, sizeof body);
	hm_json_begin(&json, '{');
	put_members(&json, task);
	hm_json_end(&json, '}');
	return !json.out.failed && changes_put(changes, RECORD_TASK, task->id, task->version, body, json.out.used);
}

bool tasks_put_struck(struct changes *changes, const struct task *task)
{
	struct task next = *task;
	next.struck++;
	return task_put(changes, &next);
}

void task_ref_key(const struct task *task, char key[TASK_REF_KEY_MAX + 1])
{
	snprintf(key, TASK_REF_KEY_MAX + 1, "%s %s %s", task->issuer, task->caller, task->ref);
}

/* ---- showing ---- */

static void show_text(json_t *shown, const char *name, const char *text)
{
	if (*text)
		(void)json_object_set_new(shown, name, json_string(text));
}

static void show_list(json_t *shown, const char *name, char *const *list, unsigned count)
{
	json_t *array = count ? json_array() : NULL;
	for (unsigned i = 0; i < count; i++)
		(void)json_array_append_new(array, json_string(list[i]));
	if (array)
		(void)json_object_set_new(shown, name, array);
}

json_t *task_json(const struct task *task, int64_t now)
{
	json_t *shown = json_object();
	show_text(shown, "id", task->id);
	show_text(shown, "issuer", task->issuer);
	show_text(shown, "caller", task->caller);
	show_text(shown, "agent", task->agent);
	show_text(shown, "purpose", task->purpose);
	show_text(shown, "on_behalf_of", task->on_behalf_of);
	show_text(shown, "ref", task->ref);
	show_list(shown, "audiences", task->audiences, task->audiences_count);
	show_list(shown, "scopes", task->scopes, task->scopes_count);
	(void)json_object_set_new(shown, "opened", json_integer(task->opened));
	(void)json_object_set_new(shown, "expires", json_integer(task->expires));
	if (task->ended)
		(void)json_object_set_new(shown, "ended", json_integer(task->ended));
	show_text(shown, "state", state_names[task_effective(task, now)]);
	if (task->held)
		(void)json_object_set_new(shown, "held", json_true());
	if (task->parent)
		show_text(shown, "parent", task->parent->id);
	return shown;
}
