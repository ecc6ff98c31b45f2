/* SPDX-License-Identifier: Apache-2.0 */
#include "clock_guard.h"

#include <criterion/criterion.h>
#include <inttypes.h>

enum { S = 1000, MINUTE = 60 * S, HOUR = 60 * MINUTE, MOMENTS = 16 };

/* A machine that has run for an hour, at a time of 2025. */
static const int64_t wall = INT64_C(1760000000) * S, boot = HOUR;

/* What happens before a look or several, and what is made of it. */
struct moment {
	unsigned looks;    /* so many of them; 0: the story is over */
	int64_t passes_ms; /* before each; 0: a second, */
	int64_t set_ms;    /* in which somebody sets wall time ahead by this */
	bool is_synchronised;
	bool is_accepted; /* an operator says so, after the look */
	bool is_stepped;  /* what is expected after the last look, */
	int64_t by_ms;    /* with this, if it is, */
	int64_t wrong_ms; /* and that wall time is ahead of the time to go by */
};

struct story {
	const char *what;
	int64_t last_entry_ms; /* of the ledger, after wall time; */
	bool has_no_entries, was_stepped;
	struct moment moments[MOMENTS]; /* the first is the start, without a look */
};

/* So many looks, after the last of which it is, or is not, stepped. */
#define FINE(looks_, ...)                      \
	{                                      \
		.looks = (looks_), __VA_ARGS__ \
	}
#define STEPPED(looks_, by, wrong, ...)                                                                \
	{                                                                                              \
		.looks = (looks_), .is_stepped = true, .by_ms = (by), .wrong_ms = (wrong), __VA_ARGS__ \
	}

