/* SPDX-License-Identifier: Apache-2.0 */
/* Mint requests on their way through a token: a fixed pool, oldest first, each with its deadline. */
#ifndef HSMINT_PENDING_H
#define HSMINT_PENDING_H

#include "config.h"
#include "limits.h"
#include <sys/queue.h>

struct token;

struct pending {
	TAILQ_ENTRY(pending) by_age;   /* in the pool's list of those in use */
	TAILQ_ENTRY(pending) at_token; /* in the token's queue, or among those it works on */
	uint64_t id;                   /* names this use of this place; frames to the token carry it */
	bool in_use, answered;         /* answered: the caller has its reply; the token may still be at work */
	bool at_work;                  /* the token's process has it; else it is in the token's queue, or at none */

	uint64_t gate_request;    /* the id of gate's frame */
	uint64_t gate_generation; /* which gate asked; another one's connections are gone */
	uint64_t deadline_ms;     /* on the loop's clock */

	struct token *token;
	uint16_t key; /* place among the token's keys */
	unsigned tries;
	uint64_t sent_ms; /* when it was last sent to the token */

	/* what the reply will say */
	enum credential_kind kind;
	char profile[HM_NAME_MAX + 1];
	char kid[HM_KID_MAX + 1];
	char id_text[HM_ID_MAX + 1];
	int64_t issued, expires;

	size_t tbs_length;
	char jwt[HM_JWT_MAX]; /* what is signed; then a dot and the signature behind it */
};

TAILQ_HEAD(pending_list, pending);

struct pending_pool; /* opaque; made by pending_open, released by pending_close */

struct pending_pool *pending_open(void); /* NULL: no memory */
void pending_close(struct pending_pool *pool);

/* A free place, or NULL when all HM_PENDING_MAX are in use. */
struct pending *pending_take(struct pending_pool *pool);
void pending_release(struct pending_pool *pool, struct pending *pending);

/* The place that has this id now, or NULL. */
struct pending *pending_find(struct pending_pool *pool, uint64_t id);

/* The oldest that is not answered yet, or NULL: since all have the same time, its deadline is the next. */
struct pending *pending_oldest(struct pending_pool *pool);
void pending_mark_answered(struct pending_pool *pool, struct pending *pending);

unsigned pending_count(const struct pending_pool *pool);

#endif
