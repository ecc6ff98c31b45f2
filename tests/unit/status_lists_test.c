/* SPDX-License-Identifier: Apache-2.0 */
/* Who gets which place of a status list, and what each place says: rows fed by hand, as the store would give them. */
#include "status_lists.h"

#include "changes.h"
#include "clock.h"
#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AGENT       "spiffe://a.test/agent/first"
#define OTHER       "spiffe://a.test/agent/second"
#define CLASS       "spiffe://a.test/ci/*"
#define INSTANCE    "spiffe://a.test/ci/1"
#define KID         "kid-one"
#define TASK        "TAAAAAAAAAAAAAAAAAAAAA"
#define CHILD       "CAAAAAAAAAAAAAAAAAAAAA"
#define FAR         4000000000
#define DAY         86400
#define HOUR        3600
#define NEVER_THERE ((struct status_place){9, 9})

static struct agents *agents;
static struct tasks *tasks;
static struct revocations *revocations;
static struct status_lists *lists;
static struct hm_problem why;
static uint64_t version;

static void open_lists(void)
{
	agents = agents_open();
	tasks = tasks_open();
	revocations = revocations_open();
	lists = status_lists_open(agents, tasks, revocations);
	cr_assert(agents && tasks && revocations && lists);
}

static void close_lists(void)
{
	status_lists_close(lists);
	revocations_close(revocations);
	tasks_close(tasks);
	agents_close(agents);
}

TestSuite(status_lists, .init = open_lists, .fini = close_lists);

/* ---- rows ---- */

/* As governance.c gives each to its view, and tells of it. */
static hm_result take(enum record_kind kind, const char *key, const char *body)
{
	const struct store_row row = {kind, key, ++version, body, body ? strlen(body) : 0};
	const struct revocation *revocation = NULL;
	hm_result result = HM_OK;
	if (kind == RECORD_BLOCK)
		return status_lists_take(lists, &row, &why);
	if (kind == RECORD_AGENT)
		result = agents_take(agents, &row, &why);
	else if (kind == RECORD_TASK)
		result = tasks_take(tasks, &row, &why);
	else
		result = revocations_take(revocations, &row, &revocation, &why);
	cr_assert_eq(result, HM_OK, "%s", why.detail);
	if (kind == RECORD_AGENT)
		status_lists_agent_changed(lists, "a", strchr(key, ' ') + 1);
	else if (kind == RECORD_TASK && tasks_find(tasks, key))
		status_lists_task_changed(lists, tasks_find(tasks, key));
	else if (revocation)
		status_lists_revoked(lists, revocation);
	return HM_OK;
}

static hm_result HM_PRINTF(3, 4) taken(enum record_kind kind, const char *key, const char *format, ...)
{
	char body[2048];
	va_list args;
	va_start(args, format);
	vsnprintf(body, sizeof body, format, args);
	va_end(args);
	return take(kind, key, body);
}

static void put_agent(const char *name, const char *status)
{
	char key[256];
	snprintf(key, sizeof key, "a %s", name);
	/* ids are unique; of these names the last character is */
	(void)!taken(RECORD_AGENT, key,
		"{\"class\":%s,\"contact\":\"\",\"created\":1,\"id\":\"AAAAAAAAAAAAAAAAAAAAA%c\",%s\"owner\":\"%s\","
		"\"purpose\":\"%s\",\"review\":%s,\"status\":\"%s\"}",
		strchr(name, '*') ? "true" : "false",
		strchr(name, '*')     ? 'A'
		: strcmp(name, AGENT) ? 'Q'
				      : 'g',
		strcmp(name, INSTANCE) == 0 ? "\"of\":\"" CLASS "\"," : "", strcmp(name, INSTANCE) ? "o" : "",
		strcmp(name, INSTANCE) ? "testing" : "", strcmp(name, INSTANCE) ? "4000000000" : "0", status);
}

static void put_task(const char *id, const char *agent, const char *state, const char *parent)
{
	(void)!taken(RECORD_TASK, id,
		"{\"agent\":\"%s\",\"caller\":\"c\",%s\"expires\":4000000000,\"issuer\":\"a\",\"opened\":1%s%s%s,"
		"\"purpose\":\"testing\",\"state\":\"%s\"}",
		agent, state[0] == 'c' ? "\"ended\":2," : "", parent ? ",\"parent\":\"" : "", parent ? parent : "",
		parent ? "\"" : "", state);
}

