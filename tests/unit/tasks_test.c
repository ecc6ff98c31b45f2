/* SPDX-License-Identifier: Apache-2.0 */
/* The view of tasks, fed with rows by hand. */
#include "tasks.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ID(letter) letter "AAAAAAAAAAAAAAAAAAAAA"
#define DIGEST     "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU" /* of nothing */

enum { OPENED = 1000, EXPIRES = 5000, NOW = 2000 };

static struct tasks *tasks;
static struct hm_problem why;

static void open_tasks(void)
{
	tasks = tasks_open();
	cr_assert_not_null(tasks);
}

static void close_tasks(void)
{
	tasks_close(tasks);
}

TestSuite(tasks, .init = open_tasks, .fini = close_tasks);

/* ---- rows ---- */

static json_t *standard(void)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:i, s:i, s:s}", "agent", "spiffe://a.test/agent/first", "caller",
		"broker", "issuer", "a", "purpose", "testing", "opened", OPENED, "expires", EXPIRES, "state", "open");
}

static hm_result take(enum record_kind kind, const char *key, uint64_t version, json_t *body)
{
	char *text = body ? json_dumps(body, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
	const struct store_row row = {
		.kind = kind, .key = key, .version = version, .body = text, .length = text ? strlen(text) : 0};
	why = (struct hm_problem){0};
	hm_result result = tasks_take(tasks, &row, &why);
	free(text);
	json_decref(body);
	return result;
}

/* The standard row with these members beside or instead: JSON without its braces. */
static json_t *with(const char *members)
{
	char text[4096];
	snprintf(text, sizeof text, "{%s}", members);
	json_t *body = standard(), *others = json_loads(text, 0, NULL);
	cr_assert_not_null(others, "%s", text);
	json_object_update(body, others);
	json_decref(others);
	return body;
}

static void put(const char *id, uint64_t version, const char *members)
{
	cr_assert_eq(take(RECORD_TASK, id, version, with(members)), HM_OK, "%s", why.detail);
}

static void put_ref(const char *key, uint64_t version, const char *id)
{
	cr_assert_eq(take(RECORD_REF, key, version, json_pack("{s:s, s:s}", "digest", DIGEST, "task", id)), HM_OK, "%s",
		why.detail);
}

static void drop(enum record_kind kind, const char *key)
{
	cr_assert_eq(take(kind, key, 99, NULL), HM_OK, "%s", why.detail);
}

Test(tasks, a_row_is_found_as_it_was_written)
{
	put(ID("p"), 6, "");
	put(ID("a"), 7,
		"\"state\":\"paused\",\"held\":true,\"on_behalf_of\":\"mara\",\"ref\":\"r 1\",\"struck\":4294967295,"
		"\"audiences\":[\"https://x.test\",\"https://*.y.test\"],\"scopes\":[\"read\"],\"parent\":\"" ID(
			"p") "\"");
	const struct task *task = tasks_find(tasks, ID("a"));
	cr_assert_not_null(task);
	cr_expect_eq(task->version, 7);
	cr_expect_str_eq(task->id, ID("a"));
	cr_expect_eq(task->state, TASK_PAUSED);
	cr_expect(task->held);
	cr_expect_str_eq(task->issuer, "a");
	cr_expect_str_eq(task->caller, "broker");
	cr_expect_str_eq(task->agent, "spiffe://a.test/agent/first");
	cr_expect_str_eq(task->purpose, "testing");
	cr_expect_str_eq(task->on_behalf_of, "mara");
	cr_expect_str_eq(task->ref, "r 1");
	cr_assert_eq(task->audiences_count, 2);
	cr_expect_str_eq(task->audiences[0], "https://x.test");
	cr_expect_str_eq(task->audiences[1], "https://*.y.test");
	cr_assert_eq(task->scopes_count, 1);
	cr_expect_str_eq(task->scopes[0], "read");
	cr_expect_eq(task->opened, OPENED);
	cr_expect_eq(task->expires, EXPIRES);
	cr_expect_eq(task->ended, 0);
	cr_expect_eq(task->struck, UINT32_MAX);
	cr_expect_eq(task->parent, tasks_find(tasks, ID("p")));
	cr_expect_eq(task->parent->first_child, task);
	cr_expect_eq(tasks_count(tasks), 2);
}

Test(tasks, texts_that_are_left_out_are_empty)
{
	put(ID("a"), 1, "");
	const struct task *task = tasks_find(tasks, ID("a"));
	cr_expect_str_empty(task->on_behalf_of);
	cr_expect_str_empty(task->ref);
	cr_expect_eq(task->audiences_count + task->scopes_count, 0);
	cr_expect_null(task->parent);
	cr_expect_null(tasks_find(tasks, ID("b")));
	cr_expect_null(tasks_find(tasks, ""));
	cr_expect_null(tasks_find(tasks, "aAAAAAAAAAAAAAAAAAAAA"));
	cr_expect_null(tasks_find(tasks, "aAAAAAAAAAAAAAAAAAAAAAA"));
}

Test(tasks, a_row_that_is_not_as_it_must_be_is_refused_and_changes_nothing)
{
	static const char *const wrong[] = {"\"surprise\":1", "\"agent\":null", "\"agent\":\"first\"",
		"\"agent\":\"spiffe://A.test/x\"", "\"caller\":1", "\"caller\":\"\"", "\"caller\":\"a b\"",
		"\"issuer\":[]", "\"issuer\":\"a b\"", "\"purpose\":\"\"", "\"purpose\":\"a\\tb\"",
		"\"purpose\":\"a\\u007fb\"", "\"opened\":0", "\"opened\":-1", "\"opened\":1.5", "\"opened\":5000",
		"\"opened\":6000", "\"expires\":\"soon\"", "\"expires\":9007199254740992", "\"state\":\"expired\"",
		"\"state\":\"Open\"", "\"state\":1", "\"state\":\"completed\"", "\"state\":\"cancelled\"",
		"\"ended\":3000", "\"state\":\"paused\",\"ended\":3000", "\"held\":true",
		"\"state\":\"paused\",\"held\":false", "\"state\":\"paused\",\"held\":1", "\"struck\":0",
		"\"struck\":4294967296", "\"struck\":true", "\"ref\":\"\"", "\"ref\":1", "\"on_behalf_of\":\"\"",
		"\"on_behalf_of\":{}", "\"audiences\":[]", "\"audiences\":\"x\"", "\"audiences\":[1]",
		"\"audiences\":[\"\"]", "\"audiences\":[\"a b\"]", "\"audiences\":[\"\\u00e9\"]",
		"\"audiences\":[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\"]", "\"scopes\":[]",
		"\"scopes\":{}", "\"scopes\":[\"a b\"]", "\"scopes\":[\"a\\\"\"]", "\"scopes\":[null]",
		"\"parent\":\"x\"", "\"parent\":\"\"", "\"parent\":\"" ID("=") "\""};
	put(ID("a"), 1, "");
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		cr_expect_eq(take(RECORD_TASK, ID("a"), 2, with(wrong[i])), HM_BROKEN, "%s", wrong[i]);
		cr_expect_eq(take(RECORD_TASK, ID("b"), 2, with(wrong[i])), HM_BROKEN, "%s", wrong[i]);
	}
	cr_expect_eq(tasks_find(tasks, ID("a"))->version, 1);
	cr_expect_eq(tasks_count(tasks), 1);
}

