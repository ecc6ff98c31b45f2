/* SPDX-License-Identifier: Apache-2.0 */
/* The frames of a segment (docs/ledger.md): the newest entries, as they were written. */
#ifndef HSMINT_SEGMENT_H
#define HSMINT_SEGMENT_H

#include "merkle.h"

enum {
	SEGMENT_HEAD = 20,
	SEGMENT_FRAME_MORE = SEGMENT_HEAD + 32, /* a frame is its body and this */
	SEGMENT_BODY_MAX = 16 * 1024 * 1024
};

/* Fill the head and the tail of a frame whose body lies `SEGMENT_HEAD` bytes behind `frame`. Source: segment.c */
void segment_frame(uint8_t *frame, size_t body, uint64_t first, unsigned count, const struct merkle_hash *leaves);

/* What a reader of frames does with each entry, in order. */
typedef hm_result segment_take(
	void *context, uint64_t index, const uint8_t *entry, size_t length, struct hm_problem *why);

struct segment {
	uint64_t first, next; /* indices: of its first entry, and behind its last */
	size_t used;          /* bytes of whole frames */
	bool is_torn;         /* something that is not a frame is behind them */
};

/*
 * Read frames; `take` (may be NULL) gets the entries of each after the frame was found whole and right. HM_REFUSED: not
 * even the first frame is right; frames do not follow one another; or a whole frame stands behind a damaged one, which
 * no crash leaves: `why` names the entry.
 */
hm_result segment_read(const uint8_t *data, size_t length, segment_take *take, void *context, struct segment *segment,
	struct hm_problem *why) HM_MUST_USE;

#endif