static void put_revocation(const char *what, const char *name, int64_t at, const char *more)
{
	char key[256];
	snprintf(key, sizeof key, "a %s %s", what, name);
	(void)!taken(RECORD_REVOCATION, key, "{\"at\":%" PRId64 ",\"by\":\"c\",\"expires\":4000000000%s}", at, more);
}

/* What was put is committed: the views get it. */
static void commit(struct changes *changes)
{
	for (unsigned i = 0; i < changes->count; i++) {
		const struct change *change = &changes->items[i];
		cr_assert_eq(change->kind, RECORD_BLOCK);
		if (change->act == CHANGE_GUARD)
			continue;
		cr_assert_eq(take(change->kind, change->key, change->body), HM_OK, "%s", why.detail);
	}
	changes_close(changes);
}

static struct status_holder holder(const char *agent, const char *task, bool shared)
{
	return (struct status_holder){.issuer = "a", .agent = agent, .task = task, .kid = KID, .shared = shared};
}

/* As a mint does: what there is, or a block is committed first. */
static struct status_place place_at(const struct status_holder *holder, int64_t leased)
{
	struct status_place place;
	if (status_lists_place(lists, holder, leased + HOUR, &place))
		return place;
	struct status_lease lease = {.count = 0};
	struct changes *changes = changes_open();
	cr_assert(status_lists_put_block(lists, holder, leased, changes, &lease));
	commit(changes);
	status_lists_leased(lists, "a", &lease, version);
	cr_assert(status_lists_place(lists, holder, leased + HOUR, &place));
	return place;
}

static struct status_place place(const char *agent, const char *task, bool shared)
{
	const struct status_holder of = holder(agent, task, shared);
	return place_at(&of, 1000);
}

static void expect_value(struct status_place at, enum status_value value)
{
	cr_expect_eq(status_lists_value(lists, "a", at), value, "%u %u", at.list, at.index);
}

/* ---- who gets which ---- */

Test(status_lists, credentials_of_a_task_share_a_place)
{
	put_agent(AGENT, "active");
	put_task(TASK, AGENT, "open", NULL);
	put_task(CHILD, AGENT, "open", TASK);
	struct status_place first = place(AGENT, TASK, true), again = place(AGENT, TASK, true),
			    other = place(AGENT, CHILD, true);
	cr_expect(first.list == again.list && first.index == again.index);
	cr_expect(first.list != other.list || first.index != other.index);
	cr_expect(status_lists_is_shared(lists, "a", first));
	expect_value(first, STATUS_VALID);
}

Test(status_lists, each_credential_alone_has_a_place_that_no_other_has)
{
	bool seen[2][STATUS_LIST_PLACES] = {{false}};
	put_agent(AGENT, "active");
	put_agent(OTHER, "active");
	put_task(TASK, AGENT, "open", NULL);
	struct status_place shared = place(AGENT, TASK, true);
	seen[shared.list][shared.index] = true;
	for (int i = 0; i < 3 * STATUS_BLOCK_PLACES; i++) {
		struct status_place of = place(i % 2 ? OTHER : AGENT, i % 3 ? "" : TASK, false);
		if (i % 2 && i % 3 == 0)
			of = place(OTHER, "", false);
		cr_assert_lt(of.list, 2u);
		cr_expect_not(seen[of.list][of.index], "%u %u twice", of.list, of.index);
		cr_expect_not(status_lists_is_shared(lists, "a", of));
		seen[of.list][of.index] = true;
	}
}

Test(status_lists, a_place_is_of_one_key_and_of_one_issuer)
{
	struct status_place other_place;
	put_agent(AGENT, "active");
	put_task(TASK, AGENT, "open", NULL);
	(void)place(AGENT, TASK, true);
	struct status_holder of = holder(AGENT, TASK, true);
	of.kid = "kid-two";
	cr_expect_not(status_lists_place(lists, &of, FAR, &other_place));
	of = holder(AGENT, TASK, true);
	of.issuer = "b";
	cr_expect_not(status_lists_place(lists, &of, FAR, &other_place));
	cr_expect_eq(
		status_lists_value(lists, "b", (struct status_place){0, 0}), STATUS_INVALID, "nothing is known of b");
}

