/* SPDX-License-Identifier: Apache-2.0 */
#include "form.h"

#include <criterion/criterion.h>
#include <string.h>

static const char *const sound[] = {
	"", "a=", "a=b", "a=b&c=d", "token=ey.J-_~", "a=%41%7e", "spiffe_id=spiffe://x/*", "a=1+2", "after=x?y"};
static const char *const unsound[] = {"a", "=b", "a=b&", "&a=b", "a=b&&c=d", "a=b=c", "a=%", "a=%4", "a=%4g", "a=%00",
	"a=b c", "a=\xc3\xa9", "a=\"", "a=b#c", "a=[", "a={}", "a=b&c", "a=\n", "a=\\"};

Test(form, pairs_are_read_in_one_way_or_refused)
{
	for (size_t i = 0; i < sizeof sound / sizeof *sound; i++)
		cr_expect(form_is_sound(sound[i], strlen(sound[i])), "%s", sound[i]);
	for (size_t i = 0; i < sizeof unsound / sizeof *unsound; i++)
		cr_expect_not(form_is_sound(unsound[i], strlen(unsound[i])), "%s", unsound[i]);
	cr_expect_not(form_is_sound("a=\0b", 4), "a NUL");
}

static void expect_pair(struct hm_bytes text, size_t *at, const char *name, const char *value)
{
	char out[64];
	struct hm_bytes written_name, written_value;
	cr_assert(form_next(text, at, &written_name, &written_value));
	cr_expect_eq(form_decode(written_name, out), strlen(name));
	cr_expect_str_eq(out, name);
	cr_expect_eq(form_decode(written_value, out), strlen(value));
	cr_expect_str_eq(out, value);
}

Test(form, each_pair_is_given_as_it_is_meant)
{
	static const char text[] = "token=a%2Bb+c%26&hint=&n%61me=%C3%a9";
	struct hm_bytes bytes = {(const uint8_t *)text, sizeof text - 1}, name, value;
	size_t at = 0;
	expect_pair(bytes, &at, "token", "a+b c&");
	expect_pair(bytes, &at, "hint", "");
	expect_pair(bytes, &at, "name", "\xc3\xa9");
	cr_expect_not(form_next(bytes, &at, &name, &value));
}
