/* SPDX-License-Identifier: Apache-2.0 */
#include "agents.h"

#include "changes.h"
#include <criterion/criterion.h>
#include <malloc.h>
#include <stdio.h>

enum { NOW = 1000000 };

static struct agents *agents;
static struct hm_problem why;
static uint64_t sequence;

static void begin(void)
{
	agents = agents_open();
	cr_assert_not_null(agents);
	sequence = 0;
}

static void end(void)
{
	agents_close(agents);
}

TestSuite(agents, .init = begin, .fini = end);

static hm_result take_text(const char *key, const char *body, uint64_t version)
{
	why = (struct hm_problem){0};
	return agents_take(
		agents, &(struct store_row){RECORD_AGENT, key, version, body, body ? strlen(body) : 0}, &why);
}

static void take(const char *key, const char *body)
{
	cr_assert_eq(take_text(key, body, ++sequence), HM_OK, "%s: %s", key, why.detail);
}

/* An id for each number. */
static const char *id_of(unsigned number)
{
	static char id[HM_ID_MAX + 1];
	snprintf(id, sizeof id, "%06uabcdefghijklmnoA", number);
	return id;
}

static void take_agent(const char *key, unsigned number, const char *status, const char *owner, int review)
{
	char body[512];
	snprintf(body, sizeof body,
		"{\"class\":%s,\"contact\":\"oncall\",\"created\":5,\"id\":\"%s\",\"owner\":\"%s\",\"purpose\":\"p\","
		"\"review\":%d,\"status\":\"%s\"}",
		strchr(key, '*') ? "true" : "false", id_of(number), owner, review, status);
	take(key, body);
}

static void take_instance(const char *key, unsigned number, const char *status, const char *of)
{
	char body[512];
	snprintf(body, sizeof body,
		"{\"class\":false,\"contact\":\"\",\"created\":5,\"id\":\"%s\",\"of\":\"%s\",\"owner\":\"\","
		"\"purpose\":"
		"\"\",\"review\":0,\"status\":\"%s\"}",
		id_of(number), of, status);
	take(key, body);
}

/* What a mint asks. */
static const char *verdict(const char *issuer, const char *spiffe_id)
{
	const struct agent *agent = agents_find(agents, issuer, spiffe_id);
	const struct agent *class =
		agent ? agents_accountable(agents, agent) : agents_class_of(agents, issuer, spiffe_id);
	why = (struct hm_problem){0};
	hm_result result = agents_check(agent, class, NOW, &why);
	cr_expect_eq(result, why.code ? HM_REFUSED : HM_OK, "%s", spiffe_id);
	return why.code ? why.code : "ok";
}

/* ---- may it ---- */

Test(agents, an_agent_must_be_known_active_owned_and_reviewed)
{
	static const struct {
		const char *status, *owner;
		int review;
		const char *verdict;
	} cases[] = {
		{"active", "team-a", NOW + 1, "ok"},
		{"active", "team-a", NOW, "agent_review_due"},
		{"active", "team-a", 1, "agent_review_due"},
		{"active", "", NOW + 1, "agent_unowned"},
		{"active", "", 1, "agent_unowned"},
		{"suspended", "team-a", NOW + 1, "agent_suspended"},
		{"suspended", "", 1, "agent_suspended"},
		{"retired", "team-a", NOW + 1, "agent_retired"},
		{"retired", "", 1, "agent_retired"},
	};
	for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
		take_agent("a spiffe://a.test/one", 1, cases[i].status, cases[i].owner, cases[i].review);
		cr_expect_str_eq(verdict("a", "spiffe://a.test/one"), cases[i].verdict, "case %u", i);
	}
	cr_expect_str_eq(verdict("a", "spiffe://a.test/two"), "unknown_agent");
	cr_expect_str_eq(verdict("b", "spiffe://a.test/one"), "unknown_agent", "it is another issuer's");
}