/* Ids are random, and tasks are found quickly for that. */
static void make_id(char id[HM_ID_MAX + 1], unsigned number)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
	snprintf(id, HM_ID_MAX + 1, "%c%c%020u", alphabet[number % 63], alphabet[number / 63 % 64], number);
}

/* More blocks than there are buckets at first; each is found, and each list is full before the next begins. */
Test(status_lists, a_list_that_is_full_is_followed_by_another)
{
	enum { TASKS = STATUS_LIST_PLACES + 10 };
	char id[HM_ID_MAX + 1];
	put_agent(AGENT, "active");
	unsigned in_first = 0;
	for (int i = 0; i < TASKS; i++) {
		make_id(id, (unsigned)i);
		put_task(id, AGENT, "open", NULL);
		struct status_place of = place(AGENT, id, true);
		cr_assert_lt(of.list, 2u);
		in_first += of.list == 0;
	}
	cr_expect_eq(in_first, (unsigned)STATUS_LIST_PLACES);
	for (int i = 0; i < TASKS; i += 1001) {
		make_id(id, (unsigned)i);
		struct status_place of = place(AGENT, id, true);
		expect_value(of, STATUS_VALID);
		put_task(id, AGENT, "completed", NULL);
		expect_value(of, STATUS_INVALID);
	}
}

Test(status_lists, places_of_an_earlier_life_are_not_given_again)
{
	struct status_place of;
	put_agent(AGENT, "active");
	cr_assert_eq(taken(RECORD_BLOCK, "a 0 32",
			     "{\"agent\":\"" AGENT "\",\"count\":32,\"kid\":\"" KID
			     "\",\"leased\":1,\"shared\":false,\"task\":\"\"}"),
		HM_OK);
	const struct status_holder alone = holder(AGENT, "", false);
	cr_expect_not(status_lists_place(lists, &alone, FAR, &of));
	of = place(AGENT, "", false);
	cr_expect(of.list != 0 || of.index < 32 || of.index >= 64);
}

static struct status_lease newest;

static struct changes *lease(const char *task, bool shared)
{
	const struct status_holder of = holder(AGENT, task, shared);
	struct changes *changes = changes_open();
	cr_assert(status_lists_put_block(lists, &of, 1000, changes, &newest));
	return changes;
}

/* A store that takes nothing for a while must not use up the lists. */
Test(status_lists, places_that_were_not_committed_are_free_again)
{
	put_agent(AGENT, "active");
	put_task(TASK, AGENT, "open", NULL);
	for (int i = 0; i < 100000; i++) {
		changes_close(lease(i % 2 ? TASK : "", i % 2));
		status_lists_leased(lists, "a", &newest, 0);
	}
	for (int i = 0; i < 3; i++)
		cr_assert_eq(place(AGENT, "", false).list, 0u);
}

/* As the store gives both: the row that came first, then that ours was refused. */
Test(status_lists, places_of_who_came_first_are_not_ours)
{
	struct status_place of;
	const struct status_holder alone = holder(AGENT, "", false);
	put_agent(AGENT, "active");
	struct changes *refused = lease("", false);
	cr_assert_eq(taken(RECORD_BLOCK, refused->items[0].key,
			     "{\"agent\":\"" AGENT "\",\"count\":32,\"kid\":\"" KID
			     "\",\"leased\":1000,\"shared\":false,\"task\":\"\"}"),
		HM_OK);
	changes_close(refused);
	status_lists_leased(lists, "a", &newest, 0);
	cr_expect_not(status_lists_place(lists, &alone, 1000 + HOUR, &of));
	refused = lease("", false);
	cr_expect_str_eq(refused->items[0].key, "a 0 32", "the other's are taken");
	changes_close(refused);
}

/* Two nodes lease at once, and neither sees the other's: a block of many places and one of a part of them must not both
 * be committed. Of one word there is always one row that both write or guard. */
