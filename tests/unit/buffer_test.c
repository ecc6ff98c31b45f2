/* SPDX-License-Identifier: Apache-2.0 */
#include "buffer.h"

#include <criterion/criterion.h>
#include <string.h>

Test(buffer, what_was_put_is_got)
{
	uint8_t memory[256];
	struct hm_writer w = hm_writer(memory, sizeof memory);
	hm_put_u8(&w, 0xfe);
	hm_put_u16(&w, 0xfedc);
	hm_put_u32(&w, 0xfedcba98);
	hm_put_u64(&w, 0xfedcba9876543210);
	hm_put_bytes(&w, "a\0b", 3);
	hm_put_string(&w, "text");
	hm_put_string(&w, "");
	hm_put_raw(&w, "raw", 3);
	cr_assert_not(w.failed);

	struct hm_reader r = hm_reader(memory, w.used);
	char text[8];
	char raw[3];
	cr_expect_eq(hm_get_u8(&r), 0xfe);
	cr_expect_eq(hm_get_u16(&r), 0xfedc);
	cr_expect_eq(hm_get_u32(&r), 0xfedcba98);
	cr_expect_eq(hm_get_u64(&r), 0xfedcba9876543210);
	struct hm_bytes bytes = hm_get_bytes(&r, 3);
	cr_expect_eq(bytes.length, 3);
	cr_expect_arr_eq(bytes.data, "a\0b", 3);
	hm_get_string(&r, text, sizeof text);
	cr_expect_str_eq(text, "text");
	hm_get_string(&r, text, sizeof text);
	cr_expect_str_eq(text, "");
	cr_expect_not(hm_reader_done(&r), "three bytes are left");
	hm_get_raw(&r, raw, sizeof raw);
	cr_expect_arr_eq(raw, "raw", 3);
	cr_expect(hm_reader_done(&r));
}

Test(buffer, a_writer_without_room_stays_failed_and_writes_no_further)
{
	uint8_t memory[6] = {0};
	struct hm_writer w = hm_writer(memory, 4);
	hm_put_u16(&w, 0xffff);
	hm_put_u32(&w, 0xffffffff);
	cr_expect(w.failed);
	hm_put_u8(&w, 0xff);
	cr_expect(w.failed);
	cr_expect_eq(w.used, 2);
	cr_expect_arr_eq(memory, "\xff\xff\0\0\0\0", 6);
}

Test(buffer, a_reader_without_bytes_stays_failed_and_gives_zeros)
{
	const uint8_t memory[] = {1, 2, 3};
	struct hm_reader r = hm_reader(memory, sizeof memory);
	cr_expect_eq(hm_get_u32(&r), 0);
	cr_expect(r.failed);
	cr_expect_eq(hm_get_u8(&r), 0, "one byte is there, but the reader failed before");
	cr_expect_not(hm_reader_done(&r));
}

/* A length and what follows it; `most` 4 and a text of 5 bytes are what the reader is asked for. */
static const struct {
	const char *what;
	uint32_t length;
	const char *data;
	size_t there;
	bool bytes, string;
} lengths[] = {
	{"nothing", 0, "", 0, true, true},
	{"as much as allowed", 4, "abcd", 4, true, true},
	{"more than allowed", 5, "abcde", 5, false, false},
	{"more than is there", 4, "abc", 3, false, false},
	{"the largest length", UINT32_MAX, "abc", 3, false, false},
	{"a NUL", 3, "a\0b", 3, true, false},
};

Test(buffer, a_length_is_checked_before_it_is_believed)
{
	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		uint8_t memory[16];
		char text[5];
		memcpy(memory, &lengths[i].length, 4);
		memcpy(memory + 4, lengths[i].data, lengths[i].there);

		struct hm_reader r = hm_reader(memory, 4 + lengths[i].there);
		struct hm_bytes bytes = hm_get_bytes(&r, 4);
		cr_expect_eq(hm_reader_done(&r), lengths[i].bytes, "bytes: %s", lengths[i].what);
		cr_expect_eq(bytes.length, lengths[i].bytes ? lengths[i].length : 0, "bytes: %s", lengths[i].what);

		r = hm_reader(memory, 4 + lengths[i].there);
		hm_get_string(&r, text, sizeof text);
		cr_expect_eq(hm_reader_done(&r), lengths[i].string, "string: %s", lengths[i].what);
		cr_expect_str_eq(text, lengths[i].string ? lengths[i].data : "", "string: %s", lengths[i].what);
	}
}
