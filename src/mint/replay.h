/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was minted under Idempotency-Keys, for HM_IDEMPOTENCY_SECONDS: in memory alone, wiped when it goes. A key
 * belongs to one caller and one body; a batch has an item for each of its requests. Only credentials are kept, never
 * refusals.
 */
#ifndef HSMINT_REPLAY_H
#define HSMINT_REPLAY_H

#include "identity.h"
#include "pending.h"

struct replays; /* opaque; made by replays_open, released by replays_close */
struct replay;  /* opaque: one key; it lives while one of its items is in flight or kept */

struct kept {
	int64_t issued, expires;
	uint8_t terms[32]; /* the leader's */
	char kid[HM_KID_MAX + 1];
	char id[HM_ID_MAX + 1]; /* the credential's */
	size_t length;
	char text[]; /* the reply that was given, JSON */
};

struct replays *replays_open(void); /* NULL: no memory */
void replays_close(struct replays *replays);

/* The key `id` of this caller; `*found` NULL: not known (any more). HM_REFUSED: idempotency_mismatch. */
hm_result replays_find(struct replays *replays, const struct identity *id, const struct gate_key *key, uint64_t now_ms,
	struct replay **found, struct hm_problem *why) HM_MUST_USE;

/* Of an item: who is in flight for it; what is kept. NULL: nobody, nothing. */
struct pending *replay_leader(const struct replay *replay, uint16_t item);
const struct kept *replay_kept(const struct replay *replay, uint16_t item);

/*
 * `leader` is in flight for the item key->item, of which there is nothing yet: sets its `replay` and `item`. A new key
 * is remembered, if memory is left for the `length` bytes its reply will have at most: HM_UNAVAILABLE idempotency_full,
 * with the time until there is; nothing that lives is given up for it. Of what its caller has left a `tenant` (of all
 * zeros: none) may have no more than it leaves to the others.
 */
hm_result replays_begin(struct replays *replays, const struct identity *caller, const struct identity *tenant,
	const struct identity *id, const struct gate_key *key, size_t length, uint64_t now_ms, struct pending *leader,
	struct hm_problem *why) HM_MUST_USE;

/* The leader's credential goes out and is kept with its reply (at most the promised length). False: no memory; it must
 * not go out. The leader has no replay after this, nor after replay_drop: nothing went out. */
bool replay_keep(struct replays *replays, struct pending *leader, const char *text, size_t length) HM_MUST_USE;
void replay_drop(struct replays *replays, struct pending *leader);

void replays_expire(struct replays *replays, uint64_t now_ms); /* forget what is too old; called each second */
unsigned replays_count(const struct replays *replays);         /* keys that are remembered */

#endif