Test(status_lists, blocks_that_lap_over_each_other_are_never_both_committed)
{
	put_agent(AGENT, "active");
	put_task(TASK, AGENT, "open", NULL);
	put_task(CHILD, AGENT, "open", NULL);
	struct changes *whole = lease("", false), *first, *second;
	close_lists(); /* the other node */
	open_lists();
	put_agent(AGENT, "active");
	put_task(TASK, AGENT, "open", NULL);
	put_task(CHILD, AGENT, "open", NULL);
	first = lease(TASK, true);
	second = lease(CHILD, true); /* while the first is on its way */
	cr_expect_str_eq(whole->items[0].key, "a 0 0");
	cr_expect_str_eq(first->items[0].key, "a 0 0");
	cr_expect_str_eq(second->items[0].key, "a 0 32");
	changes_close(whole);
	commit(first);
	commit(second);
	for (int i = 33; i < 35; i++) {
		second = lease(CHILD, true);
		cr_assert_eq(second->count, 2u);
		cr_expect_eq(second->items[0].act, CHANGE_GUARD);
		cr_expect_str_eq(second->items[0].key, "a 0 32");
		cr_expect_eq(second->items[0].seen, version);
		cr_expect_eq(atoi(second->items[1].key + strlen("a 0 ")), i);
		changes_close(second);
	}
}

/* ---- what places say ---- */

Test(status_lists, a_task_says_what_its_places_say_and_so_do_its_parents)
{
	put_agent(AGENT, "active");
	put_task(TASK, AGENT, "open", NULL);
	put_task(CHILD, AGENT, "open", TASK);
	struct status_place own = place(AGENT, TASK, true), childs = place(AGENT, CHILD, true),
			    single = place(AGENT, CHILD, false);
	put_task(TASK, AGENT, "paused", NULL);
	expect_value(own, STATUS_SUSPENDED);
	expect_value(childs, STATUS_SUSPENDED);
	expect_value(single, STATUS_SUSPENDED);
	put_task(TASK, AGENT, "open", NULL);
	expect_value(childs, STATUS_VALID);
	put_task(CHILD, AGENT, "cancelled", TASK);
	expect_value(own, STATUS_VALID);
	expect_value(single, STATUS_INVALID);
	put_task(TASK, AGENT, "completed", NULL);
	expect_value(own, STATUS_INVALID);
}

Test(status_lists, an_agent_and_its_class_say_what_all_their_places_say)
{
	put_agent(CLASS, "active");
	put_agent(INSTANCE, "active");
	put_agent(AGENT, "active");
	struct status_place of = place(INSTANCE, "", false), other = place(AGENT, "", false);
	put_agent(INSTANCE, "suspended");
	expect_value(of, STATUS_SUSPENDED);
	put_agent(INSTANCE, "active");
	expect_value(of, STATUS_VALID);
	put_agent(CLASS, "suspended");
	expect_value(of, STATUS_SUSPENDED);
	put_agent(CLASS, "retired");
	expect_value(of, STATUS_INVALID);
	expect_value(other, STATUS_VALID);
}

Test(status_lists, a_suspended_task_of_a_retired_agent_has_ended)
{
	put_agent(AGENT, "active");
	put_task(TASK, AGENT, "paused", NULL);
	struct status_place of = place(AGENT, TASK, true);
	expect_value(of, STATUS_SUSPENDED);
	put_agent(AGENT, "retired");
	expect_value(of, STATUS_INVALID);
}

Test(status_lists, a_subject_and_a_key_are_revoked_until_then)
{
	put_agent(AGENT, "active");
	put_agent(OTHER, "active");
	struct status_place of = place(AGENT, "", false), other = place(OTHER, "", false);
	put_revocation("subject", AGENT, 999, "");
	expect_value(of, STATUS_VALID);
	put_revocation("subject", AGENT, 1000, "");
	expect_value(of, STATUS_INVALID);
	expect_value(other, STATUS_VALID);
	put_revocation("key", "kid-two", 1000, "");
	expect_value(other, STATUS_VALID);
	put_revocation("key", KID, 1000, "");
	expect_value(other, STATUS_INVALID);
}

Test(status_lists, after_a_revocation_places_of_another_block_are_given)
{
	struct status_place later;
	put_agent(AGENT, "active");
	put_task(TASK, AGENT, "open", NULL);
	struct status_place of = place(AGENT, TASK, true);
	put_revocation("subject", AGENT, 1000, "");
	const struct status_holder same = holder(AGENT, TASK, true);
	cr_expect_not(status_lists_place(lists, &same, FAR, &later));
	later = place_at(&same, 1001);
	cr_expect(later.list != of.list || later.index != of.index);
	expect_value(later, STATUS_VALID);
	expect_value(of, STATUS_INVALID);
}

