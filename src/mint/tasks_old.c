/* SPDX-License-Identifier: Apache-2.0 */
/* What is over long enough that nothing needs it is deleted. */
#include "tasks_inside.h"
#include <stdio.h>

enum { PASSES = 1024, LOOK_AT_LEAST = 1024 };

/* When it ended, or will: it, or the first of its parents. */
static int64_t end_of(const struct task *task)
{
	int64_t end = INT64_MAX;
	for (; task && task_is_there(task); task = task->parent) {
		int64_t own = task->ended ? task->ended : task->expires;
		if (own < end)
			end = own;
	}
	return end;
}

static bool put_deletions(struct changes *changes, const struct task *task)
{
	char key[TASK_REF_KEY_MAX + 1];
	const struct task_naming *naming = task_naming(task);
	if (naming && naming->version) {
		task_ref_key(task, key);
		if (!changes_delete(changes, RECORD_REF, key, naming->version))
			return false;
	}
	return changes_delete(changes, RECORD_TASK, task->id, task->version);
}

unsigned tasks_expire(struct tasks *tasks, int64_t now, unsigned most, struct changes *changes)
{
	unsigned count = 0, looked_at = tasks->nodes / PASSES + LOOK_AT_LEAST;
	const struct task_node *node = tasks_next(tasks, tasks->looked_at);
	const struct task *last = NULL;
	for (; node && count < most && looked_at; node = tasks_behind(tasks, node), looked_at--) {
		last = &node->task;
		if (!task_is_there(last) || last->first_child || now - end_of(last) <= HM_LIFETIME_MAX)
			continue;
		if (!put_deletions(changes, last))
			break;
		count++;
	}
	snprintf(tasks->looked_at, sizeof tasks->looked_at, "%s", node && last ? last->id : "");
	return count;
}
