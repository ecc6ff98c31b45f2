/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PIN latch: what became of each PIN that was tried on a token, so that a wrong one is never tried twice, over
 * restarts and crashes too. It is the file state/latch/<token>:
 *
 *	hsmint-latch 1
 *	salt <base64url of 16 bytes>
 *	<trying|good|wrong> <mark> <attempts that ended without an answer>
 *
 * A PIN that the configuration names is marked by the base64url of scrypt(PIN, salt), 32 bytes. One that people give in
 * an unlock is marked by the base64url of the unlock's random id, 16 bytes: it stays in force for as long as the
 *unlock, and a digest on the disk could be guessed at. Of unlocks only the last one's mark is kept.
 *
 * A PIN is `trying` from before C_Login until the token answers. Found so at another start, nobody knows whether the
 * token counted it as wrong: it is not tried again. A `good` one stays good; attempts with it that ended without an
 * answer are counted, and three in a row close the latch. Whoever calls holds the start lock (login.h).
 */
#ifndef HSMINT_LATCH_H
#define HSMINT_LATCH_H

#include "pin.h"
#include <stdbool.h>

enum { LATCH_SALT = 16, LATCH_DIGEST_TEXT = 43, LATCH_UNLOCK_TEXT = 22, LATCH_ENTRIES = 16 };

enum latch_state { LATCH_TRYING, LATCH_GOOD, LATCH_WRONG, LATCH_STATES };

struct latch {
	char path[HM_PATH_MAX];
	uint8_t salt[LATCH_SALT];
	unsigned count;
	struct latch_entry {
		enum latch_state state;
		char mark[LATCH_DIGEST_TEXT + 1];
		unsigned unanswered;
	} entries[LATCH_ENTRIES];
	char mark[LATCH_DIGEST_TEXT + 1]; /* of the PIN that was chosen, */
	struct latch_entry *current;      /* and its entry; NULL: it was never tried */
};

/* Read the latch of a token; a file that is not there is an empty one. With `forget`, only good PINs are kept, as if
 * never unanswered. TOKEN_LATCH: the file is damaged. */
hm_result latch_open(
	const char *state, const char *token, bool forget, struct latch *latch, struct token_failure *why) HM_MUST_USE;

/* Say which PIN all below is about: this one, or that of an unlock. */
hm_result latch_choose(struct latch *latch, const struct pin *pin, struct token_failure *why) HM_MUST_USE;
void latch_choose_unlock(struct latch *latch, const uint8_t id[HM_UNLOCK_ID]);

/* Whether the token took it before, and whether no answer came to the last attempt since. */
bool latch_is_good(const struct latch *latch);
bool latch_is_in_doubt(const struct latch *latch);

/* Record, durably, that it is about to be tried. TOKEN_LATCH: it must not be. TOKEN_DEVICE: the record cannot be
 * written. */
hm_result latch_try(struct latch *latch, struct token_failure *why) HM_MUST_USE;

/* Record, durably, what the token said of it: LATCH_GOOD or LATCH_WRONG. */
hm_result latch_answer(struct latch *latch, enum latch_state answer, struct token_failure *why) HM_MUST_USE;

/* The token answered, but not about the PIN: an attempt with a good one does not count then. A PIN that was never good
 * stays `trying`. */
hm_result latch_withdraw(struct latch *latch, struct token_failure *why) HM_MUST_USE;

#endif
