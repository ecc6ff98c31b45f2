/* SPDX-License-Identifier: Apache-2.0 */
#include "tasks_inside.h"

#include "base64url.h"
#include <stdio.h>
#include <string.h>

/* ---- nodes come and go ---- */

static void drop(struct tasks *tasks, struct task_node *node)
{
	tasks_remove(tasks, node);
	task_node_free(tasks, node);
}

/* A node of which nothing is known but what others say of it: its children, or its ref. It counts as ended. */
static struct task_node *new_empty(struct tasks *tasks, const char *id, const struct task *named)
{
	struct task empty = {.state = TASK_CANCELLED,
		.issuer = named ? named->issuer : "",
		.caller = named ? named->caller : "",
		.ref = named ? named->ref : "",
		.agent = "",
		.purpose = "",
		.on_behalf_of = ""};
	memcpy(empty.id, id, strlen(id) + 1);
	return task_node_new(tasks, &empty);
}

/* Such a node has no parent. It goes when nobody says anything of it any more. */
static void drop_if_empty(struct tasks *tasks, struct task_node *node)
{
	const struct task_naming *naming = task_naming(&node->task);
	if (!task_is_there(&node->task) && !node->task.first_child && !(naming && naming->version))
		drop(tasks, node);
}

/* `node` takes the place, the children and, if it has the same name, the ref of `old`, which is gone then. */
static void take_place(struct tasks *tasks, struct task_node *old, struct task_node *node)
{
	struct task *parent = old->task.parent;
	struct task_naming naming = {.version = 0};
	if (*old->task.ref)
		naming = *task_naming(&old->task);
	tasks_unname(tasks, old);
	if (naming.version && task_has_name(&old->task, &node->task))
		tasks_name(tasks, node, &naming);
	task_move_children(&old->task, &node->task);
	task_unlink(old);
	if (parent)
		drop_if_empty(tasks, task_node(parent));
	drop(tasks, old);
	tasks_insert(tasks, node);
}

/* ---- rows of tasks ---- */

static void free_json(json_t **json)
{
	json_decref(*json);
}

#define JSON_AUTO __attribute__((cleanup(free_json))) json_t

static bool same_list(char *const *a, unsigned a_count, char *const *b, unsigned b_count)
{
	if (a_count != b_count)
		return false;
	for (unsigned i = 0; i < a_count; i++)
		if (strcmp(a[i], b[i]) != 0)
			return false;
	return true;
}

/* Nothing else ever changes in a task than its version, state, hold, end and count. */
static bool is_same(const struct task *task, const struct task_form *form)
{
	const struct task *other = &form->task;
	return task_is_there(task) && task_has_name(task, other) && strcmp(task->agent, other->agent) == 0 &&
	       strcmp(task->purpose, other->purpose) == 0 && strcmp(task->on_behalf_of, other->on_behalf_of) == 0 &&
	       same_list(task->audiences, task->audiences_count, other->audiences, other->audiences_count) &&
	       same_list(task->scopes, task->scopes_count, other->scopes, other->scopes_count) &&
	       task->opened == other->opened && task->expires == other->expires &&
	       strcmp(task->parent ? task->parent->id : "", form->parent) == 0;
}

/* Whether `id` under this parent would be its own ancestor, or deeper than any is. */
static bool is_no_tree(const struct task *parent, const char *id)
{
	unsigned depth = 1;
	for (; parent; parent = parent->parent)
		if (++depth > HM_DEPTH_MAX || strcmp(parent->id, id) == 0)
			return true;
	return false;
}

static hm_result no_memory(struct hm_problem *why)
{
	return hm_broken(why, "no memory for a task");
}

/* The parent's node, which is made if its row is not there yet. */
static hm_result find_parent(
	struct tasks *tasks, const struct task_form *form, struct task_node **parent, struct hm_problem *why)
{
	*parent = *form->parent ? tasks_node(tasks, form->parent) : NULL;
	if (*parent && is_no_tree(&(*parent)->task, form->task.id))
		return hm_broken(why, "task %s: its parents are no tree", form->task.id);
	if (*parent || !*form->parent)
		return HM_OK;
	*parent = new_empty(tasks, form->parent, NULL);
	if (!*parent)
		return no_memory(why);
	tasks_insert(tasks, *parent);
	return HM_OK;
}

