/* SPDX-License-Identifier: Apache-2.0 */
/* Mint requests on their way through a token: a fixed pool, oldest first, each with its deadline. */
#ifndef HSMINT_PENDING_H
#define HSMINT_PENDING_H

#include "config.h"
#include "humans.h"
#include "ledger.h"
#include "limits.h"
#include "status_lists.h"
#include <sys/queue.h>

struct member; /* fair.c */
struct replay; /* replay.c */
struct token;

/* Whose turn a request takes: numbers that fair.c compares, and the group's weight. */
struct fair_who {
	uint64_t group, member;
	unsigned weight;
};

TAILQ_HEAD(pending_list, pending);

/* Not all are requests of somebody. */
enum pending_for {
	PENDING_CREDENTIAL,
	PENDING_CHECKPOINT, /* of the ledger: ledger_heads.c */
	PENDING_STATUS_LIST /* status_publish.c */
};

struct pending {
	TAILQ_ENTRY(pending) by_deadline; /* in the pool's list of those that are not answered */
	/* In a line at the token, among those it works on, those that are signed, or the followers. */
	TAILQ_ENTRY(pending) at_token;
	uint64_t id;           /* names this use of this place; frames to the token carry it */
	bool in_use, answered; /* answered: the caller has its reply; the token may still be at work */
	bool goes_first;       /* it waits before all lines */
	bool moved;            /* it was with another token before */
	bool is_signed;        /* it waits for its entry alone */
	bool is_exchange;      /* it came for another token */
	bool is_dpop;          /* it is bound to the key of a DPoP proof */
	uint8_t operation;     /* enum gate_operation: how it is answered */

	uint64_t gate_request;    /* the id of gate's frame */
	uint64_t gate_generation; /* which gate asked; another one's connections are gone */
	uint64_t deadline_ms;     /* on the loop's clock; set by pending_take */
	uint64_t wanted_until_ms; /* the latest deadline of those who wait for it */

	struct token *token;
	bool at_work; /* the token's process has it; else it is in the token's queue, or at none */
	uint16_t key; /* place among the token's keys */
	struct fair_who who;
	struct member *member; /* what fair.c counts it with */
	unsigned tries;
	enum pending_for what;
	const struct token *was_with; /* the token that had it last: compared, never looked into */
	unsigned configuration;       /* by which it was decided: service.h */
	uint64_t sent_ms;             /* when it was last sent to the token */

	/* An Idempotency-Key: the request that came first is signed, repetitions follow it and get the same answer. */
	struct replay *replay;  /* NULL: no key */
	uint16_t item;          /* of the key's batch */
	uint8_t terms[32];      /* what the configuration put into it: struct identity */
	struct pending *leader; /* of a follower, which is with no token */
	struct pending_list followers;

	/* what the reply will say */
	enum credential_kind kind;
	char profile[HM_NAME_MAX + 1];
	char kid[HM_KID_MAX + 1];
	char id_text[HM_ID_MAX + 1];
	int64_t issued, expires;

	/* whose it is, looked at again when it is signed */
	char issuer[HM_NAME_MAX + 1]; /* its name in the configuration */
	char subject[HM_SPIFFE_ID_MAX + 1];
	char task[HM_ID_MAX + 1]; /* "": none */
	bool has_place;           /* in a status list */
	struct status_place place;

	size_t tbs_length;

	/* its entry in the ledger */
	uint64_t ticket;                           /* of the newest that tells of it; 0: none does yet */
	struct receipt receipt;                    /* of the one that tells of the credential */
	size_t entry_length, entry_kid, entry_tbs; /* and where in it the key's and the bytes' names are */
	struct humans humans;                      /* whom it names */
	char entry[HM_LEDGER_ENTRY_MAX];

	char jwt[HM_JWT_MAX]; /* what is signed, tbs_length; then a dot and the signature behind it */
};

struct pending_pool; /* opaque; made by pending_open, released by pending_close */

struct pending_pool *pending_open(void); /* NULL: no memory */
void pending_close(struct pending_pool *pool);

/* A free place, or NULL when all HM_PENDING_MAX are in use. `deadline_ms` is when it must be answered. */
struct pending *pending_take(struct pending_pool *pool, uint64_t deadline_ms);
void pending_release(struct pending_pool *pool, struct pending *pending);

/* The place that has this id now, or NULL. */
struct pending *pending_find(struct pending_pool *pool, uint64_t id);

/* The one with the nearest deadline of those that are not answered yet, or NULL. */
struct pending *pending_next_due(struct pending_pool *pool);
void pending_mark_answered(struct pending_pool *pool, struct pending *pending);

unsigned pending_count(const struct pending_pool *pool);
unsigned pending_free(const struct pending_pool *pool);

#endif