static const struct story stories[] = {
	{.what = "nothing happens", .moments = {FINE(1), FINE(3 * 60 * 60)}},
	{.what = "set ahead by two seconds", .moments = {FINE(1), FINE(1, .set_ms = 2 * S)}},
	{.what = "set ahead by more",
		.moments = {FINE(1), STEPPED(1, 2001, 2001, .set_ms = 2001), STEPPED(60, 2001, 2001)}},
	{.what = "set back by two seconds", .moments = {FINE(1), FINE(1, .set_ms = -2 * S)}},
	{.what = "set back by more",
		.moments = {FINE(1), STEPPED(1, -2001, -2001, .set_ms = -2001), STEPPED(60, -2001, -2001)}},
	{.what = "set right again, not synchronised: whoever set it may say so",
		.moments = {FINE(1), STEPPED(1, HOUR, HOUR, .set_ms = HOUR), STEPPED(1, HOUR, 0, .set_ms = -HOUR),
			STEPPED(60 * 60, HOUR, 0)}},

	{.what = "synchronised from the beginning, and set all the same",
		.moments = {FINE(1, .is_synchronised = true),
			STEPPED(1, HOUR, HOUR, .set_ms = HOUR, .is_synchronised = true)}},
	{.what = "corrected little by little, half a millisecond a second, for six hours",
		.moments = {FINE(1), FINE(3 * 60 * 60, .passes_ms = 2 * S, .set_ms = 1)}},
	{.what = "and back", .moments = {FINE(1), FINE(3 * 60 * 60, .passes_ms = 2 * S, .set_ms = -1)}},
	{.what = "a leap second, and another one a day later, and another one",
		.moments = {FINE(1), FINE(1, .set_ms = -S), FINE(24 * 60 * 60), FINE(1, .set_ms = -S),
			FINE(24 * 60 * 60), FINE(1, .set_ms = -S)}},
	{.what = "steps that are small, and come too fast to be corrections",
		.moments = {FINE(1), FINE(1, .set_ms = S), FINE(1, .set_ms = 900),
			STEPPED(1, 2798, 900, .set_ms = 900)}},
	{.what = "moved a little with each of many looks within a second",
		.moments = {FINE(1), FINE(500, .passes_ms = 1, .set_ms = 4),
			STEPPED(1, 2002, 2, .passes_ms = 1, .set_ms = 2)}},

	{.what = "suspended for a night: both clocks go on",
		.moments = {FINE(1), FINE(1, .passes_ms = 9 * HOUR), FINE(60)}},
	{.what = "suspended for a night, and set meanwhile",
		.moments = {FINE(1), STEPPED(1, -MINUTE, -MINUTE, .passes_ms = 9 * HOUR, .set_ms = -MINUTE)}},

	{.what = "synchronised for ten seconds: believed again",
		.moments = {FINE(1), STEPPED(1, HOUR, HOUR, .set_ms = HOUR),
			STEPPED(10, HOUR, HOUR, .is_synchronised = true), FINE(1, .is_synchronised = true), FINE(60)}},
	{.what = "believed again, and set again",
		.moments = {FINE(1), STEPPED(1, HOUR, HOUR, .set_ms = HOUR),
			STEPPED(10, HOUR, HOUR, .is_synchronised = true), FINE(1, .is_synchronised = true),
			STEPPED(1, -HOUR, -HOUR, .set_ms = -HOUR)}},
	{.what = "no longer synchronised after nine seconds: it begins anew",
		.moments = {FINE(1), STEPPED(1, HOUR, HOUR, .set_ms = HOUR),
			STEPPED(10, HOUR, HOUR, .is_synchronised = true), STEPPED(1, HOUR, HOUR),
			STEPPED(10, HOUR, HOUR, .is_synchronised = true), FINE(1, .is_synchronised = true)}},
	{.what = "set after nine seconds of synchronised time: it begins anew",
		.moments = {FINE(1), STEPPED(1, HOUR, HOUR, .set_ms = HOUR),
			STEPPED(10, HOUR, HOUR, .is_synchronised = true),
			STEPPED(1, HOUR, 3 * S, .set_ms = -HOUR + 3 * S, .is_synchronised = true),
			STEPPED(9, HOUR, 3 * S, .is_synchronised = true), FINE(1, .is_synchronised = true)}},
	{.what = "corrected a little within the ten seconds",
		.moments = {FINE(1), STEPPED(1, HOUR, HOUR, .set_ms = HOUR),
			STEPPED(5, HOUR, HOUR, .is_synchronised = true),
			STEPPED(1, HOUR, HOUR + 200, .set_ms = 200, .is_synchronised = true),
			STEPPED(4, HOUR, HOUR + 200, .is_synchronised = true), FINE(1, .is_synchronised = true)}},
	{.what = "suspended within the ten seconds: nobody saw them",
		.moments = {FINE(1), STEPPED(1, HOUR, HOUR, .set_ms = HOUR),
			STEPPED(5, HOUR, HOUR, .is_synchronised = true),
			STEPPED(1, HOUR, HOUR, .passes_ms = HOUR, .is_synchronised = true),
			STEPPED(9, HOUR, HOUR, .is_synchronised = true), FINE(1, .is_synchronised = true)}},

	{.what = "accepted as it is",
		.moments = {FINE(1), STEPPED(1, -HOUR, -HOUR, .set_ms = -HOUR, .is_accepted = true), FINE(60),
			STEPPED(1, HOUR, HOUR, .set_ms = HOUR)}},
	{.what = "accepted, though nothing was wrong",
		.moments = {FINE(1), FINE(1, .is_accepted = true), FINE(1, .set_ms = 2 * S),
			STEPPED(1, 2001, 2, .set_ms = 2)}},
	{.what = "accepted while it agrees: what comes then is another step",
		.moments = {FINE(1), STEPPED(1, HOUR, HOUR, .set_ms = HOUR),
			STEPPED(9, HOUR, HOUR, .is_synchronised = true, .is_accepted = true),
			STEPPED(1, HOUR, HOUR, .set_ms = HOUR, .is_synchronised = true)}},

	{.what = "a ledger without entries", .has_no_entries = true, .moments = {FINE(1)}},
	{.what = "started after the ledger's last entry", .last_entry_ms = -HOUR, .moments = {FINE(1), FINE(5)}},
	{.what = "started at it", .last_entry_ms = 0, .moments = {FINE(1)}},
	{.what = "started two seconds before it", .last_entry_ms = 2 * S, .moments = {FINE(1), FINE(5)}},
	{.what = "started three seconds before it",
		.last_entry_ms = 3 * S,
		.moments = {STEPPED(1, -3 * S, -3 * S), STEPPED(60, -3 * S, -3 * S)}},
	{.what = "started a year before it, then synchronised",
		.last_entry_ms = INT64_C(365) * 24 * HOUR,
		.moments = {STEPPED(1, INT64_C(-365) * 24 * HOUR, INT64_C(-365) * 24 * HOUR),
			STEPPED(10, INT64_C(-365) * 24 * HOUR, INT64_C(-365) * 24 * HOUR, .is_synchronised = true),
			FINE(1, .is_synchronised = true)}},
	{.what = "started before it, and accepted",
		.last_entry_ms = 3 * S,
		.moments = {STEPPED(1, -3 * S, -3 * S, .is_accepted = true), FINE(5)}},
	{.what = "started anew while stepped",
		.last_entry_ms = -S,
		.was_stepped = true,
		.moments = {STEPPED(1, 0, 0), STEPPED(60, 0, 0)}},
	{.what = "started anew while stepped, a second before the last entry",
		.last_entry_ms = S,
		.was_stepped = true,
		.moments = {STEPPED(1, -S, -S), STEPPED(60, -S, -S)}},
	{.what = "started anew while stepped, and synchronised",
		.last_entry_ms = -S,
		.was_stepped = true,
		.moments = {STEPPED(1, 0, 0, .is_synchronised = true), STEPPED(10, 0, 0, .is_synchronised = true),
			FINE(1, .is_synchronised = true)}},
};

