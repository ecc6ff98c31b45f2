/* SPDX-License-Identifier: Apache-2.0 */
#include "replay.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

enum { BEGAN = 5000, LIFE_MS = HM_IDEMPOTENCY_SECONDS * 1000, LENGTH = 100, LARGE = 1024 * 1024 };

static struct replays *replays;
static struct hm_problem why;

static void open_replays(void)
{
	replays = replays_open();
	cr_assert_not_null(replays);
}

static void close_replays(void)
{
	replays_close(replays);
}

TestSuite(replay, .init = open_replays, .fini = close_replays);

static struct identity number(uint32_t n)
{
	struct identity who = {{0}};
	memcpy(who.bytes, &n, sizeof n);
	return who;
}

static struct gate_key key_of(uint8_t digest, uint16_t item, uint16_t items)
{
	return (struct gate_key){.text = "key", .digest = {[31] = digest}, .item = item, .items = items};
}

static const struct gate_key single = {.text = "key", .items = 1};

static struct pending *leader(void)
{
	struct pending *pending = calloc(1, sizeof *pending);
	cr_assert_not_null(pending);
	return pending;
}

static const struct identity nobody; /* no tenant */

/* Begin, for a tenant or 0; NULL when it is refused. */
static struct pending *begin_for(
	uint32_t caller, uint32_t tenant, uint32_t id, struct gate_key key, size_t length, uint64_t now_ms)
{
	struct pending *pending = leader();
	struct identity who = number(caller), whose = number(tenant), what = number(id);
	why = (struct hm_problem){0};
	if (replays_begin(replays, &who, &whose, &what, &key, length, now_ms, pending, &why) == HM_OK) {
		cr_assert_not_null(pending->replay);
		return pending;
	}
	cr_expect_null(pending->replay);
	free(pending);
	return NULL;
}

static struct pending *begin(uint32_t caller, uint32_t id, struct gate_key key, size_t length, uint64_t now_ms)
{
	return begin_for(caller, 0, id, key, length, now_ms);
}

static void keep(struct pending *pending, const char *text)
{
	cr_assert(replay_keep(replays, pending, text, strlen(text)));
	cr_expect_null(pending->replay);
	free(pending);
}

static void drop(struct pending *pending)
{
	replay_drop(replays, pending);
	cr_expect_null(pending->replay);
	free(pending);
}

static struct replay *find_as(uint32_t id, struct gate_key key, uint64_t now_ms)
{
	struct replay *found;
	struct identity what = number(id);
	cr_assert_eq(replays_find(replays, &what, &key, now_ms, &found, &why), HM_OK, "%s", why.code);
	return found;
}

static struct replay *find(uint32_t id, uint64_t now_ms)
{
	return find_as(id, single, now_ms);
}

static void expect_mismatch(uint32_t id, struct gate_key key)
{
	struct replay *found;
	struct identity what = number(id);
	why = (struct hm_problem){0};
	cr_expect_eq(replays_find(replays, &what, &key, BEGAN, &found, &why), HM_REFUSED);
	cr_expect_str_eq(why.code, "idempotency_mismatch");
	cr_expect_str_eq(why.field, "Idempotency-Key");
}

/* ---- one request ---- */

Test(replay, a_key_that_was_never_used_is_not_known)
{
	cr_expect_null(find(1, BEGAN));
	cr_expect_eq(replays_count(replays), 0);
}

Test(replay, one_in_flight_is_found_as_the_leader)
{
	struct pending *first = begin(1, 1, single, LENGTH, BEGAN);
	struct replay *replay = find(1, BEGAN + 1);
	cr_assert_not_null(replay);
	cr_expect_eq(first->replay, replay);
	cr_expect_eq(replay_leader(replay, 0), first);
	cr_expect_null(replay_kept(replay, 0));
	cr_expect_null(find(2, BEGAN), "another key");
	cr_expect_eq(replays_count(replays), 1);
	drop(first);
}

Test(replay, what_was_given_out_is_kept_as_it_was)
{
	static const char text[] = "{\"credential\":\"a.b.c\"}";
	struct pending *first = begin(1, 1, single, sizeof text - 1, BEGAN);
	first->issued = 1000;
	first->expires = 1300;
	memset(first->kid, 'k', HM_KID_MAX);
	keep(first, text);
	struct replay *replay = find(1, BEGAN);
	cr_assert_not_null(replay);
	cr_expect_null(replay_leader(replay, 0));
	const struct kept *kept = replay_kept(replay, 0);
	cr_assert_not_null(kept);
	cr_assert_eq(kept->length, sizeof text - 1);
	cr_expect_arr_eq(kept->text, text, kept->length);
	cr_expect_eq(kept->issued, 1000);
	cr_expect_eq(kept->expires, 1300);
	cr_expect_eq(strlen(kept->kid), HM_KID_MAX);
}

