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

static size_t text_size(const char *text)
{
	return *text ? strlen(text) + 1 : 0;
}

static const char *copy_text(const char *text, char **at)
{
	if (!*text)
		return "";
	char *copy = *at;
	*at = stpcpy(copy, text) + 1;
	return copy;
}

static bool take_words(struct words *words, struct task *to, const struct task *from)
{
	to->issuer = words_take(words, from->issuer);
	to->caller = words_take(words, from->caller);
	to->agent = words_take(words, from->agent);
	if (from->audiences_count)
		to->audiences = words_take_list(words, from->audiences, from->audiences_count);
	if (from->scopes_count)
		to->scopes = words_take_list(words, from->scopes, from->scopes_count);
	return to->issuer && to->caller && to->agent && (to->audiences || !from->audiences_count) &&
	       (to->scopes || !from->scopes_count);
}

static void give_words(struct words *words, struct task *task)
{
	words_give(words, task->issuer);
	words_give(words, task->caller);
	words_give(words, task->agent);
	words_give_list(words, task->audiences);
	words_give_list(words, task->scopes);
}

void task_node_free(struct tasks *tasks, struct task_node *node)
{
	give_words(&tasks->words, &node->task);
	free(node);
}

struct task_node *task_node_new(struct tasks *tasks, const struct task *task)
{
	size_t naming = *task->ref ? sizeof(struct task_naming) : 0;
	size_t texts = text_size(task->purpose) + text_size(task->on_behalf_of) + text_size(task->ref);
	struct task_node *node = malloc(sizeof *node + naming + texts);
	if (!node)
		return NULL;
	char *at = (char *)(node + 1) + naming;
	*node = (struct task_node){.task = *task};
	if (naming)
		*(struct task_naming *)(node + 1) = (struct task_naming){.version = 0};
	node->task.purpose = copy_text(task->purpose, &at);
	node->task.on_behalf_of = copy_text(task->on_behalf_of, &at);
	node->task.ref = copy_text(task->ref, &at);
	node->task.parent = node->task.first_child = node->task.next_sibling = NULL;
	node->task.audiences = node->task.scopes = NULL;
	if (take_words(&tasks->words, &node->task, task))
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