Test(tasks, each_member_that_must_be_there_is_missed)
{
	static const char *const names[] = {"agent", "caller", "issuer", "purpose", "opened", "expires", "state"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		json_t *body = standard();
		json_object_del(body, names[i]);
		cr_expect_eq(take(RECORD_TASK, ID("a"), 1, body), HM_BROKEN, "%s", names[i]);
	}
	cr_expect_eq(take(RECORD_TASK, ID("a"), 1, json_array()), HM_BROKEN);
	cr_expect_eq(take(RECORD_TASK, ID("a"), 0, standard()), HM_BROKEN);
	cr_expect_eq(take(RECORD_TASK, "a", 1, standard()), HM_BROKEN);
	cr_expect_eq(take(RECORD_TASK, ID("a") "A", 1, standard()), HM_BROKEN);
	cr_expect_eq(take(RECORD_AGENT, ID("a"), 1, standard()), HM_BROKEN);
	cr_expect_eq(tasks_count(tasks), 0);
}

Test(tasks, a_member_twice_or_text_behind_is_refused)
{
	static const char *const texts[] = {"{\"agent\":\"spiffe://a.test/x\",\"agent\":\"spiffe://a.test/x\","
					    "\"caller\":\"c\",\"expires\":2,\"issuer\":\"a\",\"opened\":1,\"purpose\":"
					    "\"p\",\"state\":\"open\"}",
		"", "null", "{} {}"};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		const struct store_row row = {.kind = RECORD_TASK,
			.key = ID("a"),
			.version = 1,
			.body = texts[i],
			.length = strlen(texts[i])};
		cr_expect_eq(tasks_take(tasks, &row, &why), HM_BROKEN, "%s", texts[i]);
	}
}