Test(replay, a_reply_longer_than_was_promised_is_not_kept)
{
	struct pending *first = begin(1, 1, single, 4, BEGAN);
	cr_expect_not(replay_keep(replays, first, "12345", 5));
	cr_expect_not_null(first->replay, "it is still to be dropped");
	drop(first);
	cr_expect_null(find(1, BEGAN));
}

Test(replay, another_body_or_number_of_items_is_a_mismatch_in_flight_and_after)
{
	struct pending *first = begin(1, 1, key_of(7, 0, 2), LENGTH, BEGAN);
	for (int kept = 0; kept < 2; kept++) {
		expect_mismatch(1, key_of(8, 0, 2));
		expect_mismatch(1, key_of(7, 0, 1));
		expect_mismatch(1, key_of(7, 0, 3));
		cr_expect_not_null(find_as(1, key_of(7, 1, 2), BEGAN));
		if (!kept)
			keep(first, "{}");
	}
	cr_expect_null(find_as(1, key_of(8, 0, 2), BEGAN + LIFE_MS), "once forgotten it is free for anything");
}

Test(replay, one_that_was_dropped_is_forgotten)
{
	drop(begin(1, 1, single, LENGTH, BEGAN));
	cr_expect_null(find(1, BEGAN));
	cr_expect_eq(replays_count(replays), 0);
	keep(begin(1, 1, key_of(9, 0, 1), LENGTH, BEGAN), "{}");
	cr_expect_not_null(find_as(1, key_of(9, 0, 1), BEGAN), "another body may have it now");
}

/* Found by 64 of its 256 bits, told apart by all. */
Test(replay, keys_that_begin_alike_are_different)
{
	struct identity caller = number(1), a = number(1), b = number(1);
	struct replay *found;
	struct pending *first = leader();
	b.bytes[31] = 1;
	cr_assert_eq(replays_begin(replays, &caller, &nobody, &a, &single, LENGTH, BEGAN, first, &why), HM_OK);
	cr_assert_eq(replays_find(replays, &b, &single, BEGAN, &found, &why), HM_OK);
	cr_expect_null(found);
	cr_assert_eq(replays_find(replays, &a, &single, BEGAN, &found, &why), HM_OK);
	cr_expect_eq(found, first->replay);
	drop(first);
}

/* ---- a batch ---- */

Test(replay, the_items_of_a_batch_are_apart)
{
	struct pending *first = begin(1, 1, key_of(1, 0, 3), LENGTH, BEGAN);
	struct pending *last = begin(1, 1, key_of(1, 2, 3), LENGTH, BEGAN);
	struct replay *replay = find_as(1, key_of(1, 1, 3), BEGAN);
	cr_expect_eq(replays_count(replays), 1);
	cr_expect_eq(first->replay, replay);
	cr_expect_eq(last->replay, replay);
	cr_expect_eq(last->item, 2);
	cr_expect_eq(replay_leader(replay, 0), first);
	cr_expect_null(replay_leader(replay, 1));
	cr_expect_eq(replay_leader(replay, 2), last);
	keep(first, "first");
	cr_expect_eq(replay_kept(replay, 0)->length, 5);
	cr_expect_null(replay_kept(replay, 2));
	drop(last);
	cr_expect_eq(find_as(1, key_of(1, 2, 3), BEGAN), replay, "one item is kept");
	cr_expect_null(replay_leader(replay, 2));
	last = begin(1, 1, key_of(1, 2, 3), LENGTH, BEGAN);
	keep(last, "last");
	cr_expect_arr_eq(replay_kept(replay, 0)->text, "first", 5);
	cr_expect_arr_eq(replay_kept(replay, 2)->text, "last", 4);
}

Test(replay, the_largest_batch_is_kept_whole)
{
	static struct pending *all[HM_BATCH_MAX];
	for (uint16_t i = 0; i < HM_BATCH_MAX; i++)
		all[i] = begin(1, 1, key_of(1, i, HM_BATCH_MAX), HM_JWT_MAX, BEGAN);
	for (uint16_t i = 0; i < HM_BATCH_MAX; i++) {
		cr_assert_not_null(all[i]);
		keep(all[i], i % 2 ? "odd" : "even");
	}
	struct replay *replay = find_as(1, key_of(1, 0, HM_BATCH_MAX), BEGAN);
	for (uint16_t i = 0; i < HM_BATCH_MAX; i++)
		cr_assert_eq(replay_kept(replay, i)->length, i % 2 ? 3 : 4);
}

