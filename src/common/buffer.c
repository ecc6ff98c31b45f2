/* SPDX-License-Identifier: Apache-2.0 */
#include "buffer.h"

#include <string.h>

void hm_put_raw(struct hm_writer *w, const void *data, size_t length)
{
	if (w->failed || length > w->size - w->used) {
		w->failed = true;
		return;
	}
	if (length)
		memcpy(w->data + w->used, data, length);
	w->used += length;
}

void hm_put_u8(struct hm_writer *w, uint8_t value)
{
	hm_put_raw(w, &value, sizeof value);
}

void hm_put_u16(struct hm_writer *w, uint16_t value)
{
	hm_put_raw(w, &value, sizeof value);
}

void hm_put_u32(struct hm_writer *w, uint32_t value)
{
	hm_put_raw(w, &value, sizeof value);
}

void hm_put_u64(struct hm_writer *w, uint64_t value)
{
	hm_put_raw(w, &value, sizeof value);
}

void hm_put_bytes(struct hm_writer *w, const void *data, size_t length)
{
	if (length > UINT32_MAX) {
		w->failed = true;
		return;
	}
	hm_put_u32(w, (uint32_t)length);
	hm_put_raw(w, data, length);
}

void hm_put_string(struct hm_writer *w, const char *text)
{
	hm_put_bytes(w, text, strlen(text));
}

void hm_get_raw(struct hm_reader *r, void *data, size_t length)
{
	if (r->failed || length > r->left) {
		r->failed = true;
		memset(data, 0, length);
		return;
	}
	memcpy(data, r->data, length);
	r->data += length;
	r->left -= length;
}

uint8_t hm_get_u8(struct hm_reader *r)
{
	uint8_t value;
	hm_get_raw(r, &value, sizeof value);
	return value;
}

uint16_t hm_get_u16(struct hm_reader *r)
{
	uint16_t value;
	hm_get_raw(r, &value, sizeof value);
	return value;
}

uint32_t hm_get_u32(struct hm_reader *r)
{
	uint32_t value;
	hm_get_raw(r, &value, sizeof value);
	return value;
}

uint64_t hm_get_u64(struct hm_reader *r)
{
	uint64_t value;
	hm_get_raw(r, &value, sizeof value);
	return value;
}

struct hm_bytes hm_get_bytes(struct hm_reader *r, size_t most)
{
	size_t length = hm_get_u32(r);
	if (r->failed || length > most || length > r->left) {
		r->failed = true;
		return (struct hm_bytes){.data = (const uint8_t *)"", .length = 0};
	}
	struct hm_bytes bytes = {.data = r->data, .length = length};
	r->data += length;
	r->left -= length;
	return bytes;
}

void hm_get_string(struct hm_reader *r, char *text, size_t size)
{
	struct hm_bytes bytes = hm_get_bytes(r, size - 1);
	if (bytes.length && memchr(bytes.data, 0, bytes.length)) {
		r->failed = true;
		bytes.length = 0;
	}
	memcpy(text, bytes.data, bytes.length);
	text[bytes.length] = 0;
}

void hm_get_printable(struct hm_reader *r, char *text, size_t size)
{
	hm_get_string(r, text, size);
	for (const char *c = text; *c; c++)
		r->failed |= *c < ' ' || *c > '~';
}
