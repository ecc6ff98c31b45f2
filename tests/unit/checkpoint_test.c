/* SPDX-License-Identifier: Apache-2.0 */
#include "note.h"

#include "note_vectors.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define ROOT "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="

/* The example of C2SP tlog-checkpoint; its root in hexadecimal by `base64 -d | xxd -p`. */
#define EXAMPLE "example.com/behind-the-sofa\n20852163\n" ROOT "\n"
static const uint8_t example_root[32] = {0x0a, 0xc5, 0x18, 0x6a, 0x91, 0x86, 0x3e, 0x8e, 0x1d, 0x90, 0xc8, 0x08, 0x01,
	0x4a, 0xa8, 0x9b, 0xf5, 0xda, 0x8e, 0x3e, 0xe1, 0xd9, 0xf0, 0x76, 0x30, 0xf0, 0x37, 0x8f, 0x68, 0xf1, 0xab,
	0x62};

static struct hm_problem why;
static struct checkpoint checkpoint;

static hm_result read_text(const char *text)
{
	return checkpoint_read(text, strlen(text), &checkpoint, &why);
}

static void expect_example(const char *text)
{
	memset(&checkpoint, 0xff, sizeof checkpoint);
	cr_assert_eq(read_text(text), HM_OK, "%s", why.detail);
	cr_expect_str_eq(checkpoint.origin, "example.com/behind-the-sofa");
	cr_expect_eq(checkpoint.size, 20852163);
	cr_expect_arr_eq(checkpoint.root.bytes, example_root, sizeof example_root);
}

Test(checkpoint, the_example_is_read_and_written_again)
{
	char text[NOTE_TEXT_MAX];
	expect_example(EXAMPLE);
	cr_expect_eq(checkpoint_write(&checkpoint, text), strlen(EXAMPLE));
	cr_expect_str_eq(text, EXAMPLE);
}

Test(checkpoint, extension_lines_and_signatures_are_passed_over)
{
	expect_example(EXAMPLE "one more line\nand another\n");
	expect_example(EXAMPLE "\n" PETER_LINE);
	expect_example(EXAMPLE "one more line\n\n" PETER_LINE);
}

Test(checkpoint, what_the_store_had_is_told_in_a_line_of_its_own)
{
	char text[NOTE_TEXT_MAX];
	expect_example(EXAMPLE "store 4711\n\n" PETER_LINE);
	cr_expect_eq(checkpoint.store, 4711);
	cr_expect_eq(checkpoint_write(&checkpoint, text), strlen(EXAMPLE "store 4711\n"));
	cr_expect_str_eq(text, EXAMPLE "store 4711\n");
	static const char *const others[] = {"", "store\n", "store \n", "store x\n", "store 04\n", "store 4 \n",
		"store 18446744073709551616\n", "stores 4\n", "Store 4\n", "other\nstore 4\n"};
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		snprintf(text, sizeof text, EXAMPLE "%s", others[i]);
		expect_example(text);
		cr_expect_eq(checkpoint.store, 0, "%s", others[i]);
	}
}

Test(checkpoint, logs_of_others)
{
	cr_assert_eq(read_text(SUMDB_NOTE), HM_OK, "%s", why.detail);
	cr_expect_str_eq(checkpoint.origin, "go.sum database tree");
	cr_expect_eq(checkpoint.size, 15081221);
	cr_assert_eq(read_text(REKOR_NOTE), HM_OK, "%s", why.detail);
	cr_expect_str_eq(checkpoint.origin, "rekor.sigstore.dev - 1193050959916656506");
	cr_assert_eq(read_text(PIXEL_NOTE), HM_OK, "%s", why.detail);
	cr_assert_eq(read_text(ARCHE_NOTE), HM_OK, "%s", why.detail);
}

