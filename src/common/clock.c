/* SPDX-License-Identifier: Apache-2.0 */
#include "clock.h"

#include <stdlib.h>
#include <sys/timex.h>
#include <time.h>

static int64_t read_ms(clockid_t clock)
{
	struct timespec now;
	clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* With no modes it changes nothing, and needs no privilege. */
static bool kernel_is_synchronised(void)
{
	struct timex kept = {.modes = 0};
	int state = adjtimex(&kept);
	return state >= 0 && state != TIME_ERROR;
}

#ifdef HSMINT_TEST_CLOCK
static bool has_begun;
static int64_t wall_ahead_ms, boot_ahead_ms; /* of the system's clocks */
static enum { AS_THE_KERNEL_SAYS, SYNCHRONISED, NOT_SYNCHRONISED } synchronised;

static void begin(void)
{
	if (has_begun)
		return;
	has_begun = true;
	const char *text = getenv("HSMINT_TEST_TIME");
	if (text)
		hm_clock_step(strtoll(text, NULL, 10));
}

void hm_clock_step(int64_t now)
{
	has_begun = true;
	wall_ahead_ms = now * 1000 - read_ms(CLOCK_REALTIME);
}

void hm_clock_set(int64_t now)
{
	begin();
	int64_t before_ms = wall_ahead_ms;
	hm_clock_step(now);
	boot_ahead_ms += wall_ahead_ms - before_ms;
}

void hm_clock_set_synchronised(bool is_synchronised)
{
	synchronised = is_synchronised ? SYNCHRONISED : NOT_SYNCHRONISED;
}

int64_t hm_time(void)
{
	return hm_time_ms() / 1000;
}

int64_t hm_time_ms(void)
{
	begin();
	return read_ms(CLOCK_REALTIME) + wall_ahead_ms;
}

int64_t hm_boot_ms(void)
{
	return read_ms(CLOCK_BOOTTIME) + boot_ahead_ms;
}

bool hm_time_is_synchronised(void)
{
	return synchronised == AS_THE_KERNEL_SAYS ? kernel_is_synchronised() : synchronised == SYNCHRONISED;
}
#else
/* Not time(), which reads the clock of the kernel's last tick: in the first milliseconds of a second it still says the
 * one before, and a task that is over by every other clock would not be. */
int64_t hm_time(void)
{
	return hm_time_ms() / 1000;
}

int64_t hm_time_ms(void)
{
	return read_ms(CLOCK_REALTIME);
}

int64_t hm_boot_ms(void)
{
	return read_ms(CLOCK_BOOTTIME);
}

bool hm_time_is_synchronised(void)
{
	return kernel_is_synchronised();
}
#endif
