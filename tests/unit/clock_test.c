/* SPDX-License-Identifier: Apache-2.0 */
#include "clock.h"

#include <criterion/criterion.h>
#include <time.h>

static time_t second(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec;
}

/* Three times, for a tick of the kernel may happen to fall on the beginning of a second. */
Test(clock, a_second_begins_when_the_system_says_so)
{
	for (unsigned i = 0; i < 3; i++) {
		time_t before = second(), begun;
		while ((begun = second()) == before)
			;
		cr_assert_geq(hm_time(), begun);
	}
}