static struct clock_guard guard;
static struct clock_reading now;

static void expect(const struct story *story, unsigned number, const struct moment *moment)
{
	cr_expect_eq(guard.is_stepped, moment->is_stepped, "%s: moment %u", story->what, number);
	if (moment->is_stepped)
		cr_expect_eq(
			guard.by_ms, moment->by_ms, "%s: moment %u: by %" PRId64, story->what, number, guard.by_ms);
	cr_expect_eq(now.wall_ms - clock_guard_time_ms(&guard, &now), moment->wrong_ms,
		"%s: moment %u: wrong by %" PRId64, story->what, number,
		now.wall_ms - clock_guard_time_ms(&guard, &now));
}

/* That it changes, and how, is told once, when it does. */
static void look(const struct story *story, const struct moment *moment)
{
	bool was_stepped = guard.is_stepped;
	int64_t passes_ms = moment->passes_ms ? moment->passes_ms : S;
	now.boot_ms += passes_ms;
	now.wall_ms += passes_ms + moment->set_ms;
	now.is_synchronised = moment->is_synchronised;
	enum clock_change change = clock_guard_look(&guard, &now);
	cr_expect_eq(change,
		was_stepped == guard.is_stepped ? CLOCK_UNCHANGED
		: guard.is_stepped              ? CLOCK_STEPPED
						: CLOCK_AGREED,
		"%s", story->what);
}

static void tell(const struct story *story)
{
	now = (struct clock_reading){wall, boot, story->moments[0].is_synchronised};
	clock_guard_begin(
		&guard, &now, story->has_no_entries ? 0 : (wall + story->last_entry_ms) / S, story->was_stepped);
	expect(story, 0, &story->moments[0]);
	if (story->moments[0].is_accepted)
		clock_guard_accept(&guard, &now);
	for (unsigned i = 1; i < MOMENTS && story->moments[i].looks; i++) {
		const struct moment *moment = &story->moments[i];
		for (unsigned looks = 0; looks < moment->looks; looks++)
			look(story, moment);
		expect(story, i, moment);
		if (moment->is_accepted)
			clock_guard_accept(&guard, &now);
	}
}

Test(clock_guard, what_is_made_of_what_the_clocks_show)
{
	for (unsigned i = 0; i < sizeof stories / sizeof *stories; i++)
		tell(&stories[i]);
}
