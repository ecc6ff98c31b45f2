/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing and reading a frame's payload: fixed-width integers in host order (both ends are on one machine) and byte
 * strings with a 32-bit length before them. A writer or reader that once ran out of room or bytes stays failed, so a
 * caller checks once, at the end.
 */
#ifndef HSMINT_BUFFER_H
#define HSMINT_BUFFER_H

#include "result.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hm_writer {
	uint8_t *data; /* the caller's memory */
	size_t size;
	size_t used;
	bool failed;
};

struct hm_reader {
	const uint8_t *data; /* the caller's memory */
	size_t left;
	bool failed;
};

/* Bytes that live in somebody else's memory: the frame that was read. */
struct hm_bytes {
	const uint8_t *data;
	size_t length;
};

static inline struct hm_writer hm_writer(void *data, size_t size)
{
	return (struct hm_writer){.data = data, .size = size};
}

static inline struct hm_reader hm_reader(const void *data, size_t length)
{
	return (struct hm_reader){.data = data, .left = length};
}

void hm_put_u8(struct hm_writer *w, uint8_t value);
void hm_put_u16(struct hm_writer *w, uint16_t value);
void hm_put_u32(struct hm_writer *w, uint32_t value);
void hm_put_u64(struct hm_writer *w, uint64_t value);
void hm_put_raw(struct hm_writer *w, const void *data, size_t length);   /* without a length before it */
void hm_put_bytes(struct hm_writer *w, const void *data, size_t length); /* with a length before it */
void hm_put_string(struct hm_writer *w, const char *text);               /* as bytes, without the NUL */

uint8_t hm_get_u8(struct hm_reader *r);
uint16_t hm_get_u16(struct hm_reader *r);
uint32_t hm_get_u32(struct hm_reader *r);
uint64_t hm_get_u64(struct hm_reader *r);
void hm_get_raw(struct hm_reader *r, void *data, size_t length); /* zeros when failed */

/* Bytes with a length before them, at most `most`; they point into the reader's memory. Longer fails the reader. */
struct hm_bytes hm_get_bytes(struct hm_reader *r, size_t most);

/* The same, copied into `text` (of `size`) with a NUL behind; a NUL within fails the reader. */
void hm_get_string(struct hm_reader *r, char *text, size_t size);

/* The same for text that goes to logs and terminals: anything but printable ASCII fails the reader, so that a process
 * that was taken over steers neither. */
void hm_get_printable(struct hm_reader *r, char *text, size_t size);

/* True when nothing failed and every byte was read. */
static inline bool hm_reader_done(const struct hm_reader *r)
{
	return !r->failed && r->left == 0;
}

#endif