Test(agents, what_holds_for_a_class_holds_for_its_instances)
{
	static const struct {
		const char *instance, *class, *owner;
		int review;
		const char *verdict;
	} cases[] = {
		{"active", "active", "team-a", NOW + 1, "ok"},
		{"suspended", "active", "team-a", NOW + 1, "agent_suspended"},
		{"retired", "active", "team-a", NOW + 1, "agent_retired"},
		{"active", "suspended", "team-a", NOW + 1, "agent_suspended"},
		{"active", "retired", "team-a", NOW + 1, "agent_retired"},
		{"suspended", "retired", "team-a", NOW + 1, "agent_retired"},
		{"retired", "suspended", "team-a", NOW + 1, "agent_retired"},
		{"active", "active", "", NOW + 1, "agent_unowned"},
		{"active", "active", "team-a", NOW, "agent_review_due"},
	};
	for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
		take_agent("a spiffe://a.test/ci/*", 1, cases[i].class, cases[i].owner, cases[i].review);
		take_instance("a spiffe://a.test/ci/7", 2, cases[i].instance, "spiffe://a.test/ci/*");
		cr_expect_str_eq(verdict("a", "spiffe://a.test/ci/7"), cases[i].verdict, "case %u", i);
		if (strcmp(cases[i].instance, "active") == 0) /* one that is not there yet reads as an active one */
			cr_expect_str_eq(verdict("a", "spiffe://a.test/ci/8"), cases[i].verdict, "case %u", i);
	}
}

Test(agents, who_is_registered_in_its_own_right_answers_for_itself)
{
	take_agent("a spiffe://a.test/ci/*", 1, "suspended", "", 1);
	take_agent("a spiffe://a.test/ci/7", 2, "active", "team-a", NOW + 1);
	cr_expect_str_eq(verdict("a", "spiffe://a.test/ci/7"), "ok");
	const struct agent *agent = agents_find(agents, "a", "spiffe://a.test/ci/7");
	cr_expect_eq(agents_check(agent, agents_class_of(agents, "a", agent->spiffe_id), NOW, &why), HM_OK);
	cr_expect_eq(agents_check(agent, NULL, NOW, &why), HM_OK);
}

/* ---- classes ---- */

Test(agents, an_instance_may_come_before_its_class_and_outlive_it)
{
	take_instance("a spiffe://a.test/ci/7", 2, "active", "spiffe://a.test/ci/*");
	cr_expect_null(agents_accountable(agents, agents_find(agents, "a", "spiffe://a.test/ci/7")));
	cr_expect_str_eq(verdict("a", "spiffe://a.test/ci/7"), "agent_unowned");
	take_agent("a spiffe://a.test/ci/*", 1, "active", "team-a", NOW + 1);
	cr_expect_str_eq(verdict("a", "spiffe://a.test/ci/7"), "ok");
	take("a spiffe://a.test/ci/*", NULL);
	cr_expect_str_eq(verdict("a", "spiffe://a.test/ci/7"), "agent_unowned");
	cr_expect_str_eq(verdict("a", "spiffe://a.test/ci/8"), "unknown_agent");
}

static const char *pattern_of(const char *issuer, const char *spiffe_id)
{
	const struct agent *class = agents_class_of(agents, issuer, spiffe_id);
	return class ? class->spiffe_id : "none";
}

Test(agents, of_several_classes_the_longest_pattern_counts)
{
	static const char *const keys[] = {"a spiffe://a.test/*", "a spiffe://a.test/*/*", "a spiffe://a.test/ci/*",
		"a spiffe://a.test/ci/job-*", "a spiffe://a.test/*/job-7*", "a spiffe://a.test/ci/*-nightly",
		"b spiffe://a.test/ci/job-77*"};
	for (unsigned i = 0; i < 7; i++)
		take_agent(keys[i], i, "active", "team-a", NOW + 1);
	cr_expect_str_eq(pattern_of("a", "spiffe://a.test/other"), "spiffe://a.test/*");
	cr_expect_str_eq(pattern_of("a", "spiffe://a.test/x/other"), "spiffe://a.test/*/*");
	cr_expect_str_eq(pattern_of("a", "spiffe://a.test/ci/other"), "spiffe://a.test/ci/*");
	cr_expect_str_eq(pattern_of("a", "spiffe://a.test/ci/job-6"), "spiffe://a.test/ci/job-*");
	cr_expect_str_eq(
		pattern_of("a", "spiffe://a.test/ci/job-"), "spiffe://a.test/ci/*", "a * is one character or more");
	cr_expect_str_eq(pattern_of("a", "spiffe://a.test/x/job-77"), "spiffe://a.test/*/job-7*");
	cr_expect_str_eq(pattern_of("a", "spiffe://a.test/ci/job-6-nightly"), "spiffe://a.test/ci/*-nightly");
	cr_expect_str_eq(pattern_of("a", "spiffe://a.test/ci/job-777"), "spiffe://a.test/*/job-7*",
		"of two as long the one that comes first counts, on every node");
	cr_expect_str_eq(pattern_of("b", "spiffe://a.test/ci/job-777"), "spiffe://a.test/ci/job-77*");
	cr_expect_str_eq(pattern_of("a", "spiffe://b.test/other"), "none");
	cr_expect_str_eq(pattern_of("a", "spiffe://a.test/a/b/c"), "none");
	cr_expect_str_eq(pattern_of("a", "x"), "none");
	take("a spiffe://a.test/ci/job-*", NULL);
	cr_expect_str_eq(pattern_of("a", "spiffe://a.test/ci/job-6"), "spiffe://a.test/ci/*");
}

