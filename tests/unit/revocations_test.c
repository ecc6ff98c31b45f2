/* SPDX-License-Identifier: Apache-2.0 */
/* The view of revocations: rows fed by hand, as the store would give them, and random ones beside a plain list. */
#include "revocations.h"

#include "changes.h"
#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AGENT "spiffe://a.test/agent/first"
#define KID   "kid-one"
#define ID    "IAAAAAAAAAAAAAAAAAAAAA"
#define DAY   86400

static struct revocations *revocations;
static struct hm_problem why;

static void open_view(void)
{
	revocations = revocations_open();
	cr_assert_not_null(revocations);
}

static void close_view(void)
{
	revocations_close(revocations);
}

TestSuite(revocations, .init = open_view, .fini = close_view);

static hm_result take(const char *key, uint64_t version, const char *body, const struct revocation **taken)
{
	const struct store_row row = {RECORD_REVOCATION, key, version, body, body ? strlen(body) : 0};
	return revocations_take(revocations, &row, taken, &why);
}

static const struct revocation *put(const char *key, uint64_t version, int64_t at, int64_t expires)
{
	char body[128];
	const struct revocation *taken = NULL;
	snprintf(body, sizeof body, "{\"at\":%" PRId64 ",\"by\":\"c\",\"expires\":%" PRId64 "}", at, expires);
	cr_assert_eq(take(key, version, body, &taken), HM_OK, "%s", why.detail);
	cr_assert_not_null(taken);
	return taken;
}

static void delete_row(const char *key, uint64_t version)
{
	const struct revocation *taken = NULL;
	cr_assert_eq(take(key, version, NULL, &taken), HM_OK, "%s", why.detail);
	cr_assert_null(taken);
}

static bool covers(const char *issuer, const char *id, const char *subject, const char *kid, int64_t issued)
{
	return revocations_cover(revocations, issuer, id, subject, kid, issued);
}

/* ---- one row ---- */

Test(revocations, a_row_is_read_whole)
{
	const struct revocation *taken = NULL;
	cr_assert_eq(
		take("a credential " ID, 7,
			"{\"at\":5,\"by\":\"c\",\"expires\":9,\"index\":65535,\"list\":3,\"reason\":\"lost\"}", &taken),
		HM_OK, "%s", why.detail);
	cr_assert_eq(taken, revocations_find(revocations, REVOKED_CREDENTIAL, "a", ID));
	cr_expect_eq(taken->of, REVOKED_CREDENTIAL);
	cr_expect_str_eq(taken->issuer, "a");
	cr_expect_str_eq(taken->name, ID);
	cr_expect_eq(taken->at, 5);
	cr_expect_eq(taken->expires, 9);
	cr_expect(taken->has_place);
	cr_expect_eq(taken->list, 3u);
	cr_expect_eq(taken->index, 65535u);
	cr_expect_eq(revocations_version(revocations, REVOKED_CREDENTIAL, "a", ID), 7u);
	cr_expect_null(revocations_find(revocations, REVOKED_SUBJECT, "a", ID));
	cr_expect_null(revocations_find(revocations, REVOKED_CREDENTIAL, "b", ID));
	cr_expect_eq(revocations_version(revocations, REVOKED_CREDENTIAL, "b", ID), 0u);
}

Test(revocations, a_name_may_have_spaces)
{
	const struct revocation *taken = put("a subject x key y", 1, 5, 9);
	cr_expect_eq(taken->of, REVOKED_SUBJECT);
	cr_expect_str_eq(taken->name, "x key y");
	cr_expect_not(taken->has_place);
	cr_expect_eq(taken, revocations_find(revocations, REVOKED_SUBJECT, "a", "x key y"));
}

Test(revocations, a_later_row_replaces_the_earlier_and_a_deleted_one_is_gone)
{
	(void)put("a subject " AGENT, 1, 5, 9);
	(void)put("a subject " AGENT, 2, 6, 10);
	cr_expect_eq(revocations_version(revocations, REVOKED_SUBJECT, "a", AGENT), 2u);
	cr_expect_eq(revocations_find(revocations, REVOKED_SUBJECT, "a", AGENT)->at, 6);
	delete_row("a subject " AGENT, 3);
	cr_expect_null(revocations_find(revocations, REVOKED_SUBJECT, "a", AGENT));
	cr_expect_eq(revocations_version(revocations, REVOKED_SUBJECT, "a", AGENT), 0u);
	delete_row("a subject " AGENT, 4);
}

Test(revocations, a_key_is_as_long_as_the_store_allows_and_no_longer)
{
	char key[HM_STORE_KEY_MAX + 1], name[HM_STORE_KEY_MAX + 1];
	size_t most = HM_STORE_KEY_MAX - strlen("a key ");
	memset(name, 'x', sizeof name);
	name[most] = 0;
	cr_expect(revocation_key(REVOKED_KEY, "a", name, key));
	cr_expect_eq(strlen(key), (size_t)HM_STORE_KEY_MAX);
	(void)put(key, 1, 5, 9);
	cr_expect_not_null(revocations_find(revocations, REVOKED_KEY, "a", name));
	name[most] = 'x';
	name[most + 1] = 0;
	cr_expect_not(revocation_key(REVOKED_KEY, "a", name, key));
	cr_expect_null(revocations_find(revocations, REVOKED_KEY, "a", name), "not the one that it begins with");
}