Test(replay, the_last_item_that_is_dropped_takes_the_key_along)
{
	struct pending *first = begin(1, 1, key_of(1, 0, 2), LENGTH, BEGAN);
	struct pending *second = begin(1, 1, key_of(1, 1, 2), LENGTH, BEGAN);
	drop(first);
	cr_expect_eq(replays_count(replays), 1);
	drop(second);
	cr_expect_eq(replays_count(replays), 0);
}

/* ---- time ---- */

Test(replay, a_key_is_remembered_for_120_seconds_and_no_longer)
{
	keep(begin(1, 1, single, LENGTH, BEGAN), "{}");
	keep(begin(1, 2, single, LENGTH, BEGAN + 1), "{}");
	cr_expect_not_null(find(1, BEGAN + 119999));
	replays_expire(replays, BEGAN + 119999);
	cr_expect_eq(replays_count(replays), 2);
	cr_expect_null(find(1, BEGAN + 120000), "found no more, though nobody has cleared it away");
	cr_expect_not_null(find(2, BEGAN + 120000));
	replays_expire(replays, BEGAN + 120001);
	cr_expect_eq(replays_count(replays), 0);
}

Test(replay, the_time_counts_from_the_first_item_and_a_repetition_does_not_extend_it)
{
	keep(begin(1, 1, key_of(1, 0, 2), LENGTH, BEGAN), "{}");
	cr_expect_not_null(find_as(1, key_of(1, 0, 2), BEGAN + LIFE_MS - 1));
	keep(begin(1, 1, key_of(1, 1, 2), LENGTH, BEGAN + LIFE_MS - 1), "{}");
	cr_expect_null(find_as(1, key_of(1, 1, 2), BEGAN + LIFE_MS));
}

Test(replay, one_in_flight_is_never_forgotten)
{
	struct pending *first = begin(1, 1, single, LENGTH, BEGAN);
	keep(begin(1, 2, single, LENGTH, BEGAN + 1), "{}");
	replays_expire(replays, BEGAN + 2 * LIFE_MS);
	cr_expect_eq(replays_count(replays), 1, "it does not keep the younger ones from going");
	struct replay *replay = find(1, BEGAN + 2 * LIFE_MS);
	cr_assert_not_null(replay);
	cr_expect_eq(replay_leader(replay, 0), first);
	keep(first, "{}");
	cr_expect_null(find(1, BEGAN + 2 * LIFE_MS), "but kept no longer than any");
}

/* ---- memory ---- */

/* Keep a reply as long as was promised. */
static void keep_long(struct pending *pending, size_t length)
{
	static char text[LARGE];
	memset(text, 'x', sizeof text);
	cr_assert(replay_keep(replays, pending, text, length));
	free(pending);
}

/* Keys of one caller and tenant until it may have no more. */
static unsigned fill_for(uint32_t caller, uint32_t tenant, size_t length, uint64_t now_ms)
{
	for (unsigned i = 0;; i++) {
		struct pending *pending =
			begin_for(caller, tenant, caller * 1000000 + tenant * 100000 + i, single, length, now_ms);
		if (!pending)
			return i;
		keep_long(pending, length);
	}
}

static unsigned fill(uint32_t caller, size_t length, uint64_t now_ms)
{
	return fill_for(caller, 0, length, now_ms);
}

Test(replay, a_callers_memory_is_limited_and_nothing_that_lives_is_given_up)
{
	unsigned most = HM_IDEMPOTENCY_CALLER_BYTES / LARGE;
	keep(begin(3, 3000000, single, LENGTH, BEGAN - 1000), "another's, that is older");
	keep_long(begin(1, 1, single, LARGE, BEGAN), LARGE);
	unsigned kept = 1 + fill(1, LARGE, BEGAN + 20500);
	cr_expect(kept < most && kept >= most - 1, "%u, beside what describes them", kept);
	cr_expect_str_eq(why.code, "idempotency_full");
	cr_expect_eq(why.retry_after, 100, "99.5 s until the first goes: %u", why.retry_after);
	cr_expect_eq(replays_count(replays), kept + 1);
	cr_expect_not_null(replay_kept(find(1, BEGAN + 20500), 0));
	for (unsigned i = 0; i + 1 < kept; i++)
		cr_assert_not_null(find(1000000 + i, BEGAN + 20500));
	cr_expect_null(find(1000000 + kept - 1, BEGAN + 20500), "the refused one is not remembered");

	keep(begin(2, 2, single, LARGE, BEGAN + 20500), "{}");
	struct pending *again = begin(1, 3, single, LARGE, BEGAN + LIFE_MS);
	cr_assert_not_null(again, "there is room when the first has gone");
	drop(again);
}

Test(replay, another_item_of_a_known_key_needs_memory_too)
{
	keep_long(begin(1, 1, key_of(1, 0, 2), LARGE, BEGAN), LARGE);
	(void)fill(1, LARGE, BEGAN);
	cr_expect_null(begin(1, 1, key_of(1, 1, 2), LARGE, BEGAN));
	cr_expect_str_eq(why.code, "idempotency_full");
	cr_expect_not_null(replay_kept(find_as(1, key_of(1, 0, 2), BEGAN), 0));
}

