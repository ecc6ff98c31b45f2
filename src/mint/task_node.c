/* SPDX-License-Identifier: Apache-2.0 */
/* A task's memory, and its place in its tree. */
#include "tasks_inside.h"

#include <stdlib.h>
#include <string.h>

/* ---- memory ---- */

struct task_naming *task_naming(const struct task *task)
{
	return *task->ref ? (struct task_naming *)(task_node(task) + 1) : NULL;
}

static size_t list_size(char *const *list, unsigned count)
{
	size_t size = count * sizeof *list;
	for (unsigned i = 0; i < count; i++)
		size += strlen(list[i]) + 1;
	return size;
}

static const char *copy_text(const char *text, char **at)
{
	if (!*text)
		return "";
	char *copy = *at;
	*at = stpcpy(copy, text) + 1;
	return copy;
}

static char **copy_list(char *const *list, unsigned count, char ***pointers, char **at)
{
	char **copy = *pointers;
	for (unsigned i = 0; i < count; i++)
		copy[i] = (char *)copy_text(list[i], at);
	*pointers += count;
	return count ? copy : NULL;
}

static void give_words(struct tasks *tasks, struct task_node *node)
{
	words_give(&tasks->words, node->task.issuer);
	words_give(&tasks->words, node->task.caller);
	words_give(&tasks->words, node->task.agent);
}

void task_node_free(struct tasks *tasks, struct task_node *node)
{
	give_words(tasks, node);
	free(node);
}

struct task_node *task_node_new(struct tasks *tasks, const struct task *task)
{
	size_t naming = *task->ref ? sizeof(struct task_naming) : 0;
	size_t texts = strlen(task->purpose) + strlen(task->on_behalf_of) + strlen(task->ref) + 3;
	struct task_node *node =
		malloc(sizeof *node + naming + texts + list_size(task->audiences, task->audiences_count) +
			list_size(task->scopes, task->scopes_count));
	if (!node)
		return NULL;
	*node = (struct task_node){.task = *task};
	char **pointers = (char **)((char *)(node + 1) + naming);
	char *at = (char *)(pointers + task->audiences_count + task->scopes_count);
	if (naming)
		*(struct task_naming *)(node + 1) = (struct task_naming){.version = 0};
	node->task.audiences = copy_list(task->audiences, task->audiences_count, &pointers, &at);
	node->task.scopes = copy_list(task->scopes, task->scopes_count, &pointers, &at);
	node->task.purpose = copy_text(task->purpose, &at);
	node->task.on_behalf_of = copy_text(task->on_behalf_of, &at);
	node->task.ref = copy_text(task->ref, &at);
	node->task.parent = node->task.first_child = node->task.next_sibling = NULL;
	node->task.issuer = words_take(&tasks->words, task->issuer);
	node->task.caller = words_take(&tasks->words, task->caller);
	node->task.agent = words_take(&tasks->words, task->agent);
	if (node->task.issuer && node->task.caller && node->task.agent)
		return node;
	task_node_free(tasks, node);
	return NULL;
}

/* ---- the tree ---- */

void task_link(struct task *parent, struct task_node *child)
{
	child->task.parent = parent;
	child->task.next_sibling = parent->first_child;
	if (parent->first_child)
		task_node(parent->first_child)->held_by = &child->task.next_sibling;
	parent->first_child = &child->task;
	child->held_by = &parent->first_child;
}

void task_unlink(struct task_node *child)
{
	if (!child->task.parent)
		return;
	*child->held_by = child->task.next_sibling;
	if (child->task.next_sibling)
		task_node(child->task.next_sibling)->held_by = child->held_by;
	child->task.parent = child->task.next_sibling = NULL;
}

void task_move_children(struct task *from, struct task *to)
{
	to->first_child = from->first_child;
	from->first_child = NULL;
	if (to->first_child)
		task_node(to->first_child)->held_by = &to->first_child;
	for (struct task *child = to->first_child; child; child = child->next_sibling)
		child->parent = to;
}
