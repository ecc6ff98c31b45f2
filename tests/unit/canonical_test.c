/* SPDX-License-Identifier: Apache-2.0 */
#include "canonical.h"

#include <criterion/criterion.h>
#include <string.h>

static char room[4096];

/* NULL: the writer failed. */
static const char *canonical(const char *text)
{
	json_t *value = json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	cr_assert_not_null(value, "%s", text);
	struct hm_json json = hm_json(room, sizeof room - 1);
	canonical_write(&json, value);
	json_decref(value);
	room[json.out.used] = 0;
	return json.out.failed ? NULL : room;
}

Test(canonical, values_have_one_form)
{
	cr_expect_str_eq(canonical(" [ null , true , false , 0, -7 , \"\" , { } ] "), "[null,true,false,0,-7,\"\",{}]");
	cr_expect_str_eq(canonical("9007199254740991"), "9007199254740991");
}

/* The example of RFC 8785, section 3.2.3, which shows where UTF-8's order is another. */
Test(canonical, names_are_in_the_order_of_utf_16)
{
	cr_expect_str_eq(canonical("{\"\\u20ac\":1,\"\\r\":2,\"\\ufb33\":3,\"1\":4,\"\\ud83d\\ude00\":5,\"\\u0080\":6,"
				   "\"\\u00f6\":7}"),
		"{\"\\r\":2,\"1\":4,\"\xc2\x80\":6,\"\xc3\xb6\":7,\"\xe2\x82\xac\":1,\"\xf0\x9f\x98\x80\":5,"
		"\"\xef\xac\xb3\":3}");
}

/* Section 3.2.2.2 */
Test(canonical, texts_have_the_short_escapes_and_else_small_digits)
{
	cr_expect_str_eq(canonical("\"\\u20ac$\\u000F\\u000aA'\\u0042\\u0022\\u005c\\\\\\\"\\/\""),
		"\"\xe2\x82\xac$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"");
}

Test(canonical, members_within_are_sorted_too)
{
	cr_expect_str_eq(canonical("{\"b\":[{\"d\":1,\"c\":2}],\"a\":{\"z\":1,\"y\":2}}"),
		"{\"a\":{\"y\":2,\"z\":1},\"b\":[{\"c\":2,\"d\":1}]}");
}

Test(canonical, what_has_no_such_form_fails)
{
	cr_expect_null(canonical("1.5"));
	cr_expect_null(canonical("9007199254740992"));
	cr_expect_null(canonical("-9007199254740992"));
	cr_expect_null(canonical("[[[[[[[[[0]]]]]]]]]"));
	cr_expect_not_null(canonical("[[[[[[[[0]]]]]]]]"));
}