Test(status_lists, a_credential_is_revoked_alone_where_it_has_a_place_alone)
{
	char more[64];
	put_agent(AGENT, "active");
	struct status_place of = place(AGENT, "", false), next = place(AGENT, "", false);
	snprintf(more, sizeof more, ",\"index\":%u,\"list\":%u", of.index, of.list);
	put_revocation("credential", "IAAAAAAAAAAAAAAAAAAAAA", 1000, more);
	expect_value(of, STATUS_INVALID);
	expect_value(next, STATUS_VALID);
	put_agent(AGENT, "suspended");
	expect_value(of, STATUS_INVALID);
	expect_value(next, STATUS_SUSPENDED);
	put_agent(AGENT, "active");
	expect_value(of, STATUS_INVALID);
}

Test(status_lists, a_whole_block_is_ended_and_its_holder_gets_another)
{
	put_agent(AGENT, "active");
	put_task(TASK, AGENT, "open", NULL);
	struct status_place of = place(AGENT, TASK, true);
	struct changes *changes = changes_open();
	cr_expect_not(status_lists_put_ended(lists, "a", NEVER_THERE, changes));
	cr_expect(status_lists_put_ended(lists, "a", of, changes));
	commit(changes);
	expect_value(of, STATUS_INVALID);
	struct status_place later = place(AGENT, TASK, true);
	cr_expect(later.list != of.list || later.index != of.index);
	expect_value(later, STATUS_VALID);
	expect_value(of, STATUS_INVALID);
}

Test(status_lists, a_place_whose_agent_or_task_is_not_known_has_ended)
{
	cr_assert_eq(taken(RECORD_BLOCK, "a 0 0",
			     "{\"agent\":\"" AGENT "\",\"count\":1,\"kid\":\"" KID
			     "\",\"leased\":1,\"shared\":true,\"task\":\"" TASK "\"}"),
		HM_OK);
	expect_value((struct status_place){0, 0}, STATUS_INVALID);
	put_agent(AGENT, "active");
	expect_value((struct status_place){0, 0}, STATUS_INVALID);
	put_task(TASK, AGENT, "open", NULL);
	expect_value((struct status_place){0, 0}, STATUS_VALID);
	expect_value((struct status_place){0, STATUS_LIST_PLACES}, STATUS_INVALID);
	expect_value((struct status_place){1, 0}, STATUS_INVALID);
}

/* As a start finds it, in the order in which it was written: revocations are kept longer than blocks. */
Test(status_lists, what_was_revoked_before_a_block_was_leased_is_not_of_it)
{
	put_agent(AGENT, "active");
	put_revocation("credential", "IAAAAAAAAAAAAAAAAAAAAA", 1000, ",\"index\":3,\"list\":0");
	cr_assert_eq(taken(RECORD_BLOCK, "a 0 0",
			     "{\"agent\":\"" AGENT "\",\"count\":32,\"kid\":\"" KID
			     "\",\"leased\":2000,\"shared\":false,\"task\":\"\"}"),
		HM_OK);
	expect_value((struct status_place){0, 3}, STATUS_VALID);
	put_revocation("credential", "JAAAAAAAAAAAAAAAAAAAAA", 2001, ",\"index\":3,\"list\":0");
	expect_value((struct status_place){0, 3}, STATUS_INVALID);
}

/* Another node deleted ours and leased its own there, and we hear of both at once. */
Test(status_lists, a_block_that_another_leased_in_place_of_ours_is_not_ours)
{
	char key[32];
	struct status_place next;
	const struct status_holder others = holder(OTHER, "", false);
	put_agent(AGENT, "active");
	put_agent(OTHER, "active");
	struct status_place of = place(AGENT, "", false);
	snprintf(key, sizeof key, "a %u %u", of.list, of.index);
	cr_assert_eq(taken(RECORD_BLOCK, key,
			     "{\"agent\":\"" OTHER "\",\"count\":1,\"kid\":\"" KID
			     "\",\"leased\":2000,\"shared\":false,\"task\":\"\"}"),
		HM_OK);
	cr_expect_not(status_lists_place(lists, &others, 2000 + HOUR, &next));
	cr_assert_eq(taken(RECORD_BLOCK, key,
			     "{\"agent\":\"" OTHER "\",\"count\":32,\"kid\":\"" KID
			     "\",\"leased\":3000,\"shared\":false,\"task\":\"\"}"),
		HM_OK);
	cr_expect_not(status_lists_place(lists, &others, 3000 + HOUR, &next));
}

