/* SPDX-License-Identifier: Apache-2.0 */
#include "pending.h"

#include <criterion/criterion.h>

static struct pending_pool *pool;

static void open_pool(void)
{
	pool = pending_open();
	cr_assert_not_null(pool);
}

static void close_pool(void)
{
	pending_close(pool);
}

TestSuite(pending, .init = open_pool, .fini = close_pool);

Test(pending, every_place_can_be_taken_and_then_there_is_none)
{
	static struct pending *taken[HM_PENDING_MAX];
	for (unsigned i = 0; i < HM_PENDING_MAX; i++) {
		taken[i] = pending_take(pool, 5000);
		cr_assert_not_null(taken[i], "place %u", i);
		cr_expect_eq(pending_count(pool), i + 1);
		for (unsigned other = 0; other < i; other += 7)
			cr_assert_neq(taken[i], taken[other]);
	}
	cr_expect_null(pending_take(pool, 5000));
	cr_expect_eq(pending_count(pool), HM_PENDING_MAX);
	pending_release(pool, taken[500]);
	cr_expect_eq(pending_take(pool, 5000), taken[500], "the one that is free");
	cr_expect_null(pending_take(pool, 5000));
}

Test(pending, an_id_finds_its_place_as_long_as_it_is_in_use_and_never_its_successor)
{
	struct pending *first = pending_take(pool, 5000);
	uint64_t id = first->id;
	cr_expect_neq(id, 0, "0 is a probe's");
	cr_expect_eq(pending_find(pool, id), first);
	pending_release(pool, first);
	cr_expect_null(pending_find(pool, id));

	struct pending *second = pending_take(pool, 5000);
	cr_expect_eq(second, first, "the same place");
	cr_expect_neq(second->id, id);
	cr_expect_null(pending_find(pool, id));
	cr_expect_eq(pending_find(pool, second->id), second);
}

Test(pending, an_id_that_was_never_given_finds_nothing)
{
	struct pending *pending = pending_take(pool, 5000);
	static const uint64_t others[] = {0, 1, HM_PENDING_MAX, HM_PENDING_MAX - 1, 65535, 65536 * 2, UINT64_MAX,
		UINT64_MAX - 65535, (uint64_t)1 << 63};
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		if (others[i] != pending->id)
			cr_expect_null(pending_find(pool, others[i]), "%lu", (unsigned long)others[i]);
	for (unsigned bit = 0; bit < 64; bit++)
		cr_expect_null(pending_find(pool, pending->id ^ (uint64_t)1 << bit), "bit %u", bit);
}

Test(pending, ids_are_not_used_again)
{
	uint64_t before = 0;
	for (unsigned i = 0; i < 100000; i++) {
		struct pending *pending = pending_take(pool, 5000);
		cr_assert_gt(pending->id, before);
		before = pending->id;
		pending_release(pool, pending);
	}
}

Test(pending, the_oldest_is_the_one_that_waits_longest)
{
	struct pending *first = pending_take(pool, 5000);
	struct pending *second = pending_take(pool, 5000);
	struct pending *third = pending_take(pool, 5000);
	cr_expect_eq(pending_next_due(pool), first);
	pending_release(pool, second);
	cr_expect_eq(pending_next_due(pool), first);
	pending_release(pool, first);
	cr_expect_eq(pending_next_due(pool), third);
	struct pending *fourth = pending_take(pool, 5000);
	cr_expect_eq(pending_next_due(pool), third, "a place used again counts from its new use");
	pending_release(pool, third);
	cr_expect_eq(pending_next_due(pool), fourth);
	pending_release(pool, fourth);
	cr_expect_null(pending_next_due(pool));
}

Test(pending, one_that_was_answered_has_no_deadline_but_keeps_its_place)
{
	struct pending *first = pending_take(pool, 5000);
	struct pending *second = pending_take(pool, 5000);
	pending_mark_answered(pool, first);
	cr_expect(first->answered);
	cr_expect_eq(pending_next_due(pool), second);
	cr_expect_eq(pending_count(pool), 2);
	cr_expect_eq(pending_find(pool, first->id), first);
	pending_release(pool, second);
	pending_mark_answered(pool, first);
	cr_expect_null(pending_next_due(pool), "answering twice brings nothing back");
	pending_release(pool, first);
	cr_expect_null(pending_next_due(pool));
	cr_expect_eq(pending_count(pool), 0);
}

Test(pending, a_place_taken_again_remembers_nothing_of_its_use_before)
{
	struct pending *pending = pending_take(pool, 5000);
	pending->tries = 2;
	pending_mark_answered(pool, pending);
	pending_release(pool, pending);
	cr_expect_eq(pending_take(pool, 5000), pending);
	cr_expect_eq(pending->tries, 0);
	cr_expect_not(pending->answered);
	cr_expect_eq(pending_next_due(pool), pending);
}

Test(pending, the_nearest_deadline_comes_first_whenever_it_came)
{
	struct pending *late = pending_take(pool, 9000);
	struct pending *soon = pending_take(pool, 100);
	struct pending *between = pending_take(pool, 5000);
	struct pending *same = pending_take(pool, 5000);
	struct pending *const order[] = {soon, between, same, late};
	for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
		cr_expect_eq(pending_next_due(pool), order[i], "number %zu", i);
		pending_release(pool, order[i]);
	}
	cr_expect_eq(pending_free(pool), HM_PENDING_MAX);
}
