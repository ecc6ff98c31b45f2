/* SPDX-License-Identifier: Apache-2.0 */
#include "clock.h"

#include <time.h>

#ifdef HSMINT_TEST_CLOCK
static int64_t offset; /* seconds ahead of the system's clock */

void hm_clock_set(int64_t now)
{
	offset = now - time(NULL);
}

int64_t hm_time(void)
{
	return time(NULL) + offset;
}
#else
int64_t hm_time(void)
{
	return time(NULL);
}
#endif
