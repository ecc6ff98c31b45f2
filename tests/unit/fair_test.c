/* SPDX-License-Identifier: Apache-2.0 */
#include "fair.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

enum { PLENTY = 16 * HM_PENDING_MAX, NEWCOMERS = 1000 };

static struct fair *fair;

static void open_fair(void)
{
	fair = fair_open();
	cr_assert_not_null(fair);
}

static void close_fair(void)
{
	fair_close(fair);
}

TestSuite(fair, .init = open_fair, .fini = close_fair);

static struct pending *of(uint64_t group, uint64_t member, unsigned weight)
{
	struct pending *pending = calloc(1, sizeof *pending);
	cr_assert_not_null(pending);
	pending->who = (struct fair_who){group, member, weight};
	return pending;
}

static struct pending *come(uint64_t group, uint64_t member, unsigned weight)
{
	struct pending *pending = of(group, member, weight);
	cr_assert(fair_join(fair, pending, PLENTY));
	fair_wait(fair, pending);
	return pending;
}

static void flood(uint64_t group, uint64_t member, unsigned weight, unsigned count)
{
	while (count--)
		(void)come(group, member, weight);
}

static void leave(struct pending *pending)
{
	fair_leave(fair, pending);
	free(pending);
}

/* Serve one, which then leaves at once. */
static struct fair_who serve(void)
{
	struct pending *pending = fair_next(fair);
	cr_assert_not_null(pending);
	struct fair_who who = pending->who;
	leave(pending);
	return who;
}

static void serve_all(void)
{
	while (fair_waiting(fair))
		(void)serve();
	cr_expect_null(fair_next(fair));
}

/* ---- turns ---- */

Test(fair, nobody_waits_at_first)
{
	cr_expect_eq(fair_waiting(fair), 0);
	cr_expect_null(fair_next(fair));
}

Test(fair, those_of_one_member_are_served_as_they_came)
{
	struct pending *all[100];
	for (unsigned i = 0; i < 100; i++)
		all[i] = come(1, 1, 1);
	cr_expect_eq(fair_waiting(fair), 100);
	for (unsigned i = 0; i < 100; i++) {
		cr_expect_eq(fair_next(fair), all[i], "number %u", i);
		leave(all[i]);
	}
	cr_expect_eq(fair_waiting(fair), 0);
}

static void expect_alternating(bool by_member)
{
	uint64_t before = 0;
	for (unsigned i = 0; i < 20; i++) {
		struct fair_who who = serve();
		uint64_t now = by_member ? who.member : who.group;
		if (i > 1) /* the one that came to an empty line is before the round once */
			cr_expect_neq(now, before, "turn %u", i);
		before = now;
	}
	serve_all();
}

Test(fair, who_floods_and_who_does_not_take_turns)
{
	flood(1, 0, 1, 500);
	flood(2, 0, 1, 10);
	expect_alternating(false);
}

Test(fair, members_of_a_group_take_turns_too)
{
	flood(1, 1, 1, 500);
	flood(1, 2, 1, 10);
	expect_alternating(true);
}

Test(fair, weights_are_kept)
{
	unsigned served[3] = {0};
	flood(1, 0, 1, 1000);
	flood(2, 0, 3, 1000);
	for (unsigned i = 0; i < 400; i++)
		served[serve().group]++;
	cr_expect(served[1] >= 98 && served[1] <= 102, "%u of 400 for the weight of 1 in 4", served[1]);
	serve_all();
}

Test(fair, who_comes_to_an_empty_line_is_next_but_one_at_most)
{
	for (uint64_t group = 1; group <= 20; group++)
		flood(group, 0, HM_WEIGHT_MAX, 200);
	for (unsigned i = 0; i < 40; i++) /* none of them is new any more */
		(void)serve();
	for (unsigned before = 0; before < 300; before += 37) {
		for (unsigned i = 0; i < before; i++)
			(void)serve();
		(void)come(100 + before, 0, 1);
		unsigned turns = 1;
		while (serve().group != 100 + before)
			turns++;
		cr_expect_leq(turns, 2, "after %u turns", before);
	}
	serve_all();
}