Test(tasks, texts_have_bounds)
{
	static const struct {
		const char *name;
		size_t most;
	} bounds[] = {{"purpose", HM_PURPOSE_MAX}, {"on_behalf_of", HM_OWNER_MAX}, {"ref", HM_REF_MAX},
		{"caller", HM_NAME_MAX}, {"issuer", HM_NAME_MAX}};
	for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++)
		for (size_t over = 0; over < 2; over++) {
			char text[HM_PURPOSE_MAX + 2];
			json_t *body = standard();
			memset(text, 'x', sizeof text);
			json_object_set_new(body, bounds[i].name, json_stringn(text, bounds[i].most + over));
			cr_expect_eq(
				take(RECORD_TASK, ID("a"), 1, body), over ? HM_BROKEN : HM_OK, "%s", bounds[i].name);
		}
}

Test(tasks, a_row_that_comes_again_counts)
{
	put(ID("p"), 1, "");
	put(ID("a"), 2, "\"parent\":\"" ID("p") "\"");
	put(ID("b"), 3, "\"parent\":\"" ID("a") "\"");
	put(ID("a"), 4, "\"parent\":\"" ID("p") "\",\"state\":\"completed\",\"ended\":1500,\"struck\":2");
	const struct task *task = tasks_find(tasks, ID("a"));
	cr_expect_eq(task->version, 4);
	cr_expect_eq(task->state, TASK_COMPLETED);
	cr_expect_eq(task->ended, 1500);
	cr_expect_eq(task->struck, 2);
	cr_expect_eq(task_effective(tasks_find(tasks, ID("b")), NOW), TASK_COMPLETED);

	put(ID("a"), 5, "\"purpose\":\"another\"");
	task = tasks_find(tasks, ID("a"));
	cr_expect_str_eq(task->purpose, "another");
	cr_expect_null(task->parent);
	cr_expect_null(tasks_find(tasks, ID("p"))->first_child);
	cr_expect_eq(tasks_find(tasks, ID("b"))->parent, task);
	cr_expect_eq(task->first_child, tasks_find(tasks, ID("b")));
	cr_expect_eq(tasks_count(tasks), 3);
}

Test(tasks, a_deleted_row_is_gone)
{
	put(ID("a"), 1, "");
	put(ID("b"), 2, "");
	drop(RECORD_TASK, ID("a"));
	drop(RECORD_TASK, ID("c"));
	cr_expect_null(tasks_find(tasks, ID("a")));
	cr_expect_not_null(tasks_find(tasks, ID("b")));
	cr_expect_eq(tasks_count(tasks), 1);
}

/* ---- trees ---- */

static const char *const line[] = {ID("1"), ID("2"), ID("3"), ID("4")}; /* each the parent of the next */
enum { LINE = sizeof line / sizeof *line };

static void put_in_line(unsigned i, const char *state, uint64_t version)
{
	char members[128];
	snprintf(members, sizeof members, "\"state\":\"%s\"%s%s%s%s", state,
		strcmp(state, "completed") == 0 || strcmp(state, "cancelled") == 0 ? ",\"ended\":1500" : "",
		i ? ",\"parent\":\"" : "", i ? line[i - 1] : "", i ? "\"" : "");
	put(line[i], version, members);
}

static void expect_in_line(unsigned i, enum task_state state)
{
	enum task_state found = task_effective(tasks_find(tasks, line[i]), NOW);
	cr_expect_eq(found, state, "%s: %s", line[i], task_state_name(found));
}

