/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger's heads, signed: when a checkpoint is due, what signs it, where it is kept and published. A checkpoint
 * covers what is on stable storage alone, and never contradicts one before it.
 */
#ifndef HSMINT_LEDGER_HEADS_H
#define HSMINT_LEDGER_HEADS_H

#include "service.h"

struct ledger_heads; /* opaque; in service->heads, made by ledger_heads_open */

/* HM_UNAVAILABLE: no memory. */
hm_result ledger_heads_open(struct service *service, struct hm_problem *why) HM_MUST_USE;
void ledger_heads_close(struct ledger_heads *heads); /* NULL is fine */

/* Whether credentials may be struck, as far as the ledger goes. HM_UNAVAILABLE: ledger_unavailable, or
 * token_unavailable while the key that verifies its newest checkpoint is not known. */
hm_result ledger_heads_refusal(const struct service *service, struct hm_problem *why) HM_MUST_USE;

/* Keys may have become known: the newest checkpoint is verified with the one that signed it, once. HM_REFUSED: it is
 * not its signature. */
hm_result ledger_heads_verify(struct service *service, struct hm_problem *why) HM_MUST_USE;

/* Each second: a checkpoint if one is due, and a new shard if the open one is old. */
void ledger_heads_tick(struct service *service);

/* More is on stable storage, and nothing is being written: what waits for that is signed. */
void ledger_heads_durable(struct service *service);

/* What a token made of it: mint_signed, mint_failed and mint_expire hand it over. */
void ledger_heads_signed(struct service *service, struct pending *pending, const uint8_t *signature, size_t length);
void ledger_heads_failed(struct service *service, struct pending *pending, const char *detail);
void ledger_heads_expired(struct service *service, struct pending *pending);

/* A last checkpoint of all there is, if it can be had within HM_REQUEST_MS; then `done`. */
void ledger_heads_finish(struct service *service, void (*done)(struct service *service));

/* The token has answered what anchors_keep_in_token gave it. */
void ledger_heads_kept(struct service *service);

/* For reports. */
struct ledger_heads_facts {
	unsigned shard;       /* the open one, */
	uint64_t size;        /* its entries, */
	uint64_t signed_size; /* and those of them that its newest checkpoint covers */
	int64_t signed_at;    /* seconds since 1970; 0: not since the start */
	bool is_signing;      /* a checkpoint is with its token */
	const char *anchor;   /* where else the newest is kept: "file", "file, witness", …; "" */
	const char *fault;    /* why there is no newer one, or it is not kept; "" */
};
struct ledger_heads_facts ledger_heads_facts(const struct service *service);

#endif
