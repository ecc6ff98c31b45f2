/* SPDX-License-Identifier: Apache-2.0 */
/* What time it is: wall time, which stands in credentials, and time since boot, which nobody can set. A build with
 * HSMINT_TEST_CLOCK can be set to other times than the system's. */
#ifndef HSMINT_CLOCK_H
#define HSMINT_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

/* Wall time: seconds, and milliseconds, since 1970. */
int64_t hm_time(void);
int64_t hm_time_ms(void);

/* Milliseconds since boot, those in which the machine was suspended among them. */
int64_t hm_boot_ms(void);

/* Whether the kernel says that something (NTP, PTP) keeps wall time synchronised. Setting the clock ends that until
 * whatever keeps it says so anew. False also where the kernel may not be asked. */
bool hm_time_is_synchronised(void);

/* What follows is not for several threads at once. The environment's HSMINT_TEST_TIME (seconds since 1970) is the wall
 * time at which such a process begins. */
#ifdef HSMINT_TEST_CLOCK
/* Make wall time `now`, and go on from there: as if the time until then had passed, so since boot as well; */
void hm_clock_set(int64_t now);
/* or as if somebody had set the machine's clock. */
void hm_clock_step(int64_t now);
void hm_clock_set_synchronised(bool is_synchronised);
#endif

#endif
