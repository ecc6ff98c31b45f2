/* SPDX-License-Identifier: Apache-2.0 */
/* The tasks that token exchanges opened, found by the token that was exchanged: with it they end. */
#ifndef HSMINT_EXCHANGES_H
#define HSMINT_EXCHANGES_H

#include "tasks.h"

struct exchanges; /* opaque; made by exchanges_open, released by exchanges_close */

struct exchanges *exchanges_open(void); /* NULL: no memory */
void exchanges_close(struct exchanges *exchanges);

/* A task that an exchange opened, there once however often it is added. HM_BROKEN: no memory. */
hm_result exchanges_add(struct exchanges *exchanges, const struct task *task, struct hm_problem *why) HM_MUST_USE;
void exchanges_remove(struct exchanges *exchanges, const struct task *task); /* unknown: nothing */

/* Each task by its id: of this token, or of all (NULL). Nothing is added or removed meanwhile. */
typedef void exchanges_visit(void *context, const char *task);
void exchanges_each(const struct exchanges *exchanges, const char *token, exchanges_visit *visit, void *context);

#endif