Test(fair, a_new_member_is_next_but_one_of_its_group)
{
	for (uint64_t member = 1; member <= 20; member++)
		flood(1, member, 1, 20);
	for (unsigned i = 0; i < 45; i++)
		(void)serve();
	(void)come(1, 100, 1);
	unsigned turns = 1;
	while (serve().member != 100)
		turns++;
	cr_expect_leq(turns, 2);
	serve_all();
}

Test(fair, a_caller_that_invents_tenants_gets_no_more_than_its_share)
{
	unsigned served[3] = {0};
	for (uint64_t member = 1; member <= 300; member++)
		(void)come(1, member, 1);
	flood(2, 0, 1, 300);
	for (unsigned i = 0; i < 200; i++)
		served[serve().group]++;
	cr_expect(served[1] >= 99 && served[1] <= 101, "%u of 200", served[1]);
	serve_all();
}

/* One that has had its turn waits in the round, though its line was empty for a moment. */
Test(fair, who_asks_one_by_one_without_going_away_gets_no_more_than_its_share)
{
	unsigned served[4] = {0};
	struct pending *at_work = NULL;
	flood(1, 0, 1, 1000);
	flood(2, 0, 1, 1000);
	(void)come(3, 0, 1);
	for (unsigned i = 0; i < 600; i++) {
		struct pending *pending = fair_next(fair);
		uint64_t group = pending->who.group;
		served[group]++;
		if (group != 3) {
			leave(pending);
			continue;
		}
		(void)come(3, 0, 1);
		if (at_work)
			leave(at_work);
		at_work = pending;
	}
	cr_expect(served[3] <= 202, "%u of 600", served[3]);
	cr_expect(served[1] >= 198 && served[2] >= 198, "%u, %u", served[1], served[2]);
	leave(at_work);
	serve_all();
}

/* Of each group of 2 to 1 + `count` one at a time, the next when the one before has left; group 1 floods. */
static unsigned flooder_among(unsigned count, bool by_member, unsigned turns)
{
	unsigned flooder = 0;
	flood(1, 1, 1, turns);
	for (uint64_t line = 2; line < 2 + count; line++)
		(void)come(by_member ? 1 : line, line, 1);
	for (unsigned i = 0; i < turns; i++) {
		struct fair_who who = serve(); /* which has left when the next of it comes */
		if (who.member == 1)
			flooder++;
		else
			(void)come(who.group, who.member, 1);
	}
	serve_all();
	return flooder;
}

Test(fair, who_floods_gets_one_share_among_those_that_ask_one_by_one)
{
	for (unsigned by_member = 0; by_member < 2; by_member++) {
		unsigned flooder = flooder_among(9, by_member, 1000);
		cr_expect(flooder >= 95 && flooder <= 105, "%u of 1000", flooder);
	}
}

/* Two of weight 5 that ask one by one, and one of weight 2 that floods. */
Test(fair, weights_are_kept_by_those_that_ask_one_by_one)
{
	unsigned served[4] = {0};
	flood(1, 0, 2, 1200);
	(void)come(2, 0, 5);
	(void)come(3, 0, 5);
	for (unsigned i = 0; i < 1200; i++) {
		struct fair_who who = serve();
		served[who.group]++;
		if (who.group != 1)
			(void)come(who.group, 0, 5);
	}
	cr_expect(served[1] >= 190 && served[1] <= 210, "%u of 1200 for 2 in 12", served[1]);
	cr_expect(served[2] >= 490 && served[2] <= 510, "%u of 1200 for 5 in 12", served[2]);
	serve_all();
}

Test(fair, another_weight_after_a_reload_holds_though_the_group_waits)
{
	unsigned served[3] = {0};
	flood(1, 0, 1, 1000);
	flood(2, 0, 1, 1000);
	cr_expect_eq(serve().group, 1);
	(void)come(2, 0, 3);
	cr_expect_float_eq(fair_turns_until(fair, &(struct fair_who){3, 0, 1}), 5, 0.001);
	for (unsigned i = 0; i < 400; i++)
		served[serve().group]++;
	cr_expect(served[2] >= 297 && served[2] <= 303, "%u of 400 for 3 in 4", served[2]);
	serve_all();
}

