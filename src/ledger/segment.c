/* SPDX-License-Identifier: Apache-2.0 */
/* The low-level hash for the reason given in merkle.c. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "segment.h"

#include "tile.h"
#include <inttypes.h>
#include <openssl/sha.h>
#include <string.h>

static const uint8_t magic[4] = {'H', 'S', 'L', '1'};

static void put_number(uint8_t *out, uint64_t value, unsigned bytes)
{
	while (bytes--) {
		out[bytes] = (uint8_t)value;
		value >>= 8;
	}
}

static uint64_t get_number(const uint8_t *data, unsigned bytes)
{
	uint64_t value = 0;
	for (unsigned i = 0; i < bytes; i++)
		value = value << 8 | data[i];
	return value;
}

void segment_frame(uint8_t *frame, size_t body, uint64_t first, unsigned count, const struct merkle_hash *leaves)
{
	SHA256_CTX context;
	memcpy(frame, magic, sizeof magic);
	put_number(frame + 4, body, 4);
	put_number(frame + 8, first, 8);
	put_number(frame + 16, count, 4);
	SHA256_Init(&context);
	SHA256_Update(&context, frame, SEGMENT_HEAD);
	SHA256_Update(&context, leaves, count * sizeof *leaves);
	SHA256_Final(frame + SEGMENT_HEAD + body, &context);
}

struct frame {
	uint64_t first;
	uint64_t count;
	const uint8_t *body;
	size_t length;
};

/* Whether its check is right: made anew of the entries that its body has. */
static bool is_right(const uint8_t *data, const struct frame *frame)
{
	SHA256_CTX context;
	uint8_t check[32];
	const uint8_t *at = frame->body, *entry;
	size_t left = frame->length, length;
	uint64_t count = 0;
	SHA256_Init(&context);
	SHA256_Update(&context, data, SEGMENT_HEAD);
	while (tile_next_entry(&at, &left, &entry, &length)) {
		struct merkle_hash leaf;
		merkle_leaf(entry, length, &leaf);
		SHA256_Update(&context, leaf.bytes, sizeof leaf.bytes);
		count++;
	}
	SHA256_Final(check, &context);
	return left == 0 && count == frame->count && memcmp(check, frame->body + frame->length, sizeof check) == 0;
}

static bool read_frame(const uint8_t *data, size_t left, struct frame *frame)
{
	if (left < SEGMENT_FRAME_MORE || memcmp(data, magic, sizeof magic) != 0)
		return false;
	frame->length = (size_t)get_number(data + 4, 4);
	frame->first = get_number(data + 8, 8);
	frame->count = get_number(data + 16, 4);
	frame->body = data + SEGMENT_HEAD;
	return frame->length <= SEGMENT_BODY_MAX && frame->length <= left - SEGMENT_FRAME_MORE && is_right(data, frame);
}

static hm_result give(const struct frame *frame, segment_take *take, void *context, struct hm_problem *why)
{
	const uint8_t *at = frame->body, *entry;
	size_t left = frame->length, length;
	for (uint64_t index = frame->first; take && tile_next_entry(&at, &left, &entry, &length); index++)
		HM_TRY(take(context, index, entry, length, why));
	return HM_OK;
}

/* A crash tears the last frame alone: the next is written when the one before is on stable storage. */
static hm_result check_torn(const uint8_t *data, size_t left, uint64_t index, struct hm_problem *why)
{
	struct frame frame;
	for (size_t at = 1; at < left; at++) {
		const uint8_t *next = memchr(data + at, magic[0], left - at);
		if (!next)
			return HM_OK;
		at = (size_t)(next - data);
		if (read_frame(data + at, left - at, &frame))
			return hm_refuse(why, "config", NULL,
				"the segment is damaged at entry %" PRIu64 ": whole entries from %" PRIu64
				" on stand behind it, which no crash leaves",
				index, frame.first);
	}
	return HM_OK;
}

hm_result segment_read(const uint8_t *data, size_t length, segment_take *take, void *context, struct segment *segment,
	struct hm_problem *why)
{
	struct frame frame;
	if (!read_frame(data, length, &frame))
		return hm_refuse(why, "config", NULL, "the segment's first frame is damaged");
	if (frame.first % TILE_WIDTH)
		return hm_refuse(why, "config", NULL, "the segment begins within a bundle");
	*segment = (struct segment){.first = frame.first, .next = frame.first};
	do {
		if (frame.first != segment->next || (segment->used && !frame.count))
			return hm_refuse(why, "config", NULL,
				"the segment's frames do not follow one another: entry %" PRIu64
				" stands where %" PRIu64 " belongs",
				frame.first, segment->next);
		HM_TRY(give(&frame, take, context, why));
		segment->next += frame.count;
		segment->used += SEGMENT_FRAME_MORE + frame.length;
	} while (read_frame(data + segment->used, length - segment->used, &frame));
	segment->is_torn = segment->used < length;
	return check_torn(data + segment->used, length - segment->used, segment->next, why);
}