Test(tasks, rows_come_in_any_order)
{
	for (unsigned order = 0; order < LINE * LINE * LINE * LINE; order++) {
		unsigned at[LINE] = {
			order % LINE, order / LINE % LINE, order / (LINE * LINE) % LINE, order / (LINE * LINE * LINE)};
		unsigned all = 1U << at[0] | 1U << at[1] | 1U << at[2] | 1U << at[3], there = 0;
		if (all != (1U << LINE) - 1)
			continue;
		for (unsigned i = 0; i < LINE; i++) {
			put_in_line(at[i], "open", i + 1);
			there |= 1U << at[i];
			for (unsigned j = 0; j < LINE; j++)
				if (there & 1U << j)
					expect_in_line(j, (there | ~0U << j) == ~0U ? TASK_OPEN : TASK_CANCELLED);
		}
		cr_expect_eq(tasks_count(tasks), LINE);
		for (unsigned i = 0; i < LINE; i++)
			drop(RECORD_TASK, line[at[i]]);
		cr_expect_eq(tasks_count(tasks), 0);
	}
}

Test(tasks, a_child_whose_parent_is_gone_has_ended)
{
	for (unsigned i = 0; i < LINE; i++)
		put_in_line(i, "open", 1);
	drop(RECORD_TASK, line[1]);
	expect_in_line(0, TASK_OPEN);
	expect_in_line(2, TASK_CANCELLED);
	expect_in_line(3, TASK_CANCELLED);
	cr_expect_eq(tasks_check(tasks_find(tasks, line[3]), NOW, &why), HM_REFUSED);
	cr_expect_str_eq(why.code, "task_ended");
	cr_expect_leq(task_expires(tasks_find(tasks, line[3])), NOW);
	cr_expect_null(tasks_find(tasks, line[1]));
	cr_expect_eq(tasks_count(tasks), 3);
	put_in_line(1, "open", 2);
	expect_in_line(3, TASK_OPEN);
}

Test(tasks, what_is_done_to_one_is_seen_at_each_depth_below_and_not_above)
{
	static const char *const states[] = {"paused", "completed", "cancelled"};
	static const enum task_state seen[] = {TASK_PAUSED, TASK_COMPLETED, TASK_CANCELLED};
	for (unsigned s = 0; s < 3; s++)
		for (unsigned at = 0; at < LINE; at++) {
			for (unsigned i = 0; i < LINE; i++)
				put_in_line(i, i == at ? states[s] : "open", 1);
			for (unsigned i = 0; i < LINE; i++)
				expect_in_line(i, i < at ? TASK_OPEN : seen[s]);
			put_in_line(at, "open", 2);
			for (unsigned i = 0; i < LINE; i++)
				expect_in_line(i, TASK_OPEN);
		}
}

Test(tasks, resuming_a_parent_leaves_a_child_paused_that_was_so_itself)
{
	for (unsigned i = 0; i < LINE; i++)
		put_in_line(i, i == 0 || i == 2 ? "paused" : "open", 1);
	put_in_line(0, "open", 2);
	expect_in_line(1, TASK_OPEN);
	expect_in_line(2, TASK_PAUSED);
	expect_in_line(3, TASK_PAUSED);
}

/* Own state, parent's, and what holds. An end is stronger than a pause, and the nearest end says. */
Test(tasks, an_end_is_stronger_than_a_pause_wherever_it_is)
{
	static const struct {
		const char *own, *parents;
		enum task_state holds;
	} cases[] = {{"open", "open", TASK_OPEN}, {"open", "paused", TASK_PAUSED},
		{"open", "completed", TASK_COMPLETED}, {"open", "cancelled", TASK_CANCELLED},
		{"paused", "open", TASK_PAUSED}, {"paused", "paused", TASK_PAUSED},
		{"paused", "completed", TASK_COMPLETED}, {"paused", "cancelled", TASK_CANCELLED},
		{"completed", "open", TASK_COMPLETED}, {"completed", "paused", TASK_COMPLETED},
		{"completed", "cancelled", TASK_COMPLETED}, {"cancelled", "open", TASK_CANCELLED},
		{"cancelled", "paused", TASK_CANCELLED}, {"cancelled", "completed", TASK_CANCELLED}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		put_in_line(0, cases[i].parents, 1);
		put_in_line(1, cases[i].own, 1);
		expect_in_line(1, cases[i].holds);
	}
}

