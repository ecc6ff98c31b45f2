/* SPDX-License-Identifier: Apache-2.0 */
/* The service's anchors: read at the start, before anything is struck, and told each new checkpoint. File and witness
 * are anchor.c's; the token's data object comes and goes in frames. */
#ifndef HSMINT_ANCHORS_H
#define HSMINT_ANCHORS_H

#include "service.h"

struct anchors; /* opaque; in service->anchors, made by anchors_open */

/* Read what file, store and witness remember; one that cannot be asked is asked again each second. HM_REFUSED: one
 * cannot be used, or remembers what the directory does not have. */
hm_result anchors_open(struct service *service, struct hm_problem *why) HM_MUST_USE;
void anchors_close(struct anchors *anchors); /* NULL is fine */

/* Whether the store is as new as those that were read remember: as governance_check_memory. */
hm_result anchors_check_store(const struct service *service, struct hm_problem *why) HM_MUST_USE;

void anchors_tick(struct service *service);

/* HM_UNAVAILABLE: ledger_unavailable, one of them has not told yet what it remembers. */
hm_result anchors_refusal(const struct service *service, struct hm_problem *why) HM_MUST_USE;

/* A new checkpoint, for file and witness; blocks, for a worker. As anchor_keep. */
hm_result anchors_keep(
	struct anchors *anchors, unsigned shard, char *note, size_t *length, struct hm_problem *why) HM_MUST_USE;

/* The same for the token: not each of them, as what a token writes to may wear, but the `last` always. */
void anchors_keep_in_token(struct service *service, const char *note, size_t length, bool last);

/* Whether the token has not answered that yet. */
bool anchors_wait(const struct service *service);

/* The token answered, whichever it was asked. */
void anchors_answered(struct service *service, const struct token_failure *failure, const uint8_t *note, size_t length);

/* For reports: which there are ("file, token"), and what is wrong with them; "" */
const char *anchors_names(const struct config_ledger *ledger);
const char *anchors_fault(const struct service *service);

#endif
