/* SPDX-License-Identifier: Apache-2.0 */
#include "segment.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

struct log {
	uint8_t data[4096];
	size_t used, frames[8]; /* where each ends */
	unsigned count;
	uint64_t next;
};

static void add_frame(struct log *log, uint64_t first, const char *const *entries, unsigned count)
{
	struct merkle_hash leaves[8];
	uint8_t *frame = log->data + log->used;
	size_t body = 0;
	for (unsigned i = 0; i < count; i++) {
		size_t length = strlen(entries[i]);
		frame[SEGMENT_HEAD + body++] = 0;
		frame[SEGMENT_HEAD + body++] = (uint8_t)length;
		memcpy(frame + SEGMENT_HEAD + body, entries[i], length);
		body += length;
		merkle_leaf(entries[i], length, &leaves[i]);
	}
	segment_frame(frame, body, first, count, leaves);
	log->used += body + SEGMENT_FRAME_MORE;
	log->frames[log->count++] = log->used;
	log->next = first + count;
}

static const char *const words[] = {"{\"a\":1}", "{\"b\":22}", "{}"};

static struct log three_frames(void)
{
	static struct log log;
	log = (struct log){.used = 0};
	add_frame(&log, 512, words, 2);
	add_frame(&log, 514, words + 1, 1);
	add_frame(&log, 515, words, 3);
	return log;
}

struct seen {
	uint64_t next;
	char text[256];
};

static hm_result note(void *context, uint64_t index, const uint8_t *entry, size_t length, struct hm_problem *why)
{
	struct seen *seen = context;
	(void)why;
	cr_assert_eq(index, seen->next++);
	strncat(seen->text, (const char *)entry, length);
	return HM_OK;
}

static hm_result read_it(const uint8_t *data, size_t length, struct seen *seen, struct segment *segment)
{
	static struct hm_problem why;
	*seen = (struct seen){.next = 512};
	return segment_read(data, length, note, seen, segment, &why);
}

Test(segment, is_read_as_it_was_written)
{
	struct log log = three_frames();
	struct seen seen;
	struct segment segment;
	cr_assert_eq(read_it(log.data, log.used, &seen, &segment), HM_OK);
	cr_assert_eq(segment.first, 512);
	cr_assert_eq(segment.next, 518);
	cr_assert_eq(segment.used, log.used);
	cr_assert_not(segment.is_torn);
	cr_assert_str_eq(seen.text, "{\"a\":1}{\"b\":22}{\"b\":22}{\"a\":1}{\"b\":22}{}");
}

/* A crash leaves any beginning of the last frame. */
Test(segment, a_torn_frame_ends_it)
{
	struct log log = three_frames();
	struct seen seen;
	struct segment segment;
	for (size_t cut = 0; cut < log.used; cut++) {
		hm_result result = read_it(log.data, cut, &seen, &segment);
		unsigned whole = 0;
		while (whole < log.count && log.frames[whole] <= cut)
			whole++;
		if (!whole) {
			cr_assert_eq(result, HM_REFUSED);
			continue;
		}
		cr_assert_eq(result, HM_OK);
		cr_assert_eq(segment.used, log.frames[whole - 1]);
		cr_assert_eq(segment.is_torn, cut != log.frames[whole - 1]);
	}
}

/* No crash damages what is before the last frame, which was written when the others were on stable storage. */
Test(segment, damage_before_the_last_frame_is_refused)
{
	struct log log = three_frames();
	struct seen seen;
	struct segment segment;
	for (size_t bit = 0; bit < log.frames[2] * 8; bit++) {
		log.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		hm_result result = read_it(log.data, log.used, &seen, &segment);
		if (bit / 8 < log.frames[1]) {
			cr_assert_eq(result, HM_REFUSED, "bit %zu", bit);
		} else {
			cr_assert_eq(result, HM_OK);
			cr_assert_eq(segment.next, 515);
			cr_assert(segment.is_torn);
		}
		log.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

Test(segment, frames_that_do_not_follow_are_refused)
{
	struct seen seen;
	struct segment segment;
	struct log log = {.used = 0};
	add_frame(&log, 512, words, 2);
	add_frame(&log, 515, words, 1);
	cr_assert_eq(read_it(log.data, log.used, &seen, &segment), HM_REFUSED);
	log = (struct log){.used = 0};
	add_frame(&log, 512, words, 2);
	add_frame(&log, 513, words, 1);
	cr_assert_eq(read_it(log.data, log.used, &seen, &segment), HM_REFUSED);
	log = (struct log){.used = 0};
	add_frame(&log, 511, words, 2);
	cr_assert_eq(read_it(log.data, log.used, &seen, &segment), HM_REFUSED, "not where a bundle begins");
	log = (struct log){.used = 0};
	add_frame(&log, 512, words, 0);
	add_frame(&log, 512, words, 1);
	cr_assert_eq(read_it(log.data, log.used, &seen, &segment), HM_OK);
	add_frame(&log, 513, words, 0);
	cr_assert_eq(read_it(log.data, log.used, &seen, &segment), HM_REFUSED, "empty, and not the first");
}