/* More than there are places for, of which nobody is left. */
Test(fair, who_left_gives_its_place_to_others)
{
	struct pending *stays = come(1, 1, 1), *waits = come(2, 2, 1);
	cr_assert_eq(fair_next(fair), stays);
	for (uint64_t i = 0; i < 5 * HM_PENDING_MAX; i++) {
		(void)come(10 + i, i, 1);
		(void)come(1, 10 + i, 1);
		for (unsigned j = 0; j < 2; j++) {
			struct pending *served = fair_next(fair);
			if (served == waits)
				served = fair_next(fair);
			leave(served);
		}
	}
	fair_wait(fair, stays);
	cr_expect_eq(fair_next(fair), stays);
	leave(stays);
	leave(waits);
	cr_expect_eq(fair_waiting(fair), 0);
}

static void expect_no_starvation(bool by_member)
{
	unsigned old = 0;
	for (uint64_t line = 1; line <= 4; line++)
		flood(by_member ? 1 : line, line, 1, NEWCOMERS);
	for (uint64_t i = 0; i < NEWCOMERS; i++) { /* two newcomers for each that is served */
		(void)come(by_member ? 1 : 1000 + 2 * i, 1000 + 2 * i, 1);
		(void)come(by_member ? 1 : 1001 + 2 * i, 1001 + 2 * i, 1);
		old += serve().member <= 4;
	}
	cr_expect_geq(old, NEWCOMERS / 2 - 2);
	serve_all();
}

Test(fair, ever_new_groups_do_not_starve_the_round)
{
	expect_no_starvation(false);
}

Test(fair, ever_new_members_do_not_starve_the_round)
{
	expect_no_starvation(true);
}

/* ---- served in vain, and taken out ---- */

Test(fair, who_was_served_in_vain_comes_before_everybody)
{
	struct pending *second = come(2, 0, 1), *first = come(1, 0, 1);
	cr_assert_eq(fair_next(fair), second);
	cr_assert_eq(fair_next(fair), first);
	flood(3, 0, HM_WEIGHT_MAX, 10);
	fair_wait_first(fair, second);
	fair_wait_first(fair, first);
	cr_expect_eq(fair_waiting(fair), 12);
	cr_expect_eq(fair_next(fair), first);
	cr_expect_eq(fair_next(fair), second);
	cr_expect_eq(fair_waiting(fair), 10);
	leave(first);
	leave(second);
	serve_all();
}

Test(fair, one_taken_out_is_not_served_wherever_it_stood)
{
	struct pending *all[6];
	for (unsigned i = 0; i < 6; i++)
		all[i] = come(1 + i % 2, i / 2, 1);
	struct pending *vain = fair_next(fair);
	fair_wait_first(fair, vain);
	for (unsigned i = 0; i < 6; i += 2) {
		fair_take_out(fair, all[i]);
		leave(all[i]);
	}
	cr_expect_eq(fair_waiting(fair), 3);
	for (unsigned i = 0; i < 3; i++)
		cr_expect_eq(serve().group, 2);
	cr_expect_null(fair_next(fair));
	cr_expect_eq(fair_waiting(fair), 0);
}

/* ---- who may join ---- */

static unsigned join_until_refused(uint64_t group, uint64_t member, unsigned *free_places)
{
	for (unsigned joined = 0;; joined++) {
		struct pending *pending = of(group, member, 1);
		if (!fair_join(fair, pending, *free_places)) {
			free(pending);
			return joined;
		}
		fair_wait(fair, pending);
		--*free_places;
	}
}

Test(fair, who_takes_all_it_can_leaves_room_for_others)
{
	unsigned left = HM_PENDING_MAX;
	unsigned alone = join_until_refused(1, 1, &left);
	cr_expect(alone >= HM_PENDING_MAX / 4 && alone <= HM_PENDING_MAX / 4 + 1, "%u", alone);
	cr_expect_gt(join_until_refused(1, 2, &left), HM_PENDING_MAX / 20, "another member");
	cr_expect_gt(join_until_refused(2, 1, &left), HM_PENDING_MAX / 20, "another group");
	cr_expect_eq(join_until_refused(1, 1, &left), 0, "still has too many");
	serve_all();
	left = HM_PENDING_MAX;
	cr_expect_eq(join_until_refused(1, 1, &left), alone, "what left counts no more");
	serve_all();
}

