/* SPDX-License-Identifier: Apache-2.0 */
/* What holds for a task, its parents looked at, and whether a credential may be struck under it. */
#include "tasks_inside.h"

static enum task_state own_state(const struct task *task, int64_t now)
{
	bool has_ended = task->state == TASK_COMPLETED || task->state == TASK_CANCELLED;
	if (!has_ended && task->revoked)
		return TASK_CANCELLED;
	return !has_ended && task->expires <= now ? TASK_EXPIRED : (enum task_state)task->state;
}

enum task_state task_effective(const struct task *task, int64_t now)
{
	enum task_state effective = TASK_OPEN;
	for (; task; task = task->parent) {
		enum task_state own = own_state(task, now);
		if (own == TASK_PAUSED)
			effective = TASK_PAUSED;
		else if (own != TASK_OPEN)
			return own;
	}
	return effective;
}

int64_t task_expires(const struct task *task)
{
	int64_t expires = task->expires;
	for (task = task->parent; task; task = task->parent)
		if (task->expires < expires)
			expires = task->expires;
	return expires;
}

hm_result tasks_check(const struct task *task, int64_t now, struct hm_problem *why)
{
	if (!task)
		return hm_refuse(why, "unknown_task", "task", "a task of this caller and agent");
	switch (task_effective(task, now)) {
	case TASK_PAUSED:
		return hm_refuse(why, "task_paused", "task", "a task that is open: this one, or a parent, is paused");
	case TASK_COMPLETED:
	case TASK_CANCELLED:
		return hm_refuse(why, "task_ended", "task", "a task that is open: this one, or a parent, has ended");
	case TASK_EXPIRED:
		return hm_refuse(
			why, "task_expired", "task", "a task that is open: this one, or a parent, has expired");
	case TASK_OPEN:
	case TASK_STATES:
		break;
	}
	return HM_OK;
}
