/* SPDX-License-Identifier: Apache-2.0 */
#include "pace.h"

#include <criterion/criterion.h>

enum { MS = 1000 * 1000 };

static struct pace pace;

static void begin(void)
{
	pace_begin(&pace, 8);
}

TestSuite(pace, .init = begin);

/* So many signatures, one each `each_ms`, while somebody waits or not. */
static uint64_t sign(uint64_t now_ms, unsigned signatures, unsigned each_ms, bool is_behind)
{
	pace_look(&pace, is_behind, now_ms * MS);
	for (unsigned i = 0; i < signatures; i++) {
		now_ms += each_ms;
		pace_count(&pace);
		pace_look(&pace, is_behind, now_ms * MS);
	}
	pace_measure(&pace);
	return now_ms;
}

Test(pace, what_was_signed_while_somebody_waited_is_the_rate)
{
	sign(1000, 20, 10, true);
	cr_expect_float_eq(pace.rate, 100, 0.1);
}

Test(pace, idle_time_does_not_count)
{
	uint64_t now = sign(1000, 10, 10, true);
	now = sign(now, 5, 10000, false);
	sign(now, 10, 10, true);
	cr_expect_float_eq(pace.rate, 100, 0.1);
}

Test(pace, a_later_rate_counts_half)
{
	uint64_t now = sign(1000, 20, 10, true);
	sign(now, 20, 20, true);
	cr_expect_float_eq(pace.rate, (100 + 50) / 2.0, 0.1);
	pace_forget_rate(&pace);
	cr_expect_eq(pace.rate, 0);
}

Test(pace, little_tells_nothing)
{
	sign(1000, 3, 100, true); /* long enough, too few */
	cr_expect_eq(pace.rate, 0);
	begin();
	sign(1000, 50, 1, true); /* enough, too short */
	cr_expect_eq(pace.rate, 0);
}

Test(pace, pressure_halves_what_is_asked_for_at_once_and_then_takes_one_by_one)
{
	cr_expect_eq(pace.at_once, 8);
	pace_relieve(&pace, 20, 0, 1000); /* 8 threads worked on 8 of the 20 */
	cr_expect_eq(pace.at_once, 4);
	pace_relieve(&pace, 4, 0, 1000);
	cr_expect_eq(pace.at_once, 3);
	pace_relieve(&pace, 2, 0, 1000); /* it had only 2 */
	cr_expect_eq(pace.at_once, 1);
	pace_relieve(&pace, 1, 0, 1000);
	cr_expect_eq(pace.at_once, 1);
}

Test(pace, after_pressure_it_gets_nothing_for_a_while)
{
	cr_expect_not(pace_is_paused(&pace, 1000));
	cr_expect_eq(pace_relieve(&pace, 8, 0, 1000), PACE_PAUSE_MS);
	cr_expect(pace_is_paused(&pace, 1000 + PACE_PAUSE_MS - 1));
	cr_expect_not(pace_is_paused(&pace, 1000 + PACE_PAUSE_MS));
	for (int random = 0; random < 256; random++)
		cr_expect_leq(pace_relieve(&pace, 8, (uint8_t)random, 1000), 2 * PACE_PAUSE_MS);
}

Test(pace, it_gets_one_more_each_two_seconds_without_pressure)
{
	cr_expect_not(pace_ease(&pace, 100000)); /* it has all that its threads can work on */
	pace_relieve(&pace, 8, 0, 1000);
	cr_expect_not(pace_ease(&pace, 1000 + PACE_EASE_MS - 1));
	cr_expect(pace_ease(&pace, 1000 + PACE_EASE_MS));
	cr_expect_eq(pace.at_once, 5);
	cr_expect_not(pace_ease(&pace, 1000 + PACE_EASE_MS + 1));
	for (unsigned i = 2; i <= 4; i++)
		cr_expect(pace_ease(&pace, 1000 + i * PACE_EASE_MS));
	cr_expect_eq(pace.at_once, 8);
	cr_expect_not(pace_ease(&pace, 1000 + 5 * PACE_EASE_MS));
}