/* ---- what is published ---- */

Test(status_lists, a_list_is_taken_when_it_changed_and_says_what_its_places_say)
{
	uint8_t bits[STATUS_LIST_PLACES / 4];
	char issuer[HM_NAME_MAX + 1];
	unsigned list;
	put_agent(AGENT, "active");
	put_task(TASK, AGENT, "open", NULL);
	cr_expect_not(status_lists_take_changed(lists, issuer, &list, bits));
	struct status_place of = place(AGENT, TASK, true);
	cr_assert(status_lists_take_changed(lists, issuer, &list, bits));
	cr_expect_not(status_lists_take_changed(lists, issuer, &list, bits));
	put_agent(AGENT, "active");
	cr_expect_not(status_lists_take_changed(lists, issuer, &list, bits), "nothing has changed");
	put_task(TASK, AGENT, "paused", NULL);
	cr_assert(status_lists_take_changed(lists, issuer, &list, bits));
	cr_expect_str_eq(issuer, "a");
	cr_expect_eq(list, of.list);
	cr_expect_eq(bits[of.index / 4] >> of.index % 4 * 2 & 3, STATUS_SUSPENDED);
	status_lists_again(lists, "a", of.list);
	cr_expect(status_lists_take_changed(lists, issuer, &list, bits));
	status_lists_again(lists, "a", of.list + 1);
	status_lists_again(lists, "b", 0);
	cr_expect_not(status_lists_take_changed(lists, issuer, &list, bits));
}

/* ---- what is old ---- */

static unsigned expire(int64_t now, unsigned most)
{
	struct changes *changes = changes_open();
	unsigned count = status_lists_expire(lists, now, most, changes);
	commit(changes);
	return count;
}

/* Some at a time, until every block has been looked at. */
static unsigned expire_all(int64_t now)
{
	unsigned count = 0;
	for (int i = 0; i < 2000; i++)
		count += expire(now, 1000);
	return count;
}

Test(status_lists, a_place_of_a_task_is_free_when_the_task_is_gone)
{
	put_agent(AGENT, "active");
	put_task(CHILD, AGENT, "open", NULL);
	struct status_place of = place(AGENT, CHILD, true);
	cr_expect_eq(expire_all(FAR), 0);
	cr_expect_eq(take(RECORD_TASK, CHILD, NULL), HM_OK);
	cr_expect_eq(expire_all(hm_time()), 1);
	expect_value(of, STATUS_VALID);
	cr_expect_not(status_lists_is_shared(lists, "a", of));
	put_task(TASK, AGENT, "open", NULL);
	struct status_place next = place(AGENT, TASK, true);
	cr_expect(next.list == of.list && next.index == of.index, "it is given to another");
}

Test(status_lists, a_block_that_is_full_is_free_a_day_after_its_last_place_was_given)
{
	const struct status_holder alone = holder(AGENT, "", false);
	int64_t leased = hm_time();
	put_agent(AGENT, "active");
	for (int i = 0; i < STATUS_BLOCK_PLACES; i++)
		(void)place_at(&alone, leased);
	int64_t given = hm_time();
	cr_expect_eq(expire_all(given + DAY - 5), 0);
	cr_expect_eq(expire_all(given + DAY + 5), 1);
	(void)place_at(&alone, leased);
	cr_expect_eq(expire_all(given + DAY + 5), 0, "it has places left");
}

/* Of an agent that comes no more, of another node, of an earlier life, with whatever clock this one began. */
Test(status_lists, a_block_without_a_task_is_free_when_nothing_on_it_can_live_any_more)
{
	const struct status_holder alone = holder(AGENT, "", false);
	int64_t leased = hm_time() + 5 * DAY;
	put_agent(AGENT, "active");
	(void)place_at(&alone, leased);
	cr_assert_eq(taken(RECORD_BLOCK, "a 0 64",
			     "{\"agent\":\"" AGENT "\",\"count\":32,\"kid\":\"" KID "\",\"leased\":%" PRId64
			     ",\"shared\":false,\"task\":\"\"}",
			     leased),
		HM_OK);
	cr_expect_eq(expire_all(leased + 2 * DAY), 0);
	cr_expect_eq(expire_all(leased + 2 * DAY + HOUR), 2);
}