Test(agents, a_first_mint_makes_an_instance_of_its_class)
{
	take_agent("a spiffe://a.test/ci/*", 1, "active", "team-a", NOW + 1);
	struct changes *changes = changes_open();
	cr_assert(agents_put_instance(
		changes, agents_class_of(agents, "a", "spiffe://a.test/ci/7"), "spiffe://a.test/ci/7", NOW));
	cr_assert_eq(changes->count, 1);
	cr_expect_eq(changes->items->kind, RECORD_AGENT);
	cr_expect_eq(changes->items->seen, 0, "it was not there");
	take(changes->items->key, changes->items->body);
	changes_close(changes);
	const struct agent *agent = agents_find(agents, "a", "spiffe://a.test/ci/7");
	cr_assert_not_null(agent);
	cr_expect_eq(agent->version, 2);
	cr_expect_eq(agent->created, NOW);
	cr_expect_str_eq(agent->of, "spiffe://a.test/ci/*");
	cr_expect_str_eq(verdict("a", "spiffe://a.test/ci/7"), "ok");
}

/* ---- rows ---- */

#define BODY(class, id, more)                                                         \
	"{\"class\":" class ",\"contact\":\"\",\"created\":1,\"id\":\"" id "\"," more \
			    "\"owner\":\"o\",\"purpose\":\"p\",\"review\":9,\"status\":\"active\"}"
#define ID "AAAAAAAAAAAAAAAAAAAAAA"

Test(agents, rows_that_are_none_of_an_agent_are_refused_and_change_nothing)
{
	static const struct {
		const char *key, *body;
	} cases[] = {
		{"a spiffe://a.test/one", "{"},
		{"a spiffe://a.test/one", "[]"},
		{"a spiffe://a.test/one", ""},
		{"a spiffe://a.test/one", "{}"},
		{"a spiffe://a.test/one", BODY("false", ID, "\"surprise\":1,")},
		{"a spiffe://a.test/one", BODY("false", ID, "\"owner\":\"twice\",")},
		{"a spiffe://a.test/one", BODY("0", ID, "")},
		{"a spiffe://a.test/one", BODY("true", ID, "")},
		{"a spiffe://a.test/*", BODY("false", ID, "")},
		{"a spiffe://a.test/*", BODY("true", ID, "\"of\":\"spiffe://a.test/*\",")},
		{"a spiffe://a.test/one", BODY("false", ID, "\"of\":\"spiffe://a.test/ci/*\",")},
		{"a23456789012345678901234567890123456789012345678901234567890123456 spiffe://a.test/one",
			BODY("false", ID, "")},
		{"a spiffe://*/one", BODY("true", ID, "")},
		{"a spiffe://a.test/one/", BODY("false", ID, "")},
		{"spiffe://a.test/one", BODY("false", ID, "")},
		{" spiffe://a.test/one", BODY("false", ID, "")},
		{"a  spiffe://a.test/one", BODY("false", ID, "")},
		{"a spiffe://a.test/one", BODY("false", "AAAAAAAAAAAAAAAAAAAAA", "")},
		{"a spiffe://a.test/one", BODY("false", "AAAAAAAAAAAAAAAAAAAAAB", "")},
		{"a spiffe://a.test/one", BODY("false", "AAAAAAAAAAAAAAAAAAAAA+", "")},
		{"a spiffe://a.test/one", BODY("false", ID, "\"limits\":[],")},
		{"a spiffe://a.test/one", BODY("false", ID, "\"limits\":{\"surprise\":1},")},
		{"a spiffe://a.test/one", BODY("false", ID, "\"limits\":{\"lifetime\":0},")},
		{"a spiffe://a.test/one", BODY("false", ID, "\"limits\":{\"kinds\":[\"x509\"]},")},
		{"a spiffe://a.test/one", "{\"class\":false,\"contact\":\"\",\"created\":1,\"id\":\"" ID
					  "\",\"owner\":\"o\",\"purpose\":\"p\",\"review\":9,\"status\":\"asleep\"}"},
		{"a spiffe://a.test/one", "{\"class\":false,\"contact\":\"\",\"created\":-1,\"id\":\"" ID
					  "\",\"owner\":\"o\",\"purpose\":\"p\",\"review\":9,\"status\":\"active\"}"},
		{"a spiffe://a.test/one", "{\"class\":false,\"contact\":\"\",\"created\":1,\"id\":\"" ID
					  "\",\"owner\":\"o\",\"purpose\":\"p\",\"review\":-9,\"status\":\"active\"}"},
		{"a spiffe://a.test/one", "{\"class\":false,\"contact\":\"\",\"created\":1,\"id\":\"" ID
					  "\",\"purpose\":\"p\",\"review\":9,\"status\":\"active\"}"},
	};
	take_agent("a spiffe://a.test/one", 1, "suspended", "before", NOW);
	for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
		cr_expect_eq(take_text(cases[i].key, cases[i].body, 100), HM_BROKEN, "case %u", i);
		cr_expect(strstr(why.detail, "the store's row of agent '"), "case %u: %s", i, why.detail);
		cr_expect_eq(agents_count(agents), 1, "case %u", i);
	}
	cr_expect_str_eq(agents_find(agents, "a", "spiffe://a.test/one")->owner, "before");
}

