/* SPDX-License-Identifier: Apache-2.0 */
#include "base64url.h"

#include <criterion/criterion.h>
#include <string.h>

/* RFC 4648, section 10, without the padding; and the two characters in which base64url differs. */
static const struct {
	const char *data, *text;
} vectors[] = {
	{"", ""},
	{"f", "Zg"},
	{"fo", "Zm8"},
	{"foo", "Zm9v"},
	{"foob", "Zm9vYg"},
	{"fooba", "Zm9vYmE"},
	{"foobar", "Zm9vYmFy"},
	{"\xfb\xff\xfe", "-__-"},
};

Test(base64url, the_vectors_hold_in_both_directions)
{
	for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
		size_t length = strlen(vectors[i].data);
		size_t encoded = strlen(vectors[i].text);
		char text[16];
		uint8_t data[16];
		cr_expect_eq(base64url_length(length), encoded, "'%s'", vectors[i].text);
		cr_expect_eq(base64url_encode(vectors[i].data, length, text), encoded, "'%s'", vectors[i].text);
		cr_expect_arr_eq(text, vectors[i].text, encoded, "'%s'", vectors[i].text);
		cr_expect_eq(
			base64url_decode(vectors[i].text, encoded, data, sizeof data), length, "'%s'", vectors[i].text);
		cr_expect_arr_eq(data, vectors[i].data, length, "'%s'", vectors[i].text);
	}
}

Test(base64url, every_byte_comes_back)
{
	uint8_t data[256];
	uint8_t back[256];
	char text[352];
	for (size_t i = 0; i < sizeof data; i++)
		data[i] = (uint8_t)i;
	for (size_t length = 0; length <= sizeof data; length++) {
		size_t encoded = base64url_encode(data, length, text);
		cr_assert_eq(encoded, base64url_length(length));
		cr_assert_eq(base64url_decode(text, encoded, back, length), length);
		cr_assert_arr_eq(back, data, length);
	}
}

static const struct {
	const char *text, *why;
} refused[] = {
	{"A", "one character alone"},
	{"AAAAA", "one character over"},
	{"Zg==", "padding"},
	{"Zh", "unused bits that are not zero, after one byte"},
	{"Zm9", "unused bits that are not zero, after two"},
	{"Zm+v", "base64's own +"},
	{"Zm/v", "base64's own /"},
	{"Zm9v\n", "a newline"},
	{" Zm9", "a space"},
	{"Zm\x80v", "a byte above ASCII"},
};

Test(base64url, what_is_not_canonical_is_refused)
{
	uint8_t data[16];
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
		cr_expect_eq(base64url_decode(refused[i].text, strlen(refused[i].text), data, sizeof data), SIZE_MAX,
			"%s", refused[i].why);
	cr_expect_eq(base64url_decode("Zm9\0", 4, data, sizeof data), SIZE_MAX, "a NUL");
}

Test(base64url, nothing_is_written_beyond_the_room)
{
	uint8_t data[4] = {0};
	cr_expect_eq(base64url_decode("Zm9vYg", 6, data, 3), SIZE_MAX);
	cr_expect_eq(data[3], 0);
	cr_expect_eq(base64url_decode("Zm9v", 4, data, 3), 3);
}