Test(revocations, rows_that_are_none_change_nothing)
{
	static const char good[] = "{\"at\":6,\"by\":\"c\",\"expires\":9}", same[] = "a subject " AGENT;
	const struct {
		const char *key, *body;
	} wrong[] = {{"", good}, {"a", good}, {"a subject", good}, {"a subject ", good}, {" subject x", good},
		{"a other x", good}, {"a Subject x", good}, {"a  x", good}, {same, ""}, {same, "[]"}, {same, "{"},
		{same, "{}"}, {same, "{\"at\":6,\"by\":\"c\"}"}, {same, "{\"by\":\"c\",\"expires\":9}"},
		{same, "{\"at\":6,\"expires\":9}"}, {same, "{\"at\":6,\"by\":\"c\",\"expires\":9,\"more\":1}"},
		{same, "{\"at\":6,\"at\":6,\"by\":\"c\",\"expires\":9}"},
		{same, "{\"at\":-1,\"by\":\"c\",\"expires\":9}"}, {same, "{\"at\":6,\"by\":\"c\",\"expires\":-1}"},
		{same, "{\"at\":\"6\",\"by\":\"c\",\"expires\":9}"}, {same, "{\"at\":6.0,\"by\":\"c\",\"expires\":9}"},
		{same, "{\"at\":6,\"by\":null,\"expires\":9}"},
		{same, "{\"at\":6,\"by\":\"c\",\"expires\":9,\"reason\":1}"},
		{same, "{\"at\":6,\"by\":\"c\",\"expires\":9,\"index\":1}"},
		{same, "{\"at\":6,\"by\":\"c\",\"expires\":9,\"list\":1}"},
		{same, "{\"at\":6,\"by\":\"c\",\"expires\":9,\"index\":65536,\"list\":1}"},
		{same, "{\"at\":6,\"by\":\"c\",\"expires\":9,\"index\":1,\"list\":65536}"},
		{same, "{\"at\":9223372036854775808,\"by\":\"c\",\"expires\":9}"}};
	const struct revocation *found[4], *before = put(same, 1, 5, 9), *taken;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		taken = before;
		cr_expect_eq(
			take(wrong[i].key, 2, wrong[i].body, &taken), HM_BROKEN, "%s %s", wrong[i].key, wrong[i].body);
		cr_expect_null(taken);
	}
	cr_expect_eq(revocations_list(revocations, "a", NULL, found, 4), 1u);
	cr_expect_eq(found[0], before);
	cr_expect_eq(before->at, 5);
	cr_expect_eq(revocations_version(revocations, REVOKED_SUBJECT, "a", AGENT), 1u);
}

/* ---- what is covered ---- */

Test(revocations, a_subject_and_a_key_are_covered_until_that_second)
{
	cr_expect_not(covers("a", ID, AGENT, KID, 0), "there is none");
	(void)put("a subject " AGENT, 1, 1000, 2000);
	(void)put("a key " KID, 2, 500, 2000);
	cr_expect(covers("a", ID, AGENT, "other", 999));
	cr_expect(covers("a", ID, AGENT, "other", 1000));
	cr_expect_not(covers("a", ID, AGENT, "other", 1001));
	cr_expect(covers("a", ID, "other", KID, 500));
	cr_expect_not(covers("a", ID, "other", KID, 501));
	cr_expect(covers("a", ID, AGENT, KID, 501), "one of them is enough");
	cr_expect_not(covers("a", ID, AGENT, KID, 1001));
	cr_expect_not(covers("b", ID, AGENT, KID, 0), "another issuer's are others");
	cr_expect_not(covers("a", AGENT, KID, AGENT, 0), "a name of one kind is none of another");
}

Test(revocations, a_credential_is_covered_whenever_it_was_issued)
{
	(void)put("a credential " ID, 1, 1000, 2000);
	cr_expect(covers("a", ID, AGENT, KID, 1001), "its id is of it alone");
	cr_expect_not(covers("a", "other", AGENT, KID, 1));
	delete_row("a credential " ID, 2);
	cr_expect_not(covers("a", ID, AGENT, KID, 1));
}

/* ---- what is old ---- */

static unsigned expire(int64_t now, unsigned most)
{
	struct changes *changes = changes_open();
	unsigned count = revocations_expire(revocations, now, most, changes);
	cr_assert_eq(changes->count, count);
	for (unsigned i = 0; i < count; i++) {
		const struct change *change = &changes->items[i];
		cr_expect_eq(change->act, CHANGE_DELETE);
		cr_expect_eq(change->kind, RECORD_REVOCATION);
		cr_expect_eq(change->seen, 4u, "it is deleted only as it was seen");
		delete_row(change->key, 5);
	}
	changes_close(changes);
	return count;
}

