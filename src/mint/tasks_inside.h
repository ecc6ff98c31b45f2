/* SPDX-License-Identifier: Apache-2.0 */
/* What the rooms of the tasks (tasks, tasks_index, task_node, task_row, task_open, tasks_old, task_api) share. */
#ifndef HSMINT_TASKS_INSIDE_H
#define HSMINT_TASKS_INSIDE_H

#include "tasks.h"
#include "words.h"

/* A row of RECORD_REF, as much of it as is needed; it stands behind the task that it names. */
struct task_naming {
	struct task_node *next; /* in its bucket, when the row is there */
	uint64_t version;       /* 0: the row is not there (yet) */
	uint8_t digest[16];     /* the first half of the SHA-256: a caller deceives but itself with two of the same */
};

/* A task's memory is one piece: this, the naming of one that has a ref, its own texts. The rest is words. */
struct task_node {
	struct task task;
	struct task_node *next; /* in its bucket, the next higher id */
	struct task **held_by;  /* the first_child or next_sibling that points to it */
};

struct tasks {
	struct task_node **buckets;  /* by the first characters of the id, so that their order is that of the ids */
	unsigned bits, nodes, count; /* nodes: with those that have no row (yet); count: without them */
	struct task_node **refs;     /* the nodes whose naming is there, in buckets by what names them */
	unsigned refs_bits, refs_count;
	struct siphash_key key;
	struct words words;
	char looked_at[HM_ID_MAX + 1]; /* by tasks_expire, up to this one */
};

static inline struct task_node *task_node(const struct task *task)
{
	return (struct task_node *)task;
}

static inline bool task_is_there(const struct task *task)
{
	return task->version != 0;
}

/* 1 to `most` bytes without control characters. */
bool task_is_text(const char *text, size_t length, size_t most);
bool task_is_id(const char *text);
bool task_is_audience(const char *text, size_t length);
bool task_is_scope(const char *text, size_t length);

/* From and to the body of a row. Of what is read the texts are those of `body`. */
bool task_read(const json_t *body, const char *id, struct task_form *form);
bool task_put(struct changes *changes, const struct task *task) HM_MUST_USE; /* with the version that it has */

/* ---- task_node.c ---- */

/* NULL: the task has no ref. */
struct task_naming *task_naming(const struct task *task);

/* A copy of `task` with its own texts, in no tree and found by nothing yet; NULL: no memory. */
struct task_node *task_node_new(struct tasks *tasks, const struct task *task);
void task_node_free(struct tasks *tasks, struct task_node *node);

void task_link(struct task *parent, struct task_node *child);
void task_unlink(struct task_node *child);
void task_move_children(struct task *from, struct task *to);

/* ---- tasks_index.c ---- */

void tasks_insert(struct tasks *tasks, struct task_node *node);
void tasks_remove(struct tasks *tasks, struct task_node *node);

/* The node of this id, whether its row is there or not; NULL: none. */
struct task_node *tasks_node(const struct tasks *tasks, const char *id);

/* Go through ids in their order: the next node after `id` ("": the first), NULL at the end. */
const struct task_node *tasks_next(const struct tasks *tasks, const char *id);
const struct task_node *tasks_behind(const struct tasks *tasks, const struct task_node *node);

/* The node that this ref names; NULL: there is no such row. */
struct task_node *tasks_named(const struct tasks *tasks, const char *issuer, const char *caller, const char *ref);
/* The ref of this node names it and no other. */
void tasks_name(struct tasks *tasks, struct task_node *node, const struct task_naming *naming);
void tasks_unname(struct tasks *tasks, struct task_node *node);
bool task_has_name(const struct task *task, const struct task *other); /* the same issuer, caller and ref */

/* ---- task_row.c, task_open.c ---- */

/* "ISSUER CALLER REF" */
enum { TASK_REF_KEY_MAX = 2 * HM_NAME_MAX + HM_REF_MAX + 2 };
void task_ref_key(const struct task *task, char key[TASK_REF_KEY_MAX + 1]);

/* tasks_open_one, with the task as it will be: its texts are those of `members` and the arguments. `*form` says nothing
 * when the ref is known: the task of `id` is there. */
hm_result tasks_open_form(const struct tasks *tasks, const struct agents *agents, const char *issuer,
	const char *caller, const char *agent, json_t *members, enum task_way way, int64_t now, struct changes *changes,
	struct task_form *form, char id[HM_ID_MAX + 1], struct hm_problem *why) HM_MUST_USE;

#endif