static hm_result put_new(
	struct tasks *tasks, struct task_node *old, const struct task_form *form, struct hm_problem *why)
{
	struct task_node *parent;
	HM_TRY(find_parent(tasks, form, &parent, why));
	struct task_node *node = task_node_new(tasks, &form->task);
	if (!node) {
		if (parent)
			drop_if_empty(tasks, parent);
		return no_memory(why);
	}
	if (parent)
		task_link(&parent->task, node);
	if (old)
		take_place(tasks, old, node);
	else
		tasks_insert(tasks, node);
	return HM_OK;
}

static hm_result put_task(struct tasks *tasks, const struct store_row *row, struct hm_problem *why)
{
	struct task_form form;
	JSON_AUTO *body = json_loadb(row->body, row->length, JSON_REJECT_DUPLICATES, NULL);
	if (!row->version || !task_read(body, row->key, &form))
		return hm_broken(why, "the store's row of task %.64s is malformed", row->key);
	form.task.version = row->version;
	struct task_node *node = tasks_node(tasks, row->key);
	if (!node || !is_same(&node->task, &form))
		return put_new(tasks, node, &form, why);
	node->task.version = row->version;
	node->task.state = form.task.state;
	node->task.held = form.task.held;
	node->task.ended = form.task.ended;
	node->task.struck = form.task.struck;
	return HM_OK;
}

/* One that has children stays, empty, so that they have a parent that has ended. */
static hm_result delete_task(struct tasks *tasks, const char *id, struct hm_problem *why)
{
	struct task_node *node = tasks_node(tasks, id), *empty;
	if (!node || !task_is_there(&node->task))
		return HM_OK;
	if (node->task.first_child) {
		empty = new_empty(tasks, id, NULL);
		if (!empty)
			return no_memory(why);
		take_place(tasks, node, empty);
		return HM_OK;
	}
	struct task *parent = node->task.parent;
	tasks_unname(tasks, node);
	task_unlink(node);
	drop(tasks, node);
	if (parent)
		drop_if_empty(tasks, task_node(parent));
	return HM_OK;
}

/* ---- rows of refs ---- */

/* "ISSUER CALLER REF": names have no spaces, the ref may. */
static bool read_ref_key(const char *key, char issuer[HM_NAME_MAX + 1], char caller[HM_NAME_MAX + 1], const char **ref)
{
	size_t first = strcspn(key, " "), second;
	if (!first || first > HM_NAME_MAX || !key[first])
		return false;
	second = strcspn(key + first + 1, " ");
	if (!second || second > HM_NAME_MAX || !key[first + 1 + second])
		return false;
	memcpy(issuer, key, first);
	memcpy(caller, key + first + 1, second);
	issuer[first] = caller[second] = 0;
	*ref = key + first + second + 2;
	return task_is_text(*ref, strlen(*ref), HM_REF_MAX);
}

static bool read_ref_body(const json_t *body, char task[HM_ID_MAX + 1], struct task_naming *naming)
{
	uint8_t digest[32];
	const json_t *id = json_object_get(body, "task"), *hash = json_object_get(body, "digest");
	if (json_object_size(body) != 2 || !json_is_string(id) || !task_is_id(json_string_value(id)) ||
		!json_is_string(hash) ||
		base64url_decode(json_string_value(hash), json_string_length(hash), digest, sizeof digest) !=
			sizeof digest)
		return false;
	memcpy(task, json_string_value(id), HM_ID_MAX + 1);
	memcpy(naming->digest, digest, sizeof naming->digest);
	return true;
}

static hm_result put_ref(struct tasks *tasks, const char *id, const struct task *named,
	const struct task_naming *naming, struct hm_problem *why)
{
	struct task_node *node = tasks_node(tasks, id);
	bool is_named = node && *node->task.ref;
	if (node && task_is_there(&node->task) && (!is_named || !task_has_name(&node->task, named)))
		return hm_broken(why, "the store has a ref to task %s that is not the task's", id);
	if (!is_named || !task_has_name(&node->task, named)) {
		struct task_node *empty = new_empty(tasks, id, named);
		if (!empty)
			return no_memory(why);
		if (node)
			take_place(tasks, node, empty);
		else
			tasks_insert(tasks, empty);
		node = empty;
	}
	tasks_name(tasks, node, naming);
	return HM_OK;
}