Test(revocations, one_is_kept_a_day_longer_than_what_it_is_about)
{
	(void)put("a key " KID, 4, 5, 1000);
	cr_expect_eq(expire(1000 + DAY, 10), 0u);
	cr_expect_eq(expire(1000 + DAY + 1, 0), 0u);
	cr_expect_eq(expire(1000 + DAY + 1, 10), 1u);
	cr_expect_eq(expire(1000 + DAY + 1, 10), 0u);
}

Test(revocations, old_ones_go_in_parts_and_the_others_stay)
{
	char key[64];
	const struct revocation *found[20];
	for (int i = 0; i < 20; i++) {
		snprintf(key, sizeof key, "%c subject s%02d", i % 4 < 2 ? 'a' : 'b', i);
		(void)put(key, 4, 5, i % 2 ? 1000 : 5000);
	}
	cr_expect_eq(expire(2000 + DAY, 4), 4u);
	cr_expect_eq(expire(2000 + DAY, 4), 4u);
	cr_expect_eq(expire(2000 + DAY, 4), 2u);
	cr_expect_eq(expire(2000 + DAY, 4), 0u);
	unsigned count = revocations_list(revocations, "a", NULL, found, 20);
	count += revocations_list(revocations, "b", NULL, found + count, 20 - count);
	cr_expect_eq(count, 10u);
	for (unsigned i = 0; i < count; i++)
		cr_expect_eq(found[i]->expires, 5000);
}

/* ---- many, beside a plain list ---- */

enum { NAMES = 40, ISSUERS = 2, PLAIN = ISSUERS * REVOCATION_KINDS * NAMES, STEPS = 20000 };
static const char *const kinds[] = {"credential", "subject", "key"}; /* docs/governance.md */

struct plain {
	char key[48], name[16];
	const char *issuer;
	enum revocation_of of;
	uint64_t version; /* 0: there is none */
	int64_t at;
};

static int by_key(const void *a, const void *b)
{
	return strcmp(((const struct plain *)a)->key, ((const struct plain *)b)->key);
}

static void make_plain(struct plain plain[PLAIN])
{
	for (int i = 0; i < PLAIN; i++) {
		struct plain *one = &plain[i];
		one->issuer = i % ISSUERS ? "b" : "a";
		one->of = (enum revocation_of)(i / ISSUERS % REVOCATION_KINDS);
		snprintf(one->name, sizeof one->name, "n%d", i / ISSUERS / REVOCATION_KINDS);
		snprintf(one->key, sizeof one->key, "%s %s %s", one->issuer, kinds[one->of], one->name);
	}
	qsort(plain, PLAIN, sizeof *plain, by_key);
}

/* From behind a random key, whether it is there or not; `most` cuts it. */
static void expect_list(const struct plain plain[PLAIN], const char *issuer, int after, unsigned most)
{
	const struct revocation *found[PLAIN];
	unsigned count = revocations_list(revocations, issuer, after < 0 ? NULL : plain[after].key, found, most),
		 wanted = 0;
	for (int i = after + 1; i < PLAIN && wanted < most; i++) {
		if (!plain[i].version || strcmp(plain[i].issuer, issuer) != 0)
			continue;
		cr_assert_lt(wanted, count);
		cr_assert_eq(found[wanted]->of, plain[i].of);
		cr_assert_str_eq(found[wanted]->name, plain[i].name);
		cr_assert_eq(found[wanted]->at, plain[i].at);
		wanted++;
	}
	cr_assert_eq(count, wanted);
}

Test(revocations, random_rows_are_found_and_listed_as_in_a_plain_list)
{
	static struct plain plain[PLAIN];
	make_plain(plain);
	srandom(1);
	for (unsigned step = 1; step <= STEPS; step++) {
		struct plain *one = &plain[random() % PLAIN];
		if (random() % 3) {
			one->version = step;
			one->at = random() % 1000;
			(void)put(one->key, step, one->at, 2000);
		} else {
			one->version = 0;
			delete_row(one->key, step);
		}
		const struct plain *seen = &plain[random() % PLAIN];
		cr_assert_eq(revocations_version(revocations, seen->of, seen->issuer, seen->name), seen->version);
		int64_t issued = random() % 1000;
		cr_assert_eq(covers(seen->issuer, seen->of == REVOKED_CREDENTIAL ? seen->name : "-",
				     seen->of == REVOKED_SUBJECT ? seen->name : "-",
				     seen->of == REVOKED_KEY ? seen->name : "-", issued),
			seen->version && (seen->of == REVOKED_CREDENTIAL || issued <= seen->at));
		if (step % 50 == 0)
			expect_list(plain, step % 100 ? "a" : "b", (int)(random() % (PLAIN + 1)) - 1,
				(unsigned)(random() % PLAIN));
	}
}
