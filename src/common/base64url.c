/* SPDX-License-Identifier: Apache-2.0 */
/* Our own, since libjose's decoder accepts texts whose unused bits are not zero: two texts for the same bytes. */
#include "base64url.h"

static const char alphabet[64] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

size_t base64url_encode(const void *data, size_t length, char *text)
{
	const uint8_t *in = data;
	char *out = text;
	for (; length >= 3; length -= 3, in += 3) {
		uint32_t bits = (uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2];
		*out++ = alphabet[bits >> 18];
		*out++ = alphabet[bits >> 12 & 63];
		*out++ = alphabet[bits >> 6 & 63];
		*out++ = alphabet[bits & 63];
	}
	if (length) {
		uint32_t bits = (uint32_t)in[0] << 16 | (length == 2 ? (uint32_t)in[1] << 8 : 0);
		*out++ = alphabet[bits >> 18];
		*out++ = alphabet[bits >> 12 & 63];
		if (length == 2)
			*out++ = alphabet[bits >> 6 & 63];
	}
	return (size_t)(out - text);
}

static int value_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '-' ? 62 : c == '_' ? 63 : -1;
}

size_t base64url_decode(const char *text, size_t length, void *data, size_t size)
{
	uint8_t *out = data;
	uint32_t bits = 0;
	unsigned count = 0;

	if (length % 4 == 1 || length / 4 * 3 + length % 4 * 3 / 4 > size)
		return SIZE_MAX;
	for (size_t i = 0; i < length; i++) {
		int value = value_of(text[i]);
		if (value < 0)
			return SIZE_MAX;
		bits = bits << 6 | (uint32_t)value;
		count += 6;
		if (count >= 8) {
			count -= 8;
			*out++ = (uint8_t)(bits >> count);
		}
	}
	if (bits & ((1U << count) - 1))
		return SIZE_MAX;
	return (size_t)(out - (uint8_t *)data);
}