Test(checkpoint, the_smallest_and_the_largest_size)
{
	char text[NOTE_TEXT_MAX];
	cr_assert_eq(read_text("a\n0\n" ROOT "\n"), HM_OK);
	cr_expect_eq(checkpoint.size, 0);
	cr_assert_eq(read_text("a\n18446744073709551615\n" ROOT "\n"), HM_OK);
	cr_expect_eq(checkpoint.size, UINT64_MAX);
	memset(checkpoint.origin, 'o', HM_ORIGIN_MAX);
	checkpoint.store = UINT64_MAX;
	checkpoint.origin[HM_ORIGIN_MAX] = 0;
	size_t length = checkpoint_write(&checkpoint, text);
	cr_assert_lt(length, sizeof text);
	cr_expect_eq(checkpoint_read(text, length, &checkpoint, &why), HM_OK);
}

static const struct {
	const char *what, *text;
} refused[] = {
	{"nothing", ""},
	{"one line", "a\n"},
	{"two lines", "a\n1\n"},
	{"no end of the last line", "a\n1\n" ROOT},
	{"no origin", "\n1\n" ROOT "\n"},
	{"CR", "a\r\n1\r\n" ROOT "\r\n"},
	{"a tab in the origin", "a\tb\n1\n" ROOT "\n"},
	{"DEL in the origin", "a\x7f\n1\n" ROOT "\n"},
	{"an empty size", "a\n\n" ROOT "\n"},
	{"leading zeros", "a\n01\n" ROOT "\n"},
	{"00", "a\n00\n" ROOT "\n"},
	{"a sign", "a\n+1\n" ROOT "\n"},
	{"another sign", "a\n-1\n" ROOT "\n"},
	{"a space before the size", "a\n 1\n" ROOT "\n"},
	{"a space behind it", "a\n1 \n" ROOT "\n"},
	{"hexadecimal", "a\n0x1\n" ROOT "\n"},
	{"2^64", "a\n18446744073709551616\n" ROOT "\n"},
	{"10^20", "a\n100000000000000000000\n" ROOT "\n"},
	{"a root of 31 bytes", "a\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxqw==\n"},
	{"a root of 33 bytes", "a\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2Ii\n"},
	{"a root without padding", "a\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I\n"},
	{"a root with bits that are not used", "a\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2J=\n"},
	{"a root in base64url", "a\n1\nCsUYapGGPo4dkMgIAUqom_Xajj7h2fB2MPA3j2jxq2I=\n"},
	{"a space behind the root", "a\n1\n" ROOT " \n"},
	{"an extension line without end", EXAMPLE "more"},
	{"an empty line and nothing", EXAMPLE "\n"},
	{"an empty line and other text", EXAMPLE "\nmore\n"},
	{"an empty extension line", EXAMPLE "\nmore\n\n" PETER_LINE},
};

Test(checkpoint, what_is_none_is_refused)
{
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
		cr_expect_eq(read_text(refused[i].text), HM_REFUSED, "%s", refused[i].what);
		cr_expect_str_eq(why.code, "ledger");
	}
	cr_expect_eq(checkpoint_read("a\0b\n1\n" ROOT "\n", sizeof "a\0b\n1\n" ROOT "\n" - 1, &checkpoint, &why),
		HM_REFUSED, "a NUL in the origin");
}

Test(checkpoint, an_origin_that_is_too_long_is_refused_and_not_cut)
{
	char text[NOTE_TEXT_MAX + 16];
	memset(text, 'o', HM_ORIGIN_MAX + 1);
	strcpy(text + HM_ORIGIN_MAX + 1, "\n1\n" ROOT "\n");
	cr_expect_eq(read_text(text), HM_REFUSED);
	cr_expect_eq(read_text(text + 1), HM_OK);
}

/* In memory of just its size, so that a sanitizer sees a read beyond it. */
Test(checkpoint, a_cut_text_is_refused)
{
	static const char text[] = EXAMPLE;
	for (size_t length = 0; length < sizeof text - 1; length++) {
		char *exact = malloc(length + 1);
		memcpy(exact, text, length);
		exact = realloc(exact, length ? length : 1);
		cr_assert_not_null(exact);
		cr_expect_eq(checkpoint_read(exact, length, &checkpoint, &why), HM_REFUSED, "%zu bytes", length);
		free(exact);
	}
}
