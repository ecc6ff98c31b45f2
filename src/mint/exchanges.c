/* SPDX-License-Identifier: Apache-2.0 */
#include "exchanges.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

struct opened {
	SLIST_ENTRY(opened) link;
	char task[HM_ID_MAX + 1];
};

struct token {
	char id[HM_REF_MAX + 1]; /* as the refs of its tasks have it */
	SLIST_HEAD(, opened) tasks;
};

struct exchanges {
	void *tree;
};

struct exchanges *exchanges_open(void)
{
	return calloc(1, sizeof(struct exchanges));
}

static void free_token(void *node)
{
	struct token *token = node;
	struct opened *opened;
	while ((opened = SLIST_FIRST(&token->tasks))) {
		SLIST_REMOVE_HEAD(&token->tasks, link);
		free(opened);
	}
	free(token);
}

void exchanges_close(struct exchanges *exchanges)
{
	if (!exchanges)
		return;
	tdestroy(exchanges->tree, free_token);
	free(exchanges);
}

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct token *)a)->id, ((const struct token *)b)->id);
}

static void read_token(const struct task *task, struct token *out)
{
	struct task_origin origin = {.token = ""};
	(void)task_exchanged(task, &origin);
	*out = (struct token){.id = ""};
	memcpy(out->id, origin.token, sizeof out->id);
}

static struct token *find(const struct exchanges *exchanges, const struct token *wanted)
{
	struct token **found = tfind(wanted, &exchanges->tree, compare);
	return found ? *found : NULL;
}

static struct token *find_or_make(struct exchanges *exchanges, const struct token *wanted)
{
	struct token *token = find(exchanges, wanted);
	if (token)
		return token;
	token = malloc(sizeof *token);
	if (!token)
		return NULL;
	*token = *wanted;
	if (tsearch(token, &exchanges->tree, compare))
		return token;
	free(token);
	return NULL;
}

static struct opened *find_task(const struct token *token, const char *id)
{
	struct opened *opened = NULL;
	if (token)
		SLIST_FOREACH(opened, &token->tasks, link)
	if (strcmp(opened->task, id) == 0)
		break;
	return opened;
}

hm_result exchanges_add(struct exchanges *exchanges, const struct task *task, struct hm_problem *why)
{
	struct token wanted;
	read_token(task, &wanted);
	struct token *token = find_or_make(exchanges, &wanted);
	if (find_task(token, task->id))
		return HM_OK;
	struct opened *opened = token ? malloc(sizeof *opened) : NULL;
	if (!opened)
		return hm_broken(why, "no memory for the task of an exchange");
	memcpy(opened->task, task->id, sizeof opened->task);
	SLIST_INSERT_HEAD(&token->tasks, opened, link);
	return HM_OK;
}

void exchanges_remove(struct exchanges *exchanges, const struct task *task)
{
	struct token wanted;
	read_token(task, &wanted);
	struct token *token = find(exchanges, &wanted);
	struct opened *opened = find_task(token, task->id);
	if (!opened)
		return;
	SLIST_REMOVE(&token->tasks, opened, opened, link);
	free(opened);
	if (!SLIST_EMPTY(&token->tasks))
		return;
	tdelete(token, &exchanges->tree, compare);
	free(token);
}

/* ---- all of them ---- */

struct walk {
	exchanges_visit *visit;
	void *context;
};

static void visit_tasks(const struct token *token, const struct walk *walk)
{
	const struct opened *opened;
	SLIST_FOREACH(opened, &token->tasks, link)
	walk->visit(walk->context, opened->task);
}

static void visit_token(const void *node, VISIT visit, void *context)
{
	if (visit == postorder || visit == leaf)
		visit_tasks(*(struct token *const *)node, context);
}

void exchanges_each(const struct exchanges *exchanges, const char *token, exchanges_visit *visit, void *context)
{
	struct walk walk = {visit, context};
	struct token wanted = {.id = ""};
	if (!token) {
		twalk_r(exchanges->tree, visit_token, &walk);
		return;
	}
	size_t length = strlen(token);
	if (length >= sizeof wanted.id)
		return;
	memcpy(wanted.id, token, length + 1);
	const struct token *found = find(exchanges, &wanted);
	if (found)
		visit_tasks(found, &walk);
}
