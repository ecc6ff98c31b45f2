/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PIN latch: what became of each PIN that was tried on a token, so that a wrong one is never tried twice, over
 * restarts and crashes too. It is the file state/latch/<token>:
 *
 *	hsmint-latch 1
 *	salt <base64url of 16 bytes>
 *	<trying|good|wrong> <base64url of scrypt(PIN, salt), 32 bytes> <attempts that ended without an answer>
 *
 * A PIN is `trying` from before C_Login until the token answers. Found so at another start, nobody knows whether the
 * token counted it as wrong: it is not tried again. A `good` one stays good; attempts with it that ended without an
 * answer are counted, and three in a row close the latch. Whoever calls holds the start lock (login.h).
 */
#ifndef HSMINT_LATCH_H
#define HSMINT_LATCH_H

#include "pin.h"
#include <stdbool.h>

enum { LATCH_SALT = 16, LATCH_DIGEST_TEXT = 43, LATCH_ENTRIES = 16 };

enum latch_state { LATCH_TRYING, LATCH_GOOD, LATCH_WRONG, LATCH_STATES };

struct latch {
	char path[HM_PATH_MAX];
	uint8_t salt[LATCH_SALT];
	unsigned count;
	struct latch_entry {
		enum latch_state state;
		char digest[LATCH_DIGEST_TEXT + 1];
		unsigned unanswered;
	} entries[LATCH_ENTRIES];
	struct latch_entry *current; /* the PIN of latch_try */
};

/* Read the latch of a token; a file that is not there is an empty one. With `forget`, only good PINs are kept, as if
 * never unanswered. TOKEN_LATCH: the file is damaged. */
hm_result latch_open(
	const char *state, const char *token, bool forget, struct latch *latch, struct token_failure *why) HM_MUST_USE;

/* Record, durably, that this PIN is about to be tried. TOKEN_LATCH: it must not be. TOKEN_DEVICE: the record cannot be
 * written. */
hm_result latch_try(struct latch *latch, const struct pin *pin, struct token_failure *why) HM_MUST_USE;

/* Record, durably, what the token said of it: LATCH_GOOD or LATCH_WRONG. */
hm_result latch_answer(struct latch *latch, enum latch_state answer, struct token_failure *why) HM_MUST_USE;

/* The token answered, but not about the PIN: an attempt with a good one does not count then. A PIN that was never good
 * stays `trying`. */
hm_result latch_withdraw(struct latch *latch, struct token_failure *why) HM_MUST_USE;

#endif