/* Each newcomer gets a place while more are free than are taken. */
Test(fair, a_newcomer_is_refused_only_when_half_of_all_is_taken)
{
	unsigned left = HM_PENDING_MAX;
	for (uint64_t group = 1; left >= HM_PENDING_MAX / 2; group++)
		cr_assert_gt(join_until_refused(group, group, &left), 0, "group %lu", (unsigned long)group);
	struct pending *late = of(10000, 0, 1);
	cr_expect_not(fair_join(fair, late, left));
	cr_expect(fair_join(fair, late, HM_PENDING_MAX - left));
	leave(late);
	serve_all();
}

Test(fair, what_is_at_work_counts_among_those_that_joined)
{
	struct pending *first = come(1, 1, 1), *second = of(1, 1, 1);
	cr_assert_eq(fair_next(fair), first);
	cr_expect_not(fair_join(fair, second, 2), "one of the token, one of its group, one of its member");
	cr_expect(fair_join(fair, second, 3));
	leave(second);
	leave(first);
	second = of(1, 1, 1);
	cr_expect(fair_join(fair, second, 0));
	leave(second);
}

/* ---- how long it will take ---- */

static double turns_until(uint64_t group, uint64_t member, unsigned weight)
{
	return fair_turns_until(fair, &(struct fair_who){group, member, weight});
}

Test(fair, on_an_empty_token_one_is_next)
{
	cr_expect_eq(turns_until(1, 1, 1), 1);
	cr_expect_eq(turns_until(1, 1, HM_WEIGHT_MAX), 1);
}

Test(fair, how_long_it_takes_depends_on_ones_own_line_and_share)
{
	flood(1, 1, 1, 100);
	cr_expect_eq(turns_until(1, 1, 1), 101, "at the end of the only line");
	cr_expect_eq(turns_until(1, 2, 1), 2, "another member takes every second turn");
	cr_expect_eq(turns_until(2, 1, 1), 2, "another group too");
	cr_expect_float_eq(turns_until(2, 1, 4), 1.25, 0.001, "four turns of five");
	flood(2, 1, 3, 100);
	cr_expect_eq(turns_until(2, 1, 3), 101 * 4 / 3.0);
	cr_expect_eq(turns_until(1, 1, 1), 201, "no longer than all that wait");
	serve_all();
	cr_expect_eq(turns_until(1, 1, 1), 1);
}

Test(fair, who_waits_no_longer_makes_nobody_wait)
{
	struct pending *group = come(2, 1, 50), *member = come(1, 2, 1);
	flood(1, 1, 1, 100);
	cr_expect_eq(turns_until(3, 1, 1), 52);
	cr_expect_eq(turns_until(1, 3, 1), 103, "three members and all that wait");
	fair_take_out(fair, group);
	fair_take_out(fair, member);
	cr_expect_eq(turns_until(3, 1, 1), 2);
	cr_expect_eq(turns_until(1, 3, 1), 2);
	leave(group);
	leave(member);
	serve_all();
}

/* The numbers are chosen so that both members are looked for in the same place. */
Test(fair, the_same_tenant_of_another_caller_is_another)
{
	(void)come(257, 2, 1);
	flood(1, 1, 1, 10);
	cr_expect_eq(turns_until(257, 1, 1), 4);
	(void)come(257, 1, 1);
	cr_expect_eq(turns_until(257, 1, 1), 8);
	serve_all();
}

/* ---- anything, in any order ---- */

enum { GROUPS = 7, MEMBERS = 5, AT_ONCE = 300, STEPS = 100000 };

enum state { ABSENT, JOINED, WAITS, WAITS_FIRST };

static struct {
	struct pending *pending;
	enum state state;
	unsigned came; /* when it last began to wait */
} model[AT_ONCE];

static uint32_t draw(uint32_t below)
{
	static uint64_t state = 1;
	state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(state >> 33) % below;
}

static unsigned count_waiting(void)
{
	unsigned waiting = 0;
	for (unsigned i = 0; i < AT_ONCE; i++)
		waiting += model[i].state == WAITS || model[i].state == WAITS_FIRST;
	return waiting;
}