Test(tasks, a_task_expires_at_its_time_and_at_its_parents)
{
	put(line[0], 1, "\"expires\":3000");
	put(line[1], 1, "\"expires\":4000,\"parent\":\"" ID("1") "\"");
	const struct task *parent = tasks_find(tasks, line[0]), *child = tasks_find(tasks, line[1]);
	cr_expect_eq(task_expires(parent), 3000);
	cr_expect_eq(task_expires(child), 3000);
	cr_expect_eq(task_effective(child, 2999), TASK_OPEN);
	cr_expect_eq(task_effective(child, 3000), TASK_EXPIRED);
	put(line[0], 2, "\"expires\":3000,\"state\":\"paused\"");
	cr_expect_eq(task_effective(tasks_find(tasks, line[1]), 2999), TASK_PAUSED);
	cr_expect_eq(task_effective(tasks_find(tasks, line[1]), 3000), TASK_EXPIRED);
	put(line[0], 3, "\"expires\":3000,\"state\":\"completed\",\"ended\":2000");
	cr_expect_eq(task_effective(tasks_find(tasks, line[0]), 9000), TASK_COMPLETED);
}

Test(tasks, a_credential_is_struck_under_an_open_task_alone)
{
	static const struct {
		const char *state, *code;
	} cases[] = {
		{"open", NULL}, {"paused", "task_paused"}, {"completed", "task_ended"}, {"cancelled", "task_ended"}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		put_in_line(0, cases[i].state, 1);
		put_in_line(1, "open", 1);
		for (unsigned depth = 0; depth < 2; depth++) {
			why = (struct hm_problem){0};
			cr_expect_eq(tasks_check(tasks_find(tasks, line[depth]), NOW, &why),
				cases[i].code ? HM_REFUSED : HM_OK);
			if (cases[i].code)
				cr_expect_str_eq(why.code, cases[i].code);
		}
	}
	put_in_line(0, "open", 1);
	cr_expect_eq(tasks_check(tasks_find(tasks, line[0]), EXPIRES, &why), HM_REFUSED);
	cr_expect_str_eq(why.code, "task_expired");
	cr_expect_eq(tasks_check(NULL, NOW, &why), HM_REFUSED);
	cr_expect_str_eq(why.code, "unknown_task");
	cr_expect_str_eq(why.field, "task");
}

Test(tasks, no_task_is_its_own_ancestor)
{
	cr_expect_eq(take(RECORD_TASK, ID("a"), 1, with("\"parent\":\"" ID("a") "\"")), HM_BROKEN);
	put(ID("a"), 1, "\"parent\":\"" ID("b") "\"");
	cr_expect_eq(take(RECORD_TASK, ID("b"), 2, with("\"parent\":\"" ID("a") "\"")), HM_BROKEN);
	put(ID("b"), 2, "\"parent\":\"" ID("c") "\"");
	cr_expect_eq(take(RECORD_TASK, ID("c"), 3, with("\"parent\":\"" ID("a") "\"")), HM_BROKEN);
	cr_expect_eq(tasks_count(tasks), 2);
	put(ID("c"), 3, "");
	cr_expect_eq(take(RECORD_TASK, ID("c"), 4, with("\"parent\":\"" ID("a") "\"")), HM_BROKEN);
	cr_expect_eq(task_effective(tasks_find(tasks, ID("a")), NOW), TASK_OPEN);
}

Test(tasks, no_tree_is_deeper_than_eight)
{
	char id[] = ID("1"), members[64] = "";
	for (int depth = 1; depth <= HM_DEPTH_MAX + 1; depth++) {
		id[0] = (char)('0' + depth);
		cr_expect_eq(take(RECORD_TASK, id, 1, with(members)), depth <= HM_DEPTH_MAX ? HM_OK : HM_BROKEN, "%d",
			depth);
		snprintf(members, sizeof members, "\"parent\":\"%s\"", id);
	}
}

Test(tasks, a_parent_of_many_loses_them_one_by_one)
{
	enum { MANY = 30000 };
	char id[HM_ID_MAX + 1];
	put(ID("p"), 1, "");
	for (int i = 0; i < MANY; i++) {
		snprintf(id, sizeof id, "%022d", i);
		put(id, 1, "\"parent\":\"" ID("p") "\"");
	}
	for (int i = 0; i < MANY; i++) {
		snprintf(id, sizeof id, "%022d", i);
		drop(RECORD_TASK, id);
	}
	cr_expect_null(tasks_find(tasks, ID("p"))->first_child);
}