static hm_result take_ref(struct tasks *tasks, const struct store_row *row, struct hm_problem *why)
{
	char issuer[HM_NAME_MAX + 1], caller[HM_NAME_MAX + 1], id[HM_ID_MAX + 1];
	struct task named = {.issuer = issuer, .caller = caller};
	struct task_naming naming = {.version = row->version};
	if (!row->version || !read_ref_key(row->key, issuer, caller, &named.ref))
		return hm_broken(why, "the store's row of ref %.64s is malformed", row->key);
	if (row->body) {
		JSON_AUTO *body = json_loadb(row->body, row->length, JSON_REJECT_DUPLICATES, NULL);
		if (!read_ref_body(body, id, &naming))
			return hm_broken(why, "the store's row of ref %.64s is malformed", row->key);
		return put_ref(tasks, id, &named, &naming, why);
	}
	struct task_node *node = tasks_named(tasks, issuer, caller, named.ref);
	if (node) {
		tasks_unname(tasks, node);
		drop_if_empty(tasks, node);
	}
	return HM_OK;
}

hm_result tasks_take(struct tasks *tasks, const struct store_row *row, struct hm_problem *why)
{
	if (row->kind == RECORD_REF)
		return take_ref(tasks, row, why);
	if (row->kind != RECORD_TASK)
		return hm_broken(why, "a row of kind %d among the tasks", (int)row->kind);
	return row->body ? put_task(tasks, row, why) : delete_task(tasks, row->key, why);
}

void tasks_revoke(struct tasks *tasks, const struct task *task, bool is_revoked)
{
	struct task_node *node = tasks_node(tasks, task->id);
	if (node)
		node->task.revoked = is_revoked;
}

/* ---- looking ---- */

bool task_is_exchange(const struct task *task)
{
	return strncmp(task->ref, TASK_EXCHANGE_REF, strlen(TASK_EXCHANGE_REF)) == 0;
}

bool task_exchanged(const struct task *task, struct task_origin *origin)
{
	const char *token = task->ref + strlen(TASK_EXCHANGE_REF);
	if (!task_is_exchange(task))
		return false;
	const char *end = token + strcspn(token, ":"), *kid = *end ? end + 1 : end;
	snprintf(origin->token, sizeof origin->token, "%.*s", (int)(end - token), token);
	snprintf(origin->kid, sizeof origin->kid, "%.*s", (int)strcspn(kid, ":"), kid);
	return true;
}

const struct task *tasks_find(const struct tasks *tasks, const char *id)
{
	const struct task_node *node = tasks_node(tasks, id);
	return node && task_is_there(&node->task) ? &node->task : NULL;
}

const struct task *tasks_by_ref(const struct tasks *tasks, const char *issuer, const char *caller, const char *ref)
{
	const struct task_node *node = tasks_named(tasks, issuer, caller, ref);
	return node && task_is_there(&node->task) ? &node->task : NULL;
}

unsigned tasks_count(const struct tasks *tasks)
{
	return tasks->count;
}

unsigned tasks_list(const struct tasks *tasks, const char *issuer, const char *caller, const char *after,
	const struct task **found, unsigned most, char next[HM_ID_MAX + 1])
{
	unsigned count = 0, looked_at = 0;
	const char *last = after;
	const struct task_node *node = tasks_next(tasks, after);
	for (; node && count < most && looked_at < HM_TASKS_LOOKED_AT; node = tasks_behind(tasks, node)) {
		const struct task *task = &node->task;
		looked_at++;
		last = task->id;
		if (task_is_there(task) && strcmp(task->issuer, issuer) == 0 &&
			(!caller || strcmp(task->caller, caller) == 0))
			found[count++] = task;
	}
	snprintf(next, HM_ID_MAX + 1, "%s", node ? last : "");
	return count;
}