static unsigned place_of(const struct pending *pending)
{
	unsigned place = 0;
	while (place < AT_ONCE && model[place].pending != pending)
		place++;
	cr_assert_lt(place, AT_ONCE, "served twice, or never came");
	return place;
}

/* The last that was put before everybody, else the first of its line. */
static void check_served(unsigned served)
{
	for (unsigned i = 0; i < AT_ONCE; i++) {
		if (model[i].state == WAITS_FIRST) {
			cr_assert_eq(model[served].state, WAITS_FIRST);
			cr_assert(i == served || model[i].came < model[served].came);
		}
		if (model[i].state == WAITS && model[served].state == WAITS &&
			model[i].pending->member == model[served].pending->member)
			cr_assert(i == served || model[i].came > model[served].came);
	}
}

static void join_and_wait(unsigned place, unsigned step)
{
	uint64_t group = draw(GROUPS);
	model[place].pending = of(group, draw(MEMBERS), 1 + (unsigned)group);
	cr_assert(fair_join(fair, model[place].pending, PLENTY));
	if (draw(4)) {
		fair_wait(fair, model[place].pending);
		model[place].state = WAITS;
		model[place].came = step;
	} else
		model[place].state = JOINED;
}

static void go(unsigned place)
{
	leave(model[place].pending);
	model[place].pending = NULL;
	model[place].state = ABSENT;
}

static void change(unsigned place, unsigned step)
{
	struct pending *pending = model[place].pending;
	switch (model[place].state) {
	case ABSENT:
		join_and_wait(place, step);
		break;
	case JOINED:
		if (draw(2)) {
			go(place);
			break;
		}
		fair_wait_first(fair, pending);
		model[place].state = WAITS_FIRST;
		model[place].came = step;
		break;
	default:
		fair_take_out(fair, pending);
		model[place].state = JOINED;
	}
}

static void serve_one(void)
{
	struct pending *pending = fair_next(fair);
	cr_assert_eq(!pending, count_waiting() == 0);
	if (!pending)
		return;
	unsigned place = place_of(pending);
	cr_assert(model[place].state == WAITS || model[place].state == WAITS_FIRST);
	check_served(place);
	model[place].state = JOINED;
}

static void check_turns(void)
{
	uint64_t group = draw(GROUPS);
	double turns = turns_until(group, draw(MEMBERS), 1 + (unsigned)group);
	cr_assert(turns >= 1 && turns <= fair_waiting(fair) + 1.0, "%g", turns);
}

Test(fair, nothing_is_lost_or_served_twice_whatever_happens)
{
	for (unsigned step = 1; step <= STEPS; step++) {
		unsigned phase = step / 5000 % 4; /* filling, balanced, emptying, balanced */
		if (draw(4) < phase % 3 + (phase == 3))
			serve_one();
		else
			change(draw(AT_ONCE), step);
		if (step % 16)
			continue;
		cr_assert_eq(fair_waiting(fair), count_waiting(), "step %u", step);
		check_turns();
	}
	while (fair_waiting(fair))
		serve_one();
	for (unsigned i = 0; i < AT_ONCE; i++)
		if (model[i].pending)
			go(i);
	cr_expect_null(fair_next(fair));
	for (uint64_t group = 0; group < GROUPS; group++)
		cr_expect_eq(turns_until(group, 0, 1), 1, "group %lu is empty", (unsigned long)group);
	unsigned left = HM_PENDING_MAX;
	cr_expect_geq(join_until_refused(1, 1, &left), HM_PENDING_MAX / 4, "nobody is counted any more");
	serve_all();
}

/* Each place of the pool may be of another group, again and again. */
Test(fair, there_is_room_for_every_request_to_be_of_another_group)
{
	static struct pending *all[HM_PENDING_MAX];
	for (uint64_t round = 0; round < 3; round++) {
		for (uint64_t i = 0; i < HM_PENDING_MAX; i++)
			all[i] = come(round * HM_PENDING_MAX + i, i, 1);
		for (unsigned i = 0; i < HM_PENDING_MAX; i++)
			cr_assert_eq(fair_next(fair), all[i], "newcomers among themselves are served as they came");
		for (unsigned i = 0; i < HM_PENDING_MAX; i++)
			leave(all[i]);
	}
}
