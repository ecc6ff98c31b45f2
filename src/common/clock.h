/* SPDX-License-Identifier: Apache-2.0 */
/* The time that stands in credentials. A build with HSMINT_TEST_CLOCK can be set to another than the system's. */
#ifndef HSMINT_CLOCK_H
#define HSMINT_CLOCK_H

#include <stdint.h>

/* Seconds since 1970. */
int64_t hm_time(void);

#ifdef HSMINT_TEST_CLOCK
/* Make it `now`, and go on from there. Not for several threads at once. */
void hm_clock_set(int64_t now);
#endif

#endif