Test(agents, two_agents_never_have_one_id)
{
	take("a spiffe://a.test/one", BODY("false", ID, ""));
	cr_expect_eq(take_text("a spiffe://a.test/two", BODY("false", ID, ""), 9), HM_BROKEN);
	cr_expect_eq(agents_count(agents), 1);
	take("a spiffe://a.test/one", BODY("false", ID, ""));
	cr_expect_eq(agents_by_id(agents, ID)->version, 2);
}

Test(agents, an_older_row_changes_nothing_and_a_deleted_one_is_gone)
{
	cr_assert_eq(take_text("a spiffe://a.test/one", BODY("false", ID, ""), 7), HM_OK);
	cr_assert_eq(take_text("a spiffe://a.test/one", BODY("false", ID, "\"limits\":{\"depth\":1},"), 6), HM_OK);
	cr_expect_null(agents_find(agents, "a", "spiffe://a.test/one")->limits);
	cr_assert_eq(take_text("a spiffe://a.test/one", NULL, 6), HM_OK);
	cr_expect_eq(agents_count(agents), 1);
	cr_assert_eq(take_text("a spiffe://a.test/other", NULL, 8), HM_OK);
	cr_assert_eq(take_text("no-space", NULL, 8), HM_OK);
	cr_expect_eq(agents_count(agents), 1);
	cr_assert_eq(take_text("a spiffe://a.test/one", NULL, 8), HM_OK);
	cr_expect_eq(agents_count(agents), 0);
	cr_expect_null(agents_by_id(agents, ID));
	cr_expect_null(agents_by_id(agents, ""));
}

Test(agents, an_agent_is_shown_as_it_is_kept)
{
	static const char limits[] =
		"\"limits\":{\"audiences\":[\"https://*.a.test\"],\"depth\":0,\"kinds\":[\"at+jwt\"],"
		"\"lifetime\":60,\"scopes\":[\"read\",\"write\"]},";
	static const char shown[] = "{\"class\":true,\"contact\":\"\",\"created\":1,\"id\":\"" ID
				    "\",\"issuer\":\"a\",\"limits\":{\"audiences\":[\"https://"
				    "*.a.test\"],\"depth\":0,\"kinds\":[\"at+jwt\"],"
				    "\"lifetime\":60,\"scopes\":[\"read\",\"write\"]},\"owner\":\"o\",\"purpose\":"
				    "\"p\",\"review\":9,\"spiffe_id\":"
				    "\"spiffe://a.test/*\",\"status\":\"active\"}";
	char body[512];
	snprintf(body, sizeof body,
		"{\"class\":true,\"contact\":\"\",\"created\":1,\"id\":\"" ID
		"\",%s\"owner\":\"o\",\"purpose\":\"p\",\"review\":9,\"status\":\"active\"}",
		limits);
	take("a spiffe://a.test/*", body);
	const struct agent *agent = agents_by_id(agents, ID);
	cr_assert_not_null(agent);
	cr_assert_not_null(agent->limits);
	cr_expect_eq(agent->limits->kinds, 1U << KIND_ACCESS_TOKEN);
	cr_expect_eq(agent->limits->depth, 0);
	cr_expect_eq(agent->limits->lifetime, 60);
	cr_assert_eq(agent->limits->audiences_count, 1);
	cr_expect_str_eq(agent->limits->audiences[0], "https://*.a.test");
	cr_assert_eq(agent->limits->scopes_count, 2);
	cr_expect_str_eq(agent->limits->scopes[1], "write");
	json_t *json = agent_json(agent);
	char *text = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);
	cr_expect_str_eq(text, shown);
	free(text);
	json_decref(json);
}

