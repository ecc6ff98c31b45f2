/* SPDX-License-Identifier: Apache-2.0 */
#include "base64.h"

#include <criterion/criterion.h>
#include <string.h>

/* RFC 4648, section 10; and the two characters in which base64url differs. */
static const struct {
	const char *data, *text;
} vectors[] = {
	{"", ""},
	{"f", "Zg=="},
	{"fo", "Zm8="},
	{"foo", "Zm9v"},
	{"foob", "Zm9vYg=="},
	{"fooba", "Zm9vYmE="},
	{"foobar", "Zm9vYmFy"},
	{"\xfb\xff\xfe", "+//+"},
};

Test(base64, the_vectors_hold_in_both_directions)
{
	for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
		size_t length = strlen(vectors[i].data), encoded = strlen(vectors[i].text);
		char text[16];
		uint8_t data[16];
		cr_expect_eq(base64_length(length), encoded, "'%s'", vectors[i].text);
		cr_expect_eq(base64_encode(vectors[i].data, length, text), encoded, "'%s'", vectors[i].text);
		cr_expect_arr_eq(text, vectors[i].text, encoded, "'%s'", vectors[i].text);
		cr_expect_eq(base64_decode(vectors[i].text, encoded, data, length), length, "'%s'", vectors[i].text);
		cr_expect_arr_eq(data, vectors[i].data, length, "'%s'", vectors[i].text);
	}
}

static const struct {
	const char *text, *why;
} refused[] = {
	{"Zg", "no padding"},
	{"Zg=", "half of it"},
	{"Zg===", "too much of it"},
	{"Zm9v====", "a group of padding"},
	{"Zg==Zm9v", "padding within"},
	{"=Zg=", "padding before"},
	{"Z===", "one character alone"},
	{"==", "padding alone"},
	{"Zh==", "unused bits that are not zero, after one byte"},
	{"Zm9=", "unused bits that are not zero, after two"},
	{"Zm-v", "base64url's own -"},
	{"Zm_v", "base64url's own _"},
	{"Zm9v\n", "a newline"},
	{" Zm9v", "a space"},
	{"Zm\x80v", "a byte above ASCII"},
};

Test(base64, what_is_not_canonical_is_refused)
{
	uint8_t data[16];
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
		cr_expect_eq(base64_decode(refused[i].text, strlen(refused[i].text), data, sizeof data), SIZE_MAX, "%s",
			refused[i].why);
	cr_expect_eq(base64_decode("Zm9\0", 4, data, sizeof data), SIZE_MAX, "a NUL");
}

Test(base64, nothing_is_written_beyond_the_room)
{
	uint8_t data[8] = {0};
	cr_expect_eq(base64_decode("Zm9vYg==", 8, data, 3), SIZE_MAX);
	cr_expect_eq(data[3], 0);
	cr_expect_eq(base64_decode("Zm9vYmFy", 8, data, 5), SIZE_MAX);
	cr_expect_eq(data[5], 0);
}
