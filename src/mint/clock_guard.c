/* SPDX-License-Identifier: Apache-2.0 */
#include "clock_guard.h"

static int64_t difference(const struct clock_reading *now)
{
	return now->wall_ms - now->boot_ms;
}

static bool is_beyond(int64_t ms)
{
	return ms > CLOCK_STEP_MS || ms < -CLOCK_STEP_MS;
}

static void believe(struct clock_guard *guard, const struct clock_reading *now)
{
	*guard = (struct clock_guard){
		.believed_ms = difference(now), .seen_ms = difference(now), .followed_ms = now->boot_ms};
}

void clock_guard_begin(struct clock_guard *guard, const struct clock_reading *now, int64_t last_entry, bool was_stepped)
{
	int64_t ahead_ms = now->wall_ms - last_entry * 1000;
	believe(guard, now);
	guard->is_stepped = was_stepped || ahead_ms < -CLOCK_STEP_MS;
	if (ahead_ms >= 0 || !guard->is_stepped)
		return;
	guard->by_ms = ahead_ms;
	guard->seen_ms -= ahead_ms;
}

/* Many small steps, each of them right, must not add up to an alarm in the end. */
static void follow(struct clock_guard *guard, const struct clock_reading *now)
{
	int64_t off_ms = guard->seen_ms - guard->believed_ms;
	if (now->boot_ms - guard->followed_ms < CLOCK_FOLLOWED_MS)
		return;
	guard->followed_ms = now->boot_ms;
	guard->believed_ms += off_ms > CLOCK_FOLLOW_MS    ? CLOCK_FOLLOW_MS
			      : off_ms < -CLOCK_FOLLOW_MS ? -CLOCK_FOLLOW_MS
							  : off_ms;
}

static enum clock_change look_for_step(struct clock_guard *guard, const struct clock_reading *now)
{
	int64_t off_ms = difference(now) - guard->believed_ms;
	if (is_beyond(off_ms)) {
		guard->is_stepped = true;
		guard->by_ms = off_ms;
		return CLOCK_STEPPED;
	}
	guard->seen_ms = difference(now);
	follow(guard, now);
	return CLOCK_UNCHANGED;
}

static enum clock_change look_for_agreement(struct clock_guard *guard, const struct clock_reading *now)
{
	if (!now->is_synchronised) {
		guard->agrees = false;
		return CLOCK_UNCHANGED;
	}
	if (!guard->agrees || is_beyond(difference(now) - guard->agreed_ms) ||
		now->boot_ms - guard->watched_ms > CLOCK_WATCHED_MS) {
		guard->agrees = true;
		guard->agreed_ms = difference(now);
		guard->agreed_since_ms = now->boot_ms;
	}
	guard->watched_ms = now->boot_ms;
	if (now->boot_ms - guard->agreed_since_ms < CLOCK_AGREE_MS)
		return CLOCK_UNCHANGED;
	believe(guard, now);
	return CLOCK_AGREED;
}

enum clock_change clock_guard_look(struct clock_guard *guard, const struct clock_reading *now)
{
	return guard->is_stepped ? look_for_agreement(guard, now) : look_for_step(guard, now);
}

void clock_guard_accept(struct clock_guard *guard, const struct clock_reading *now)
{
	believe(guard, now);
}

int64_t clock_guard_time_ms(const struct clock_guard *guard, const struct clock_reading *now)
{
	return guard->is_stepped ? now->boot_ms + guard->seen_ms : now->wall_ms;
}