/* ---- refs ---- */

static const struct task *by_ref(const char *issuer, const char *caller, const char *ref)
{
	return tasks_by_ref(tasks, issuer, caller, ref);
}

Test(tasks, a_ref_is_found_whichever_row_came_first)
{
	for (int ref_first = 0; ref_first < 2; ref_first++)
		for (int ref_goes_first = 0; ref_goes_first < 2; ref_goes_first++) {
			if (ref_first)
				put_ref("a broker run 7", 3, ID("a"));
			put(ID("a"), 3, "\"ref\":\"run 7\"");
			if (!ref_first) {
				cr_expect_null(by_ref("a", "broker", "run 7"));
				put_ref("a broker run 7", 3, ID("a"));
			}
			cr_expect_eq(by_ref("a", "broker", "run 7"), tasks_find(tasks, ID("a")));
			put(ID("a"), 4, "\"ref\":\"run 7\",\"state\":\"paused\"");
			cr_assert_not_null(by_ref("a", "broker", "run 7"));
			cr_expect_eq(by_ref("a", "broker", "run 7")->state, TASK_PAUSED);
			put(ID("a"), 5, "\"ref\":\"run 7\",\"purpose\":\"another\"");
			cr_expect_str_eq(by_ref("a", "broker", "run 7")->purpose, "another");
			drop(ref_goes_first ? RECORD_REF : RECORD_TASK, ref_goes_first ? "a broker run 7" : ID("a"));
			cr_expect_null(by_ref("a", "broker", "run 7"));
			drop(ref_goes_first ? RECORD_TASK : RECORD_REF, ref_goes_first ? ID("a") : "a broker run 7");
			cr_expect_null(by_ref("a", "broker", "run 7"));
			cr_expect_eq(tasks_count(tasks), 0);
		}
}

Test(tasks, a_ref_belongs_to_its_caller_and_issuer)
{
	put(ID("a"), 1, "\"ref\":\"r\"");
	put(ID("b"), 1, "\"ref\":\"r\",\"caller\":\"other\"");
	put(ID("c"), 1, "\"ref\":\"r\",\"issuer\":\"b\"");
	put_ref("a broker r", 1, ID("a"));
	put_ref("a other r", 1, ID("b"));
	put_ref("b broker r", 1, ID("c"));
	cr_expect_eq(by_ref("a", "broker", "r"), tasks_find(tasks, ID("a")));
	cr_expect_eq(by_ref("a", "other", "r"), tasks_find(tasks, ID("b")));
	cr_expect_eq(by_ref("b", "broker", "r"), tasks_find(tasks, ID("c")));
	cr_expect_null(by_ref("b", "other", "r"));
	cr_expect_null(by_ref("a", "broker", "r "));
}

Test(tasks, a_ref_of_before_gives_way_to_the_one_of_now)
{
	put(ID("a"), 1, "\"ref\":\"r\"");
	put_ref("a broker r", 1, ID("a"));
	put_ref("a broker r", 2, ID("b"));
	cr_expect_null(by_ref("a", "broker", "r"));
	put(ID("b"), 2, "\"ref\":\"r\"");
	drop(RECORD_TASK, ID("a"));
	cr_expect_eq(by_ref("a", "broker", "r"), tasks_find(tasks, ID("b")));
}

Test(tasks, a_ref_to_a_parent_that_is_not_there_yet)
{
	put(ID("b"), 1, "\"parent\":\"" ID("a") "\"");
	put_ref("a broker r", 1, ID("a"));
	put(ID("a"), 1, "\"ref\":\"r\"");
	cr_expect_eq(tasks_find(tasks, ID("b"))->parent, by_ref("a", "broker", "r"));
	drop(RECORD_TASK, ID("a"));
	drop(RECORD_REF, "a broker r");
	cr_expect_eq(task_effective(tasks_find(tasks, ID("b")), NOW), TASK_CANCELLED);
}

static void expect_broken_ref(const char *key, uint64_t version, const char *body)
{
	cr_expect_eq(take(RECORD_REF, key, version, json_loads(body, 0, NULL)), HM_BROKEN, "%s %s", key, body);
}

