/* SPDX-License-Identifier: Apache-2.0 */
#include "form.h"

#include <string.h>

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* RFC 3986, section 3.4, without & and =, which divide. */
static bool is_plain(char c)
{
	static const char marks[] = "-._~!$'()*+,;:@/?";
	bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
	return letter || (c >= '0' && c <= '9') || (c && strchr(marks, c));
}

/* How far a name or a value reaches; `*sound` is cleared when it is none. */
static size_t word_end(const char *text, size_t length, size_t at, bool *sound)
{
	while (at < length && *sound && text[at] != '&' && text[at] != '=') {
		bool is_escape =
			text[at] == '%' && length - at > 2 && digit(text[at + 1]) >= 0 && digit(text[at + 2]) >= 0;
		*sound = is_escape ? digit(text[at + 1]) || digit(text[at + 2]) : is_plain(text[at]);
		at += is_escape ? 3 : 1;
	}
	return at;
}

bool form_is_sound(const char *text, size_t length)
{
	bool sound = true;
	for (size_t at = 0; sound && length; at++) {
		size_t name = at;
		at = word_end(text, length, at, &sound);
		sound = sound && at > name && at < length && text[at] == '=';
		if (sound)
			at = word_end(text, length, at + 1, &sound);
		if (!sound || at == length)
			break;
		sound = text[at] == '&';
	}
	return sound;
}

bool form_next(struct hm_bytes text, size_t *at, struct hm_bytes *name, struct hm_bytes *value)
{
	if (*at >= text.length)
		return false;
	const uint8_t *from = text.data + *at, *end = memchr(from, '&', text.length - *at);
	size_t length = end ? (size_t)(end - from) : text.length - *at;
	const uint8_t *equals = memchr(from, '=', length);
	*at += length + 1;
	if (!equals)
		return false;
	*name = (struct hm_bytes){from, (size_t)(equals - from)};
	*value = (struct hm_bytes){equals + 1, length - name->length - 1};
	return true;
}

size_t form_decode(struct hm_bytes written, char *out)
{
	size_t used = 0;
	for (size_t at = 0; at < written.length; at++) {
		char c = (char)written.data[at];
		if (c == '%' && written.length - at > 2) {
			c = (char)(digit((char)written.data[at + 1]) * 16 + digit((char)written.data[at + 2]));
			at += 2;
		} else if (c == '+') {
			c = ' ';
		}
		out[used++] = c;
	}
	out[used] = 0;
	return used;
}