/* ---- many ---- */

enum { NAMES = 500, STEPS = 20000 };

static void spell(unsigned number, char key[64])
{
	snprintf(key, 64, "%s spiffe://a.test/%u%s", number % 3 ? "a" : "b", number * 7919 % NAMES,
		number % 5 ? "" : "/*");
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void expect_in_order(char (*keys)[64], const bool *is_there)
{
	static const struct agent *found[NAMES];
	const char *expected[NAMES];
	unsigned count = 0;
	for (unsigned i = 0; i < NAMES; i++)
		if (is_there[i] && keys[i][0] == 'a')
			expected[count++] = keys[i] + 2;
	qsort((void *)expected, count, sizeof *expected, by_text);
	cr_assert_eq(agents_list(agents, "a", NULL, found, NAMES), count);
	for (unsigned i = 0; i < count; i++)
		cr_assert_str_eq(found[i]->spiffe_id, expected[i]);
	if (count > 10) {
		cr_expect_eq(agents_list(agents, "a", expected[4], found, 3), 3);
		cr_expect_str_eq(found[0]->spiffe_id, expected[5]);
		cr_expect_str_eq(found[2]->spiffe_id, expected[7]);
		cr_expect_eq(agents_list(agents, "a", expected[count - 1], found, 3), 0);
	}
}

/* Rows come and go at random; the view is compared with a list that is looked through. */
Test(agents, the_view_is_what_its_rows_are)
{
	static char keys[NAMES][64];
	static bool is_there[NAMES];
	unsigned random = 1, count = 0;
	for (unsigned i = 0; i < NAMES; i++)
		spell(i, keys[i]);
	for (unsigned step = 0; step < STEPS; step++) {
		random = random * 1103515245 + 12345;
		unsigned i = (random >> 8) % NAMES;
		bool add = (random >> 20) % 8 < (step / 2000 % 2 ? 2 : 6); /* grows, then shrinks, then grows … */
		if (add)
			take_agent(keys[i], i, "active", "team-a", NOW);
		else
			take(keys[i], NULL);
		count += add - is_there[i];
		is_there[i] = add;
		cr_assert_eq(agents_count(agents), count);
		if (step % 1000 == 0)
			expect_in_order(keys, is_there);
	}
	for (unsigned i = 0; i < NAMES; i++) {
		const struct agent *agent = agents_find(agents, (char[]){keys[i][0], 0}, keys[i] + 2);
		cr_assert_eq(agent != NULL, is_there[i], "%s", keys[i]);
		cr_assert_eq(agents_by_id(agents, id_of(i)), agent, "%s", keys[i]);
	}
	cr_expect_eq(agents_list(agents, "nobody", NULL, (const struct agent *[1]){0}, 1), 0);
}

Test(agents, a_hundred_thousand_take_forty_megabytes, .timeout = 60)
{
	enum { MANY = 100000 };
	char key[128], body[512];
	size_t before = mallinfo2().uordblks;
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(key, sizeof key, "production spiffe://agents.example.org/team-%u/agent-%u", i % 97, i);
		snprintf(body, sizeof body,
			"{\"class\":false,\"contact\":\"oncall-%u@example.org\",\"created\":1760000000,\"id\":\"%s\","
			"\"owner\":"
			"\"owner-%u@example.org\",\"purpose\":\"Answers questions of customers about their "
			"bills\",\"review\":"
			"1790000000,\"status\":\"active\"}",
			i % 97, id_of(i), i % 97);
		take(key, body);
	}
	size_t bytes = mallinfo2().uordblks - before;
	cr_expect_eq(agents_count(agents), MANY);
	cr_expect_leq(bytes, 40U * 1000 * 1000);
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(key, sizeof key, "production spiffe://agents.example.org/team-%u/agent-%u", i % 97, i);
		cr_assert_str_eq(agents_find(agents, "production", strchr(key, ' ') + 1)->id, id_of(i));
		take(key, NULL);
	}
	cr_expect_eq(agents_count(agents), 0);
}