Test(tasks, a_ref_that_is_not_as_it_must_be_is_refused)
{
#define REF "{\"digest\":\"" DIGEST "\",\"task\":\"" ID("a") "\"}"
	expect_broken_ref("a broker r", 0, REF);
	expect_broken_ref("a broker", 1, REF);
	expect_broken_ref("a broker ", 1, REF);
	expect_broken_ref("a  r", 1, REF);
	expect_broken_ref(" broker r", 1, REF);
	expect_broken_ref("", 1, REF);
	expect_broken_ref("a broker r\n", 1, REF);
	expect_broken_ref("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa broker r", 1, REF);
	expect_broken_ref("a broker r", 1, "{\"digest\":\"" DIGEST "\",\"task\":\"x\"}");
	expect_broken_ref("a broker r", 1, "{\"digest\":\"" DIGEST "\"}");
	expect_broken_ref("a broker r", 1, "{\"task\":\"" ID("a") "\"}");
	expect_broken_ref("a broker r", 1, "{\"digest\":\"AAAA\",\"task\":\"" ID("a") "\"}");
	expect_broken_ref("a broker r", 1, "{\"digest\":\"" DIGEST "\",\"task\":\"" ID("a") "\",\"x\":1}");
	expect_broken_ref("a broker r", 1, "[]");
	put(ID("a"), 1, "");
	expect_broken_ref("a broker r", 1, REF);
	put(ID("a"), 2, "\"ref\":\"s\"");
	expect_broken_ref("a broker r", 1, REF);
	cr_expect_null(by_ref("a", "broker", "r"));
}

/* ---- lists ---- */

Test(tasks, a_list_is_in_the_order_of_ids_page_by_page)
{
	static const char order[] = "-059AMZ_amz";
	const struct task *found[4];
	char id[] = ID("0"), next[HM_ID_MAX + 1] = "";
	for (size_t i = sizeof order - 1; i-- > 0;) {
		id[0] = order[i];
		put(id, 1, i % 2 ? "\"caller\":\"other\"" : "");
		id[0] = order[i];
		id[21] = 'B';
		put(id, 1, "\"issuer\":\"b\"");
		id[21] = 'A';
	}
	for (size_t i = 0; i < sizeof order - 1;) {
		unsigned count = tasks_list(tasks, "a", NULL, next, found, 4, next);
		cr_assert_leq(count, 4);
		cr_assert(count == 4 || i + count == sizeof order - 1);
		for (unsigned j = 0; j < count; j++)
			cr_expect_eq(found[j]->id[0], order[i++]);
	}
	if (*next)
		cr_expect_eq(tasks_list(tasks, "a", NULL, next, found, 4, next), 0);
	cr_expect_str_empty(next);
	cr_expect_eq(tasks_list(tasks, "a", "other", "", found, 4, next), 4);
	cr_expect_eq(found[3]->id[0], '_');
	cr_expect_eq(tasks_list(tasks, "c", NULL, "", found, 4, next), 0);
	cr_expect_str_empty(next);
	put(ID("b"), 1, "\"parent\":\"" ID("c") "\"");
	cr_expect_eq(tasks_list(tasks, "a", NULL, ID("a"), found, 2, next), 2);
	cr_expect_str_eq(found[0]->id, ID("b"));
	cr_expect_str_eq(found[1]->id, ID("m"));
}

static uint64_t seed = 88172645463325252;

static unsigned random_below(unsigned limit)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)(seed >> 33) % limit;
}

static void random_id(char id[HM_ID_MAX + 1])
{
	static const char alphabet[] = "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz";
	for (int i = 0; i < HM_ID_MAX; i++)
		id[i] = alphabet[random_below(64)];
	id[HM_ID_MAX] = 0;
}

Test(tasks, a_list_looks_at_so_many_rows_at_once_and_no_more)
{
	const struct task *found[10];
	char id[HM_ID_MAX + 1], next[HM_ID_MAX + 1] = "", before[HM_ID_MAX + 1] = "";
	unsigned calls = 0, seen = 0;
	for (int i = 0; i < 3 * HM_TASKS_LOOKED_AT; i++) {
		random_id(id);
		put(id, 1, "\"issuer\":\"b\"");
	}
	put(ID("z"), 1, "");
	do {
		seen += tasks_list(tasks, "a", NULL, next, found, 10, next);
		calls++;
		cr_assert(!*next || strcmp(before, next) < 0);
		memcpy(before, next, sizeof before);
	} while (*next);
	cr_expect_eq(calls, 4);
	cr_expect_eq(seen, 1);
}

