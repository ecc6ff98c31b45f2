/* SPDX-License-Identifier: Apache-2.0 */
/* What goes back to gate for a mint request: as the operations of /v1/mint answer, or as a token endpoint does. */
#ifndef HSMINT_MINT_REPLY_H
#define HSMINT_MINT_REPLY_H

#include "approvals.h"
#include "service.h"

/* A reply has, beside the header and payload that were signed, a signature and the members around it. */
enum { MINT_REPLY_MORE = 2048, MINT_REPLY_MAX = HM_JWT_TBS_MAX + MINT_REPLY_MORE };

/* Answer with a problem; at a token endpoint with an OAuth error. */
void mint_refuse(struct service *service, uint64_t generation, uint64_t id, enum gate_operation operation,
	const struct hm_problem *why);

/* What the request that `pending` is for gets; into `body` of MINT_REPLY_MAX bytes. Returns its length; 0: no room. */
size_t mint_reply_write(const struct service *service, const struct pending *pending, char *body, size_t size);

/* Somebody must approve it first: the approval, to come again with. */
void mint_reply_asked(struct service *service, uint64_t generation, uint64_t id, enum gate_operation operation,
	const struct approval *approval);

/* To who asked first. False: the gate that asked is gone. */
bool mint_reply_give(struct service *service, const struct pending *pending, const char *body, size_t length);

/* The same bytes once more to somebody, and that they are so. */
bool mint_reply_give_again(struct service *service, uint64_t generation, uint64_t id, const char *text, size_t length);

#endif
