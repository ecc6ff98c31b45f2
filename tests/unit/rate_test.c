/* SPDX-License-Identifier: Apache-2.0 */
#include "rate.h"

#include <criterion/criterion.h>
#include <string.h>

static struct rates *rates;
static struct hm_problem why;

static void open_rates(void)
{
	rates = rates_open();
	cr_assert_not_null(rates);
}

static void close_rates(void)
{
	rates_close(rates);
}

TestSuite(rate, .init = open_rates, .fini = close_rates);

static struct identity number(uint32_t n)
{
	struct identity who = {{0}};
	memcpy(who.bytes, &n, sizeof n);
	return who;
}

/* Each number is of another owner as far as there are owners. */
static struct rate rate_of(uint32_t n, double per_second, unsigned burst)
{
	return (struct rate){.field = "caller", .who = number(n), .per_second = per_second, .burst = burst, .owner = n};
}

static hm_result look_at(struct rate rate, uint64_t now_ms, struct bucket **bucket)
{
	why = (struct hm_problem){0};
	return rates_look(rates, &rate, now_ms, bucket, &why);
}

static hm_result look(uint32_t n, double rate, unsigned burst, uint64_t now_ms)
{
	struct bucket *bucket;
	return look_at(rate_of(n, rate, burst), now_ms, &bucket);
}

static hm_result take(uint32_t n, double rate, unsigned burst, uint64_t now_ms)
{
	struct bucket *bucket;
	hm_result result = look_at(rate_of(n, rate, burst), now_ms, &bucket);
	if (result == HM_OK)
		bucket_take(bucket);
	return result;
}

/* How many one may take at this moment. */
static unsigned take_all(uint32_t n, double rate, unsigned burst, uint64_t now_ms)
{
	unsigned taken = 0;
	while (take(n, rate, burst, now_ms) == HM_OK)
		taken++;
	cr_expect_str_eq(why.code, "rate_limited");
	return taken;
}

Test(rate, as_many_as_the_burst_may_be_taken_at_once)
{
	cr_expect_eq(take_all(1, 2, 5, 1000), 5);
	cr_expect_eq(take(1, 2, 5, 1000), HM_REFUSED);
	cr_expect_str_eq(why.code, "rate_limited");
	cr_expect_str_eq(why.field, "caller");
	cr_expect(strstr(why.detail, "2 a second") && strstr(why.detail, "5 at once"), "%s", why.detail);
}

Test(rate, looking_takes_nothing)
{
	for (unsigned i = 0; i < 100; i++)
		cr_expect_eq(look(1, 1, 1, 1000), HM_OK);
	cr_expect_eq(take_all(1, 1, 1, 1000), 1);
	for (unsigned i = 0; i < 100; i++)
		cr_expect_eq(look(1, 1, 1, 1999), HM_REFUSED, "nor does a refusal put off what is to come");
	cr_expect_eq(take(1, 1, 1, 2000), HM_OK);
}

Test(rate, it_fills_with_time_up_to_the_burst)
{
	cr_expect_eq(take_all(1, 4, 10, 1000), 10);
	cr_expect_eq(take_all(1, 4, 10, 1249), 0);
	cr_expect_eq(take_all(1, 4, 10, 1250), 1);
	cr_expect_eq(take_all(1, 4, 10, 2250), 4);
	cr_expect_eq(take_all(1, 4, 10, 1000000), 10);
}

Test(rate, each_has_a_bucket_of_its_own)
{
	cr_expect_eq(take_all(1, 1, 3, 1000), 3);
	cr_expect_eq(take_all(2, 1, 3, 1000), 3);
	cr_expect_eq(take(1, 1, 3, 1000), HM_REFUSED);
	/* with the same 64 bits in front, by which they are found */
	struct rate a = rate_of(1, 1, 3), b = a;
	struct bucket *of_a, *of_b;
	a.field = "agent";
	b.who.bytes[31] = 1;
	cr_expect_eq(look_at(a, 1000, &of_a), HM_REFUSED);
	cr_expect_str_eq(why.field, "agent");
	cr_expect_eq(look_at(b, 1000, &of_b), HM_OK);
	cr_expect_neq(of_a, of_b);
}

/* Who comes again after the time told gets one; a second before would have been too early. */
Test(rate, the_time_told_is_when_there_is_one_more)
{
	static const struct {
		double rate;
		unsigned told;
	} cases[] = {{100, 1}, {1, 1}, {0.5, 2}, {0.3, 4}, {0.1, 10}, {0.01, 100}, {0.001, HM_RETRY_AFTER_MAX}};
	for (uint32_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		cr_expect_eq(take_all(i, cases[i].rate, 1, 1000), 1);
		cr_expect_eq(take(i, cases[i].rate, 1, 1000), HM_REFUSED);
		cr_expect_eq(why.retry_after, cases[i].told, "%g: %u", cases[i].rate, why.retry_after);
		if (cases[i].told == HM_RETRY_AFTER_MAX)
			continue;
		uint64_t then = 1000 + cases[i].told * UINT64_C(1000);
		if (cases[i].told > 1)
			cr_expect_eq(take(i, cases[i].rate, 1, then - 1000), HM_REFUSED, "%g", cases[i].rate);
		cr_expect_eq(take(i, cases[i].rate, 1, then), HM_OK, "%g", cases[i].rate);
	}
}