Test(tasks, many_are_found_each_and_counted)
{
	enum { MANY = 20000 };
	static char ids[MANY][HM_ID_MAX + 1];
	for (int i = 0; i < MANY; i++) {
		random_id(ids[i]);
		put(ids[i], (uint64_t)i + 1, "");
	}
	cr_expect_eq(tasks_count(tasks), MANY);
	for (int i = 0; i < MANY; i++)
		cr_assert_eq(tasks_find(tasks, ids[i])->version, (uint64_t)i + 1);
	for (int i = 0; i < MANY; i += 2)
		drop(RECORD_TASK, ids[i]);
	cr_expect_eq(tasks_count(tasks), MANY / 2);
	for (int i = 0; i < MANY; i++)
		cr_assert_eq(tasks_find(tasks, ids[i]) != NULL, i % 2);
}

/* ---- any order, against a model that is plain ---- */

enum { MODEL = 24 };

struct model {
	bool is_there, has_ref;
	int parent; /* -1: none */
	const char *state;
};

static struct model model[MODEL];

static enum task_state model_state(int i)
{
	bool is_paused = false;
	for (; i >= 0; i = model[i].parent) {
		if (!model[i].is_there || strcmp(model[i].state, "cancelled") == 0)
			return TASK_CANCELLED;
		is_paused |= strcmp(model[i].state, "paused") == 0;
	}
	return is_paused ? TASK_PAUSED : TASK_OPEN;
}

static void model_id(int i, char id[HM_ID_MAX + 1])
{
	snprintf(id, HM_ID_MAX + 1, "%022d", i);
}

/* Parents have lower numbers and are at most two steps up, so that no tree is too deep. */
static void step(uint64_t version)
{
	static const char *const states[] = {"open", "paused", "cancelled"};
	char id[HM_ID_MAX + 1], parent[HM_ID_MAX + 1], key[64], members[256];
	int i = (int)random_below(MODEL);
	model_id(i, id);
	snprintf(key, sizeof key, "a broker ref%d", i);
	switch (random_below(5)) {
	case 0:
		drop(RECORD_TASK, id);
		model[i].is_there = false;
		break;
	case 1:
		drop(RECORD_REF, key);
		model[i].has_ref = false;
		break;
	case 2:
		put_ref(key, version, id);
		model[i].has_ref = true;
		break;
	default:
		model[i].state = states[random_below(3)];
		model[i].parent = i % 4 ? i - 1 - (int)random_below(2) % (i % 4) : -1;
		model[i].is_there = true;
		model_id(model[i].parent, parent);
		snprintf(members, sizeof members, "\"ref\":\"ref%d\",\"state\":\"%s\"%s%s%s%s", i, model[i].state,
			strcmp(model[i].state, "cancelled") == 0 ? ",\"ended\":1500" : "",
			model[i].parent >= 0 ? ",\"parent\":\"" : "", model[i].parent >= 0 ? parent : "",
			model[i].parent >= 0 ? "\"" : "");
		put(id, version, members);
	}
}

static void expect_as_model(void)
{
	char id[HM_ID_MAX + 1], ref[16];
	unsigned count = 0;
	for (int i = 0; i < MODEL; i++) {
		model_id(i, id);
		snprintf(ref, sizeof ref, "ref%d", i);
		const struct task *task = tasks_find(tasks, id);
		cr_assert_eq(task != NULL, model[i].is_there, "%d", i);
		if (task)
			cr_assert_eq(task_effective(task, NOW), model_state(i), "%d", i);
		if (!model[i].has_ref || !task)
			cr_assert_null(by_ref("a", "broker", ref));
		count += task != NULL;
	}
	cr_assert_eq(tasks_count(tasks), count);
}

Test(tasks, rows_put_and_deleted_at_random_are_seen_as_a_plain_model_has_them)
{
	for (int i = 0; i < MODEL; i++)
		model[i] = (struct model){.parent = -1};
	for (uint64_t version = 1; version <= 50000; version++) {
		step(version);
		expect_as_model();
	}
}
