/* SPDX-License-Identifier: Apache-2.0 */
/* By way of base64url, group by group, so that one decoder alone says what is canonical. */
#include "base64.h"

#include "base64url.h"

size_t base64_encode(const void *data, size_t length, char *text)
{
	size_t used = base64url_encode(data, length, text);
	for (size_t i = 0; i < used; i++)
		text[i] = (char)(text[i] == '-' ? '+' : text[i] == '_' ? '/' : text[i]);
	while (used % 4)
		text[used++] = '=';
	return used;
}

/* What base64url has in its place; '=' for what is not in the alphabet, which no decoder takes. */
static char in_base64url(char c)
{
	return (char)(c == '+' ? '-' : c == '/' ? '_' : c == '-' || c == '_' ? '=' : c);
}

size_t base64_decode(const char *text, size_t length, void *data, size_t size)
{
	size_t used = 0, padding = 0;
	while (padding < 2 && padding < length && text[length - 1 - padding] == '=')
		padding++;
	if (length % 4)
		return SIZE_MAX;
	for (size_t i = 0; i < length; i += 4) {
		char group[4];
		size_t count = i + 4 < length ? 4 : 4 - padding;
		for (size_t j = 0; j < count; j++)
			group[j] = in_base64url(text[i + j]);
		size_t got = base64url_decode(group, count, (uint8_t *)data + used, size - used);
		if (got == SIZE_MAX)
			return SIZE_MAX;
		used += got;
	}
	return used;
}