Test(rate, the_time_told_shrinks_as_the_bucket_fills)
{
	cr_expect_eq(take_all(1, 0.1, 1, 1000), 1);
	cr_expect_eq(take(1, 0.1, 1, 6000), HM_REFUSED);
	cr_expect_eq(why.retry_after, 5);
	cr_expect_eq(take(1, 0.1, 1, 10500), HM_REFUSED);
	cr_expect_eq(why.retry_after, 1);
}

/* Each look fills the bucket a little, and rounds. */
Test(rate, the_time_told_holds_though_many_look_meanwhile)
{
	static const double each[] = {0.1, 0.3, 0.7, 1};
	for (uint32_t i = 0; i < sizeof each / sizeof *each; i++) {
		cr_expect_eq(take_all(i, each[i], 1, 1000), 1);
		cr_expect_eq(look(i, each[i], 1, 1000), HM_REFUSED);
		uint64_t then = 1000 + why.retry_after * UINT64_C(1000);
		for (uint64_t now = 1000; now < then; now++)
			(void)!look(i, each[i], 1, now);
		cr_expect_eq(take(i, each[i], 1, then), HM_OK, "%g", each[i]);
	}
}

Test(rate, another_rate_after_a_reload_holds_at_once)
{
	cr_expect_eq(take_all(1, 1, 2, 1000), 2);
	cr_expect_eq(take_all(1, 1, 2, 2000), 1);
	cr_expect_eq(take_all(1, 10, 20, 3000), 10);
	cr_expect_eq(take_all(1, 10, 20, 1000000), 20);
	cr_expect_eq(look(1, 10, 20, 2000000), HM_OK, "full again");
	cr_expect_eq(take_all(1, 1, 3, 2000000), 3, "a smaller burst holds for what is there");
}

/* ---- more than there are buckets ---- */

Test(rate, a_full_bucket_is_given_up_when_there_are_too_many)
{
	for (uint32_t n = 0; n < HM_BUCKETS_MAX; n++)
		cr_assert_eq(take(n, 1, 2, 1000), HM_OK, "%u", n);
	cr_expect_eq(take(HM_BUCKETS_MAX, 1, 2, 1999), HM_UNAVAILABLE, "none is full");
	cr_expect_str_eq(why.code, "overload");
	cr_expect_gt(why.retry_after, 0);
	cr_expect_eq(take_all(7, 1, 2, 1999), 1, "those that are watched are served");
	cr_expect_eq(take(HM_BUCKETS_MAX, 1, 2, 2000), HM_OK, "the oldest is full by now");
	cr_expect_eq(take_all(HM_BUCKETS_MAX, 1, 2, 2000), 1, "and it is one of its own");
	cr_expect_eq(take_all(7, 1, 2, 2000), 1, "one that is not full was kept: forgotten it would have two");
}

/* A few that fill slowly do not keep all others from being given up. */
Test(rate, a_full_bucket_is_found_behind_some_that_are_not)
{
	for (uint32_t n = 0; n < HM_BUCKETS_MAX; n++)
		cr_assert_eq(take(n, n < 60 ? 0.001 : 1, 1, 1000), HM_OK);
	cr_expect_eq(take(HM_BUCKETS_MAX, 1, 1, 1999), HM_UNAVAILABLE, "none is full");
	for (uint32_t n = 0; n < 1000; n++)
		cr_assert_eq(take(HM_BUCKETS_MAX + n, 1, 1, 2000), HM_OK, "%u", n);
	for (uint32_t n = 0; n < 60; n++)
		cr_assert_eq(take(n, 0.001, 1, 2000), HM_REFUSED, "%u is not forgotten", n);
}

Test(rate, one_used_again_is_not_the_oldest)
{
	for (uint32_t n = 0; n < HM_BUCKETS_MAX; n++)
		cr_assert_eq(take(n, 0.1, 2, 1000), HM_OK);
	cr_assert_eq(look(0, 0.1, 2, 2000), HM_OK);
	cr_assert_eq(take(0, 0.1, 2, 12000), HM_OK);
	for (uint32_t n = 0; n < 100; n++)
		cr_assert_eq(take(HM_BUCKETS_MAX + n, 0.1, 2, 12000), HM_OK, "%u", n);
	cr_expect_eq(take_all(0, 0.1, 2, 12000), 1, "not forgotten for the others");
}

Test(rate, one_caller_takes_a_part_of_all_places)
{
	struct bucket *bucket;
	struct rate rate = rate_of(0, 0.1, 1);
	for (uint32_t n = 0; n < HM_BUCKETS_CALLER_MAX; n++) {
		rate.who = number(n);
		cr_assert_eq(look_at(rate, 1000, &bucket), HM_OK, "%u", n);
		bucket_take(bucket);
	}
	rate.who = number(HM_BUCKETS_CALLER_MAX);
	cr_expect_eq(look_at(rate, 4000, &bucket), HM_UNAVAILABLE);
	cr_expect_str_eq(why.code, "overload");
	cr_expect_eq(why.retry_after, 7, "the oldest is full then: %u", why.retry_after);
	rate.owner = 1;
	cr_expect_eq(look_at(rate, 4000, &bucket), HM_OK, "another caller is none the worse");
	rate.who = number(HM_BUCKETS_CALLER_MAX + 1);
	rate.owner = 0;
	cr_expect_eq(look_at(rate, 11000, &bucket), HM_OK, "the oldest made room");
}

Test(rate, the_buckets_are_given_to_others_again_and_again)
{
	for (uint32_t n = 0; n < 3 * HM_BUCKETS_MAX; n++)
		cr_assert_eq(take_all(n, 1000, 1, 1000 + n), 1, "%u", n);
}
