/* SPDX-License-Identifier: Apache-2.0 */
#include "json_write.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

static void write_all(struct hm_json *json)
{
	hm_json_begin(json, '{');
	hm_json_member_string(json, "text", "a\"b");
	hm_json_member_number(json, "least", INT64_MIN);
	hm_json_key(json, "list");
	hm_json_begin(json, '[');
	hm_json_number(json, 1);
	hm_json_bool(json, true);
	hm_json_bool(json, false);
	hm_json_begin(json, '{');
	hm_json_end(json, '}');
	hm_json_begin(json, '[');
	hm_json_end(json, ']');
	hm_json_end(json, ']');
	hm_json_key(json, "raw");
	hm_json_raw(json, "[null]", 6);
	hm_json_key(json, "k\n");
	hm_json_string(json, "");
	hm_json_end(json, '}');
}
static const char all[] = "{\"text\":\"a\\\"b\",\"least\":-9223372036854775808,\"list\":[1,true,false,{},[]],"
			  "\"raw\":[null],\"k\\n\":\"\"}";

Test(json_write, members_stand_in_order_and_commas_where_they_belong)
{
	char text[256];
	struct hm_json json = hm_json(text, sizeof text);
	write_all(&json);
	cr_assert_not(json.out.failed);
	cr_expect_eq(json.out.used, strlen(all));
	cr_expect_arr_eq(text, all, strlen(all));
}

Test(json_write, too_little_room_fails_at_every_size_and_writes_nothing_beyond)
{
	for (size_t size = 0; size < strlen(all); size++) {
		char text[256];
		memset(text, '#', sizeof text);
		struct hm_json json = hm_json(text, size);
		write_all(&json);
		cr_expect(json.out.failed, "size %zu", size);
		cr_expect_eq(text[size], '#', "size %zu", size);
	}
}

static const struct {
	const char *text, *written;
	size_t length;
} escapes[] = {
	{"\"\\/", "\"\\\"\\\\/\"", 3},
	{"\b\f\n\r\t", "\"\\b\\f\\n\\r\\t\"", 5},
	{"\x01\x1f\x7f", "\"\\u0001\\u001f\x7f\"", 3},
	{"a\0b", "\"a\\u0000b\"", 3},
	{"\xc3\xa9\xf0\x9f\x94\x91", "\"\xc3\xa9\xf0\x9f\x94\x91\"", 6},
};

Test(json_write, what_must_be_escaped_is)
{
	for (size_t i = 0; i < sizeof escapes / sizeof *escapes; i++) {
		char text[64];
		struct hm_json json = hm_json(text, sizeof text);
		hm_json_text(&json, escapes[i].text, escapes[i].length);
		cr_expect_eq(json.out.used, strlen(escapes[i].written), "%s", escapes[i].written);
		cr_expect_arr_eq(text, escapes[i].written, json.out.used, "%s", escapes[i].written);
	}
}

Test(json_write, another_reader_finds_every_character_again)
{
	char original[128];
	char text[1024];
	for (size_t i = 0; i < 127; i++)
		original[i] = (char)(i + 1);
	original[127] = 0;
	struct hm_json json = hm_json(text, sizeof text);
	hm_json_begin(&json, '[');
	hm_json_string(&json, original);
	hm_json_end(&json, ']');

	json_t *read = json_loadb(text, json.out.used, 0, NULL);
	cr_assert_not_null(read);
	cr_expect_str_eq(json_string_value(json_array_get(read, 0)), original);
	json_decref(read);
}
