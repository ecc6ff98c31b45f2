/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The view of tasks: every one that is open or ended lately, in memory, found by its id, or by who named it and how.
 * A task ends with its parent; that is derived when it is looked at, and never written into the child.
 */
#ifndef HSMINT_TASKS_H
#define HSMINT_TASKS_H

#include "agents.h"
#include "store.h"
#include <jansson.h>

enum task_state { TASK_OPEN, TASK_PAUSED, TASK_COMPLETED, TASK_CANCELLED, TASK_EXPIRED, TASK_STATES };
const char *task_state_name(enum task_state state); /* "open", … */

/* Lives until its row changes: look it up again after anything that may wait. There may be a million of them: mind what
 * a member more costs. */
struct task {
	uint64_t version;
	char id[HM_ID_MAX + 1];
	uint8_t state;                            /* of enum task_state: its own, never TASK_EXPIRED */
	bool held;                                /* paused by somebody proven to mint: only such a one resumes it */
	bool revoked;                             /* the token was that it was opened by: tasks_revoke */
	uint8_t audiences_count, scopes_count;    /* 0: as the agent's */
	unsigned struck;                          /* credentials, where a profile counts them */
	int64_t opened, expires, ended;           /* seconds since 1970; ended: 0: it is not */
	const char *issuer, *caller;              /* by their names in the configuration; caller: who opened it */
	const char *agent;                        /* SPIFFE ID */
	const char *purpose, *on_behalf_of, *ref; /* "": none */
	char **audiences, **scopes;               /* audiences: patterns, as a profile's */
	struct task
		*parent; /* NULL: none; with the version 0: its row is not there (yet), so its children have ended */
	struct task *first_child, *next_sibling;
};

/* A task as it is read or made: its texts and lists are elsewhere. */
struct task_form {
	struct task task;
	char parent[HM_ID_MAX + 1]; /* "": none */
	char *audiences[HM_AUDIENCES_MAX], *scopes[HM_SCOPES_MAX];
};

struct tasks; /* opaque; made by tasks_open, released by tasks_close */

struct tasks *tasks_open(void); /* NULL: no memory */
void tasks_close(struct tasks *tasks);

/* A row of RECORD_TASK or RECORD_REF. HM_BROKEN: it is not as docs/governance.md says; nothing changed. */
hm_result tasks_take(struct tasks *tasks, const struct store_row *row, struct hm_problem *why) HM_MUST_USE;

const struct task *tasks_find(const struct tasks *tasks, const char *id); /* NULL: none */
/* The task that this caller named `ref`; NULL: none. */
const struct task *tasks_by_ref(const struct tasks *tasks, const char *issuer, const char *caller, const char *ref);
unsigned tasks_count(const struct tasks *tasks);

/* What it is, its parents looked at too: the nearest that has ended says; else it is paused if one of them is. */
enum task_state task_effective(const struct task *task, int64_t now);
/* Its own end, or the earliest of its parents'. */
int64_t task_expires(const struct task *task);

/* May a credential be struck under it at `now`? HM_REFUSED: unknown_task (NULL), task_paused, task_ended, task_expired.
 */
hm_result tasks_check(const struct task *task, int64_t now, struct hm_problem *why) HM_MUST_USE;

/*
 * Tasks by id, from the one next to `after` ("": the first): of `issuer`, and of `caller` if that is not NULL, at most
 * `most`. It looks at HM_TASKS_LOOKED_AT rows at most, so that no list keeps others waiting: `next` is what to go on
 * after, "" at the end.
 */
unsigned tasks_list(const struct tasks *tasks, const char *issuer, const char *caller, const char *after,
	const struct task **found, unsigned most, char next[HM_ID_MAX + 1]);

/* By what a task is opened: a call, a mint request that carries it, the exchange of a token. */
enum task_way { TASK_BY_CALL, TASK_BY_MINT, TASK_BY_EXCHANGE };

/* The ref of a task that the exchange of a token opened begins with this, and goes on with the token's id, the
 * kid of our key that signed it, and a hash of who acts: with ':' between them. */
#define TASK_EXCHANGE_REF "exchange:"

/* Which token that was. */
struct task_origin {
	char token[HM_REF_MAX + 1]; /* its id: ours, or as delegation.h names another's */
	char kid[HM_KID_MAX + 1];   /* of the key of ours that signed it; "": it was another's */
};

/* False: no exchange opened the task. */
bool task_exchanged(const struct task *task, struct task_origin *origin);

/* Whether a token exchange opened it. */
bool task_is_exchange(const struct task *task);

/* The token that it was opened by was revoked, or is not: with it the task ends, as if it was cancelled. */
void tasks_revoke(struct tasks *tasks, const struct task *task, bool is_revoked);

/*
 * What opens a task, from JSON as in POST /v1/tasks, there without `agent` and `issuer`, or the member `task` of a mint
 * request: checked for form and against its agent and parent. `*id` gets its new id. With a ref that is known and the
 * same content nothing is added, and `*id` is that of the known one, whatever its state: tasks_find finds it. Fields at
 * fault begin with "task." where a mint request carries it, and then a ref is required. The parent of what an exchange
 * opens may be another caller's; refs of exchanges are theirs alone. HM_REFUSED: a member at fault, task_mismatch for
 * another content, the parent's state, task_too_deep; whether the agent may have credentials is not asked here.
 */
hm_result tasks_open_one(const struct tasks *tasks, const struct agents *agents, const char *issuer, const char *caller,
	const char *agent, json_t *members, enum task_way way, int64_t now, struct changes *changes,
	char id[HM_ID_MAX + 1], struct hm_problem *why) HM_MUST_USE;

/* The same questions of what a mint request carries, and nothing is changed: `*known` is the task that its ref names,
 * or NULL when there is none yet; then `form` has it as it would be opened. */
hm_result tasks_read_one(const struct tasks *tasks, const struct agents *agents, const char *issuer, const char *caller,
	const char *agent, json_t *members, enum task_way way, int64_t now, struct task_form *form,
	const struct task **known, struct hm_problem *why) HM_MUST_USE;

/* The change that counts one credential more. False: no memory. */
bool tasks_put_struck(struct changes *changes, const struct task *task) HM_MUST_USE;

/* The changes that delete what nothing needs any more: up to `most` tasks that ended, or expired, more than a day ago,
 * with their refs, children before their parents. A part of all tasks is looked at each time. Returns how many; the
 * changes may be incomplete, but never wrong, when memory is short. */
unsigned tasks_expire(struct tasks *tasks, int64_t now, unsigned most, struct changes *changes);

/* As /v1/tasks shows it, with the state that task_effective says: the caller's. */
json_t *task_json(const struct task *task, int64_t now);

#endif
