/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the processes' protocols share: one encoding at a time, read back whole, cut short and too long. */
#ifndef HSMINT_TEST_ENCODING_H
#define HSMINT_TEST_ENCODING_H

#include "buffer.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM = 256 * 1024 };
static uint8_t room[ROOM];
static struct hm_writer w;

static void begin(void)
{
	w = hm_writer(room, sizeof room);
}

static struct hm_reader again(void)
{
	cr_assert_not(w.failed);
	return hm_reader(room, w.used);
}

typedef bool reading(struct hm_reader *r);

/* In memory of just its size, so that a sanitizer sees a read beyond it. */
static bool get_exactly(reading *get, size_t length)
{
	uint8_t *exact = malloc(length ? length : 1);
	cr_assert_not_null(exact);
	memcpy(exact, room, length);
	struct hm_reader r = hm_reader(exact, length);
	bool got = get(&r);
	free(exact);
	return got;
}

static void expect_whole_or_nothing(reading *get)
{
	cr_assert_not(w.failed);
	cr_expect(get_exactly(get, w.used));
	for (size_t length = 0; length < w.used; length++)
		cr_expect_not(get_exactly(get, length), "%zu of %zu bytes", length, w.used);
	room[w.used] = 0;
	cr_expect_not(get_exactly(get, w.used + 1), "one byte more");
}

#endif
