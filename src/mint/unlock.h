/* SPDX-License-Identifier: Apache-2.0 */
/* `hsmint token unlock`: what people give to log a token in, and the answer once it is logged in, or not. */
#ifndef HSMINT_UNLOCK_H
#define HSMINT_UNLOCK_H

#include "control.h"

struct unlocks; /* opaque; who waits to hear how a login ended */

struct unlocks *unlocks_open(void); /* NULL: no memory */
void unlocks_close(struct unlocks *unlocks);

/*
 * Take what the operator with this uid gives (`*part`, taken over when it is; -1: nothing but their word). Where parts
 * are missing `*length` bytes of `reply` say how many; else it is 0, and `asker` is answered when the token is ready,
 * or its process ended.
 */
hm_result unlock_give(struct service *service, struct token *token, uint32_t uid, int *part,
	const struct control_asker *asker, char *reply, size_t size, size_t *length,
	struct hm_problem *why) HM_MUST_USE;

/* The token got ready, or a process of it ended, or it will never start one: answer who unlocked it. */
void unlock_ended(struct service *service, const struct token *token);

#endif
