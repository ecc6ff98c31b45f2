/* SPDX-License-Identifier: Apache-2.0 */
#include "parts.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const int all_seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
static struct parts parts;
static struct hm_problem why;
static bool replaced;

static int memfd(size_t length, int seals)
{
	static const char text[HM_PIN_MAX + 1];
	int fd = memfd_create("part", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, text, length), (ssize_t)length);
	cr_assert_eq(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static hm_result take(unsigned place, size_t length, uint64_t now_ms)
{
	int fd = memfd(length, all_seals);
	hm_result result = parts_take(&parts, place, &fd, now_ms, &replaced, &why);
	cr_expect_eq(fd < 0, result == HM_OK, "it is taken over, or not at all");
	if (fd >= 0)
		close(fd);
	return result;
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void begin(void)
{
	parts = (struct parts){.wanted = 2};
}

TestSuite(parts, .init = begin);

Test(parts, an_unlock_is_whole_with_the_part_of_each)
{
	cr_expect_eq(parts_missing(&parts), 2);
	cr_expect_not(parts_are_whole(&parts));
	cr_assert_eq(take(1, 5, 0), HM_OK);
	cr_expect_eq(parts_missing(&parts), 1);
	cr_expect_not(parts_are_whole(&parts));
	cr_assert_eq(take(0, 5, 0), HM_OK);
	cr_expect_not(replaced);
	cr_expect(parts_are_whole(&parts));
}

Test(parts, who_gives_a_part_again_replaces_the_one_before)
{
	cr_assert_eq(take(0, HM_PIN_MAX, 0), HM_OK);
	int before = parts.fds[0];
	cr_assert_eq(take(0, HM_PIN_MAX, 0), HM_OK, "its own length before does not count");
	cr_expect(replaced);
	cr_expect_not(is_open(before) && parts.fds[0] != before, "the one before is closed");
	cr_expect_eq(parts_missing(&parts), 1);
}

Test(parts, together_they_are_no_longer_than_a_pin)
{
	cr_assert_eq(take(0, HM_PIN_MAX - 1, 0), HM_OK);
	cr_expect_eq(take(1, 2, 0), HM_REFUSED);
	cr_expect_str_eq(why.code, "unlock_refused");
	cr_expect_eq(take(1, 1, 0), HM_OK);
}

Test(parts, what_could_be_changed_or_is_nothing_is_refused)
{
	static const int seals[] = {F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE};
	for (size_t i = 0; i < sizeof seals / sizeof *seals; i++) {
		int fd = memfd(1, all_seals & ~seals[i]);
		cr_expect_eq(parts_take(&parts, 0, &fd, 0, &replaced, &why), HM_REFUSED, "without %d", seals[i]);
		close(fd);
	}
	int none = -1;
	cr_expect_eq(parts_take(&parts, 0, &none, 0, &replaced, &why), HM_REFUSED);
	cr_expect_eq(take(0, 0, 0), HM_REFUSED);
	cr_expect_eq(take(0, HM_PIN_MAX + 1, 0), HM_REFUSED);
	cr_expect_not(parts.begun, "nothing has begun with it");
}

Test(parts, each_unlock_has_another_id_and_keeps_it)
{
	uint8_t first[HM_UNLOCK_ID];
	static const uint8_t none[HM_UNLOCK_ID];
	cr_assert_eq(take(0, 1, 0), HM_OK);
	memcpy(first, parts.id, sizeof first);
	cr_expect_neq(memcmp(first, none, sizeof first), 0);
	cr_assert_eq(take(1, 1, 0), HM_OK);
	cr_expect_eq(memcmp(first, parts.id, sizeof first), 0);
	parts_forget(&parts);
	cr_expect_eq(memcmp(none, parts.id, sizeof none), 0);
	cr_assert_eq(take(0, 1, 0), HM_OK);
	cr_expect_neq(memcmp(first, parts.id, sizeof first), 0);
}

Test(parts, ten_minutes_after_the_first_they_are_late_unless_they_are_whole)
{
	const uint64_t limit_ms = 600 * 1000;
	cr_expect_not(parts_are_late(&parts, limit_ms), "nobody has begun");
	cr_assert_eq(take(0, 1, 1000), HM_OK);
	cr_expect_not(parts_are_late(&parts, 1000 + limit_ms - 1));
	cr_expect(parts_are_late(&parts, 1000 + limit_ms));
	cr_assert_eq(take(0, 1, 2000), HM_OK);
	cr_expect(parts_are_late(&parts, 1000 + limit_ms), "giving one again does not gain time");
	cr_assert_eq(take(1, 1, 3000), HM_OK);
	cr_expect_not(parts_are_late(&parts, 3000 + 10 * limit_ms));
}

Test(parts, what_is_forgotten_is_closed)
{
	cr_assert_eq(take(0, 1, 0), HM_OK);
	cr_assert_eq(take(1, 1, 0), HM_OK);
	int fds[] = {parts.fds[0], parts.fds[1]};
	parts_forget(&parts);
	cr_expect_not(is_open(fds[0]) || is_open(fds[1]));
	cr_expect_eq(parts_missing(&parts), 2);
	parts_forget(&parts);
}

Test(parts, what_moves_is_with_one_alone)
{
	struct parts other = {.wanted = 2};
	cr_assert_eq(take(0, 1, 0), HM_OK);
	cr_assert_eq(take(1, 1, 0), HM_OK);
	int fd = parts.fds[0];
	parts_move(&other, &parts);
	cr_expect(parts_are_whole(&other) && !parts_are_whole(&parts));
	parts_forget(&parts);
	cr_expect(is_open(fd));
	parts_forget(&other);
	cr_expect_not(is_open(fd));
}

Test(parts, a_word_needs_no_parts)
{
	parts.wanted = 0;
	cr_expect_not(parts_are_whole(&parts));
	cr_assert_eq(parts_begin(&parts, 0, &why), HM_OK);
	cr_expect(parts_are_whole(&parts) && !parts_are_late(&parts, UINT64_MAX));
}
