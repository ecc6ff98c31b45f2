/* SPDX-License-Identifier: Apache-2.0 */
/* The view of client assertions that were used. */
#include "assertions.h"
#include "changes.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

enum { APART = 300 }; /* seconds, by which clocks of nodes differ at most */

static struct assertions *assertions;
static struct hm_problem why;

static void begin(void)
{
	assertions = assertions_open();
	cr_assert_not_null(assertions);
}

static void end(void)
{
	assertions_close(assertions);
}

TestSuite(assertions, .init = begin, .fini = end);

static struct assertion made(const char *issuer, const char *client, const char *id, int64_t until)
{
	struct assertion assertion;
	cr_assert_eq(assertion_of(issuer, client, id, until, &assertion, &why), HM_OK);
	return assertion;
}

static hm_result take(const char *key, uint64_t version, const char *body)
{
	const struct store_row row = {RECORD_ASSERTION, key, version, body, body ? strlen(body) : 0};
	return assertions_take(assertions, &row, &why);
}

/* As the store does it. */
static void use(const struct assertion *assertion, uint64_t version)
{
	struct changes *changes = changes_open();
	cr_assert(assertions_put(changes, assertion));
	cr_assert_eq(changes->items[0].kind, RECORD_ASSERTION);
	cr_assert_eq(changes->items[0].seen, 0, "a second one is a conflict");
	cr_assert_eq(take(changes->items[0].key, version, changes->items[0].body), HM_OK, "%s", why.detail);
	changes_close(changes);
}

Test(assertions, each_is_known_by_issuer_client_and_id_whenever_it_expires)
{
	const struct assertion one = made("a", "b", "c", 100);
	cr_assert(!assertions_was_used(assertions, &one));
	use(&one, 1);
	cr_assert(assertions_was_used(assertions, &one));
	const struct assertion later = made("a", "b", "c", 200);
	cr_assert(assertions_was_used(assertions, &later));
	const struct assertion others[] = {made("a", "b", "d", 100), made("a", "d", "c", 100), made("d", "b", "c", 100),
		made("ab", "", "c", 100), made("a", "bc", "", 100)};
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		cr_assert(!assertions_was_used(assertions, &others[i]), "%zu", i);
}

Test(assertions, what_nobody_accepts_any_more_is_deleted_and_nothing_before)
{
	const struct assertion all[] = {
		made("a", "b", "1", 100), made("a", "b", "2", 101), made("a", "b", "3", 110), made("a", "b", "4", 105)};
	for (unsigned i = 0; i < 4; i++)
		use(&all[i], 10 + i);
	struct changes *changes = changes_open();
	cr_assert_eq(assertions_expire(assertions, APART + 99, 4, changes), 0);
	cr_assert_eq(assertions_expire(assertions, APART + 101, 1, changes), 1);
	cr_assert_eq(assertions_expire(assertions, APART + 101, 4, changes), 2);
	cr_assert_eq(changes->count, 3);
	cr_assert_eq(changes->items[2].act, CHANGE_DELETE);
	cr_assert_str_eq(changes->items[2].key, all[1].key);
	cr_assert_eq(changes->items[2].seen, 11);
	changes_close(changes);
	cr_assert_eq(take(all[0].key, 20, NULL), HM_OK);
	cr_assert_eq(take(all[1].key, 21, NULL), HM_OK);
	cr_assert(!assertions_was_used(assertions, &all[0]));
	changes = changes_open();
	cr_assert_eq(assertions_expire(assertions, APART + 105, 1, changes), 0,
		"one that lives longer, and is looked at first");
	cr_assert_eq(assertions_expire(assertions, APART + 105, 1, changes), 1, "keeps none behind it");
	cr_assert_str_eq(changes->items[0].key, all[3].key);
	changes_close(changes);
}

Test(assertions, a_row_that_comes_again_is_there_once)
{
	const struct assertion one = made("a", "b", "c", 100);
	use(&one, 1);
	use(&one, 2);
	struct changes *changes = changes_open();
	cr_assert_eq(assertions_expire(assertions, APART + 100, 10, changes), 1);
	cr_assert_eq(changes->items[0].seen, 2);
	changes_close(changes);
	cr_assert_eq(take("nobody", 3, NULL), HM_OK, "deleted before it was known");
}

Test(assertions, rows_that_are_not_ours_are_refused)
{
	static const char *const bodies[] = {"", "{}", "{\"until\":}", "{\"until\":\"1\"}", "{\"until\":1",
		"{\"until\": 1}", "{\"until\":01}", "{\"until\":1}x", "{\"until\":1,\"x\":2}", "{\"until\":1.5}",
		"null"};
	const struct assertion one = made("a", "b", "c", 100);
	for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
		cr_assert_eq(take(one.key, 1, bodies[i]), HM_BROKEN, "%s", bodies[i]);
	cr_assert_eq(take("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 1, "{\"until\":1}"), HM_BROKEN);
	cr_assert(!assertions_was_used(assertions, &one));
}