Test(replay, what_was_promised_and_not_needed_comes_back)
{
	for (unsigned i = 0; i < 2 * HM_IDEMPOTENCY_CALLER_BYTES / LARGE; i++) {
		struct pending *pending = begin(1, i, single, LARGE, BEGAN);
		cr_assert_not_null(pending, "%u", i);
		keep(pending, "{}");
	}
}

Test(replay, one_tenant_of_a_caller_leaves_room_for_the_others)
{
	unsigned all = HM_IDEMPOTENCY_CALLER_BYTES / LARGE, left = all;
	for (uint32_t tenant = 1; tenant <= 4; tenant++) {
		unsigned kept = fill_for(1, tenant, LARGE, BEGAN);
		cr_expect_str_eq(why.code, "idempotency_full");
		cr_expect(kept + 2 >= left / 2 && kept <= left / 2 + 1, "tenant %u has %u of %u", tenant, kept, left);
		left -= kept;
	}
	cr_expect_eq(fill_for(1, 1, LARGE, BEGAN), 0, "it has its share");
	replays_expire(replays, BEGAN + LIFE_MS);
	cr_expect_geq(fill_for(1, 5, LARGE, BEGAN + LIFE_MS), all / 2 - 1, "all of it comes back");
}

Test(replay, small_replies_are_charged_with_what_describes_them)
{
	unsigned kept = fill(1, 2, BEGAN);
	cr_expect_lt(kept, HM_IDEMPOTENCY_CALLER_BYTES / 100, "%u", kept);
	cr_expect_gt(kept, HM_IDEMPOTENCY_CALLER_BYTES / 1000, "%u", kept);
	replays_expire(replays, BEGAN + LIFE_MS);
	cr_expect_eq(fill(1, 2, BEGAN + LIFE_MS), kept, "all of it comes back");
}

Test(replay, the_memory_of_all_callers_is_limited)
{
	uint32_t callers = 1;
	for (; fill(callers, LARGE, BEGAN + callers); callers++)
		cr_assert_leq(callers, HM_IDEMPOTENCY_BYTES / HM_IDEMPOTENCY_CALLER_BYTES + 2);
	cr_expect_gt(callers, HM_IDEMPOTENCY_BYTES / HM_IDEMPOTENCY_CALLER_BYTES);
	cr_expect_str_eq(why.code, "idempotency_full");
	cr_expect_eq(why.retry_after, HM_IDEMPOTENCY_SECONDS);
	cr_expect_geq(replays_count(replays), HM_IDEMPOTENCY_BYTES / LARGE - HM_IDEMPOTENCY_BYTES / LARGE / 32);
	cr_expect_not_null(find(1000000, BEGAN + LIFE_MS), "the first of all lives");
	replays_expire(replays, BEGAN + callers + LIFE_MS);
	cr_expect_eq(replays_count(replays), 0);
	cr_expect_eq(fill(1, LARGE, BEGAN + 2 * LIFE_MS), HM_IDEMPOTENCY_CALLER_BYTES / LARGE - 1, "all is free again");
}

/* Whatever happened, the memory comes back: else the limit would be reached one day. */
Test(replay, what_is_dropped_refused_or_too_old_costs_nothing)
{
	for (uint32_t i = 0; i < 1000; i++) {
		struct pending *first = begin(1, i, key_of(1, 0, 2), LARGE, BEGAN + i * UINT64_C(5000));
		struct pending *second = begin(1, i, key_of(1, 1, 2), LARGE, BEGAN + i * UINT64_C(5000));
		cr_assert(first && second, "round %u", i);
		if (i % 3)
			drop(first);
		else
			keep(first, "{}");
		drop(second);
	}
	replays_expire(replays, BEGAN + 1000 * UINT64_C(5000) + LIFE_MS);
	cr_expect_eq(replays_count(replays), 0);
	cr_expect_eq(fill(1, LARGE, BEGAN + 2000 * UINT64_C(5000)), HM_IDEMPOTENCY_CALLER_BYTES / LARGE - 1);
}

Test(replay, the_place_of_a_key_that_went_costs_nothing)
{
	keep(begin(1, 1, single, LENGTH, BEGAN), "{}"); /* it keeps the account alive */
	for (uint32_t i = 0; i < 50000; i++) {          /* of 4 KiB and more each */
		struct pending *pending = begin(1, 2 + i, key_of(1, 0, HM_BATCH_MAX), LENGTH, BEGAN);
		cr_assert_not_null(pending, "round %u", i);
		drop(pending);
	}
}