/* Other nodes know of a block when it was leased, and not what was given of it since. */
Test(status_lists, no_place_is_given_to_what_lives_longer_than_its_block)
{
	struct status_place of;
	const struct status_holder alone = holder(AGENT, "", false), tasks_own = holder(AGENT, TASK, false);
	put_agent(AGENT, "active");
	put_task(TASK, AGENT, "open", NULL);
	(void)place_at(&alone, 1000);
	(void)place_at(&tasks_own, 1000);
	cr_expect(status_lists_place(lists, &alone, 1000 + 2 * DAY, &of));
	cr_expect_not(status_lists_place(lists, &alone, 1000 + 2 * DAY + 1, &of));
	cr_expect(status_lists_place(lists, &tasks_own, 1000 + 2 * DAY + 1, &of), "it is there as long as the task");
}

/* So that it keeps nobody waiting: of very many it looks at a part each time. */
Test(status_lists, old_blocks_are_found_a_part_at_a_time)
{
	enum { MANY = 20000 };
	char key[32];
	for (int i = 0; i < MANY; i++) {
		snprintf(key, sizeof key, "a 0 %d", i);
		cr_assert_eq(taken(RECORD_BLOCK, key,
				     "{\"agent\":\"spiffe://a.test/agent/%d\",\"count\":1,\"kid\":\"" KID
				     "\",\"leased\":1,\"shared\":true,\"task\":\"T%021d\"}",
				     i, i),
			HM_OK);
	}
	unsigned found = expire(FAR, MANY);
	cr_expect_leq(found, MANY / 4u);
	cr_expect_eq(expire(FAR, 3), 3);
	found += 3;
	for (int i = 0; i < 2000 && found < MANY; i++)
		found += expire(FAR, MANY);
	cr_expect_eq(found, MANY);
	cr_expect_eq(expire_all(FAR), 0);
}

/* ---- rows that are none ---- */

Test(status_lists, rows_that_are_none_change_nothing)
{
	static const struct {
		const char *key, *body;
	} wrong[] = {{"a 0", "{}"}, {"a 0 0 0", "{}"}, {"a 64 0", "{}"}, {"a 0 32768", "{}"}, {"", "{}"},
		{"a x 0", "{}"}, {"a 0 0", "[]"}, {"a 0 0", "{"}, {"a 0 0", "{}"},
		{"a 0 0", "{\"agent\":\"x\",\"count\":0,\"kid\":\"k\",\"leased\":1,\"shared\":false,\"task\":\"\"}"},
		{"a 0 0", "{\"agent\":\"x\",\"count\":33,\"kid\":\"k\",\"leased\":1,\"shared\":false,\"task\":\"\"}"},
		{"a 0 32760",
			"{\"agent\":\"x\",\"count\":32,\"kid\":\"k\",\"leased\":1,\"shared\":false,\"task\":\"\"}"},
		{"a 0 0", "{\"agent\":\"x\",\"count\":2,\"kid\":\"k\",\"leased\":1,\"shared\":true,\"task\":\"\"}"},
		{"a 0 0", "{\"agent\":\"x\",\"count\":1,\"kid\":\"k\",\"leased\":-1,\"shared\":true,\"task\":\"\"}"},
		{"a 0 0", "{\"agent\":\"x\",\"count\":1,\"kid\":\"k\",\"leased\":1,\"more\":1,\"shared\":true,\"task\":"
			  "\"\"}"},
		{"a 0 0", "{\"agent\":\"x\",\"count\":1,\"kid\":\"k\",\"leased\":1,\"shared\":true,"
			  "\"task\":\"" TASK "A\"}"}};
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		cr_expect_eq(take(RECORD_BLOCK, wrong[i].key, wrong[i].body), HM_BROKEN, "%s %s", wrong[i].key,
			wrong[i].body);
	cr_expect_eq(expire_all(FAR), 0, "no block has come of it");
}
