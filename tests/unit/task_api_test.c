/* SPDX-License-Identifier: Apache-2.0 */
/* What may be done to tasks, by whom and when: the operations, committed to a store, as the views have it then. */
#include "agents.h"
#include "service.h"
#include "task_api.h"
#include "tasks.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NOW = 1000000, DAY = 86400 };

static const char agent[] = "spiffe://a.test/agent/first";

static char directory[] = "/tmp/hsmint-task-api-XXXXXX";
static uv_loop_t loop;
static struct service *service;
static int64_t now;

/* What the last call gave. */
static struct hm_problem why;
static json_t *shown, *entry;
static int status;
static bool changed;

/* ---- views and store ---- */

static void row(void *context, const struct store_row *taken)
{
	(void)context;
	struct hm_problem fault = {0};
	hm_result result = taken->kind == RECORD_AGENT ? agents_take(service->agents, taken, &fault)
						       : tasks_take(service->tasks, taken, &fault);
	cr_assert_eq(result, HM_OK, "%s", fault.detail);
}

static void ignore(void *context)
{
	(void)context;
}

static void forget(void)
{
	json_decref(shown);
	json_decref(entry);
	shown = entry = NULL;
	why = (struct hm_problem){0};
}

static void open_service(void)
{
	static const struct store_events events = {.row = row, .changed = ignore};
	now = NOW;
	service = calloc(1, sizeof *service);
	cr_assert_not_null(service);
	service->agents = agents_open();
	service->tasks = tasks_open();
	cr_assert(service->agents && service->tasks);
	cr_assert_not_null(mkdtemp(directory));
	cr_assert_eq(uv_loop_init(&loop), 0);
	cr_assert_eq(store_open(&loop, NULL, directory, &events, &service->store, &why), HM_OK, "%s", why.detail);
}

static void ended(void *context)
{
	*(bool *)context = true;
}

static void close_service(void)
{
	char command[128];
	bool over = false;
	store_end(service->store, ended, &over);
	while (!over)
		uv_run(&loop, UV_RUN_ONCE);
	store_close(service->store);
	uv_run(&loop, UV_RUN_DEFAULT);
	cr_expect_eq(uv_loop_close(&loop), 0);
	tasks_close(service->tasks);
	agents_close(service->agents);
	free(service);
	forget();
	snprintf(command, sizeof command, "rm -r %s", directory);
	cr_expect_eq(system(command), 0);
}

TestSuite(task_api, .init = open_service, .fini = close_service);

struct committed {
	bool done;
	hm_result result;
};

static void done(void *context, hm_result result, uint64_t sequence, const struct hm_problem *fault)
{
	(void)sequence;
	struct committed *committed = context;
	*committed = (struct committed){true, result};
	if (result != HM_OK)
		why = *fault;
}

static hm_result commit(struct changes *changes)
{
	struct committed committed = {.done = false};
	store_commit(service->store, changes, done, &committed);
	while (!committed.done)
		uv_run(&loop, UV_RUN_ONCE);
	return committed.result;
}

static void put_row(enum record_kind kind, const char *key, uint64_t seen, const char *body)
{
	struct changes *changes = changes_open();
	cr_assert(changes && changes_put(changes, kind, key, seen, body, strlen(body)));
	cr_assert_eq(commit(changes), HM_OK, "%s", why.detail);
}

/* An agent, or a class, with these members beside or instead. */
static void put_agent(const char *spiffe_id, const char *members)
{
	static unsigned count;
	char key[256], text[1024];
	snprintf(text, sizeof text,
		"{\"class\":false,\"contact\":\"c\",\"created\":1,\"id\":\"%021uA\",\"owner\":\"o\",\"purpose\":\"p\","
		"\"review\":%d,\"status\":\"active\"}",
		count++, NOW + 365 * DAY);
	json_t *body = json_loads(text, 0, NULL), *others = json_loads(members, 0, NULL);
	cr_assert(body && others);
	json_object_update(body, others);
	char *canonical = json_dumps(body, JSON_COMPACT | JSON_SORT_KEYS);
	const struct agent *before = agents_find(service->agents, "a", spiffe_id);
	snprintf(key, sizeof key, "a %s", spiffe_id);
	put_row(RECORD_AGENT, key, before ? before->version : 0, canonical);
	free(canonical);
	json_decref(body);
	json_decref(others);
}

/* ---- callers and calls ---- */

struct who {
	const char *name, *issuer;
	enum api_way way;
	unsigned roles;
};

static const struct who broker = {"broker", "a", WAY_GATE, ROLE_TASK};
static const struct who proven_broker = {"broker", "a", WAY_SIGNED, ROLE_TASK};
static const struct who local_broker = {"broker", "a", WAY_CONTROL, ROLE_TASK};
static const struct who roleless_broker = {"broker", "a", WAY_SIGNED, ROLE_MINT | ROLE_APPROVE | ROLE_REGISTER};
static const struct who other = {"other", "a", WAY_GATE, ROLE_TASK};
static const struct who proven_other = {"other", "a", WAY_SIGNED, ROLE_TASK | ROLE_AUDIT};
static const struct who foreigner = {"broker", "b", WAY_GATE, ROLE_TASK};
static const struct who foreign_operator = {"operator", "b", WAY_CONTROL, ROLE_OPERATE | ROLE_REVOKE | ROLE_AUDIT};
static const struct who auditor = {"auditor", "a", WAY_GATE, ROLE_AUDIT};
static const struct who proven_auditor = {"auditor", "a", WAY_CONTROL, ROLE_AUDIT};
static const struct who gate_operator = {"operator", "a", WAY_GATE, ROLE_OPERATE | ROLE_REVOKE};
static const struct who operator= {"operator", "a", WAY_CONTROL, ROLE_OPERATE};
static const struct who signed_operator = {"operator", "a", WAY_SIGNED, ROLE_OPERATE};
static const struct who revoker = {"revoker", "a", WAY_CONTROL, ROLE_REVOKE};

/* Run an operation, without committing what it says. The changes are the caller's. */
static hm_result decide(const struct who *who, api_operation *operation, const char *id, const char *query,
	const char *body, struct changes **changes)
{
	struct config_caller known = {.name = (char *)who->name, .roles = who->roles};
	struct api_call call = {.service = service, .issuer = who->issuer, .id = id, .now = now};
	call.actor = (struct api_actor){.way = who->way, .known = &known};
	snprintf(call.actor.name, sizeof call.actor.name, "%s", who->name);
	call.query = json_loads(query ? query : "{}", 0, NULL);
	call.body = body ? json_loads(body, 0, NULL) : NULL;
	cr_assert(call.query && (!body || call.body), "%s", body);
	forget();
	hm_result result = operation(&call, &why);
	shown = call.answer;
	entry = call.entry;
	status = call.status;
	*changes = call.changes;
	json_decref(call.query);
	json_decref(call.body);
	return result;
}

static hm_result run(
	const struct who *who, api_operation *operation, const char *id, const char *query, const char *body)
{
	struct changes *changes = NULL;
	hm_result result = decide(who, operation, id, query, body, &changes);
	changed = changes && result == HM_OK;
	cr_expect_eq(changed, result == HM_OK && entry);
	if (!changed)
		changes_close(changes);
	else
		cr_assert_eq(commit(changes), HM_OK, "%s", why.detail);
	return result;
}

static const char *text(const char *member)
{
	const char *value = json_string_value(json_object_get(shown, member));
	return value ? value : "";
}

static int64_t number(const char *member)
{
	return json_integer_value(json_object_get(shown, member));
}

static hm_result open_as(const struct who *who, const char *body)
{
	return run(who, task_api_open, NULL, NULL, body);
}

#define BODY(members) "{\"agent\":\"spiffe://a.test/agent/first\",\"purpose\":\"testing\"" members "}"

static void open_task(const struct who *who, const char *body, char id[HM_ID_MAX + 1])
{
	cr_assert_eq(open_as(who, body), HM_OK, "%s: %s %s", body, why.code, why.detail);
	snprintf(id, HM_ID_MAX + 1, "%s", text("id"));
}

/* A child of `parent`, or a root: "". */
static void open_under(const char *parent, char id[HM_ID_MAX + 1])
{
	char body[256];
	snprintf(body, sizeof body, BODY("%s%s%s"), *parent ? ",\"parent\":\"" : "", parent, *parent ? "\"" : "");
	open_task(&broker, body, id);
}

static void expect_refused(const struct who *who, const char *body, const char *code, const char *field)
{
	cr_expect_eq(open_as(who, body), HM_REFUSED, "%s", body);
	cr_expect_str_eq(why.code ? why.code : "none", code, "%s: %s", body, why.detail);
	cr_expect_str_eq(why.field, field, "%s", body);
}

/* ---- opening ---- */

Test(task_api, what_is_opened_is_shown_as_it_was_asked_for)
{
	put_agent(agent, "{}");
	cr_assert_eq(
		open_as(&broker, BODY(",\"issuer\":\"a\",\"on_behalf_of\":\"mara\",\"ref\":\"run 7\",\"audiences\":["
				      "\"https://x.test\"],\"scopes\":[\"read\",\"write\"],\"lifetime\":60")),
		HM_OK, "%s", why.detail);
	cr_expect_eq(status, 201);
	json_t *expected = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:[s], s:[s,s], s:i, s:i, s:s}", "id",
		text("id"), "issuer", "a", "caller", "broker", "agent", agent, "purpose", "testing", "on_behalf_of",
		"mara", "ref", "run 7", "audiences", "https://x.test", "scopes", "read", "write", "opened", NOW,
		"expires", NOW + 60, "state", "open");
	cr_expect(json_equal(shown, expected), "%s", json_dumps(shown, 0));
	json_decref(expected);

	const struct task *task = tasks_find(service->tasks, text("id"));
	cr_assert_not_null(task);
	cr_expect_str_eq(task->purpose, "testing");
	cr_expect_str_eq(task->on_behalf_of, "mara");
	cr_expect_eq(task, tasks_by_ref(service->tasks, "a", "broker", "run 7"));
	cr_expect_str_eq(json_string_value(json_object_get(entry, "task")), task->id);
	cr_expect_str_eq(json_string_value(json_object_get(entry, "agent")), agent);
	char *told = json_dumps(entry, 0);
	cr_expect_null(strstr(told, "mara"), "a person in the ledger: %s", told);
	free(told);
}

Test(task_api, the_row_is_written_in_canonical_form)
{
	put_agent(agent, "{}");
	char parent[HM_ID_MAX + 1], id[HM_ID_MAX + 1];
	open_under("", parent);
	char body[512];
	snprintf(body, sizeof body,
		BODY(",\"ref\":\"r\\\"\\\\/\xc3\xa9\",\"on_behalf_of\":\"m\",\"audiences\":[\"x\"],\"scopes\":[\"s\"],"
		     "\"parent\":\"%s\""),
		parent);
	open_task(&broker, body, id);
	cr_expect_str_eq(tasks_find(service->tasks, id)->ref, "r\"\\/\xc3\xa9");
	cr_expect_eq(run(&operator, task_api_pause, id, NULL, NULL), HM_OK);
	cr_expect(tasks_find(service->tasks, id)->held);
}

Test(task_api, an_end_that_is_not_said_is_an_hour_away)
{
	put_agent(agent, "{}");
	cr_assert_eq(open_as(&broker, BODY("")), HM_OK);
	cr_expect_eq(number("expires"), NOW + 3600);
	cr_assert_eq(open_as(&broker, BODY(",\"expires\":1000001")), HM_OK);
	cr_expect_eq(number("expires"), NOW + 1);
	cr_assert_eq(open_as(&broker, BODY(",\"lifetime\":2678400")), HM_OK);
	cr_expect_eq(number("expires"), NOW + 31 * DAY);
	cr_assert_eq(open_as(&broker, BODY(",\"expires\":3678400")), HM_OK);
}

Test(task_api, each_member_at_fault_is_named)
{
	static const struct {
		const char *members, *code, *field;
	} cases[] = {{",\"surprise\":1", "unknown_member", "surprise"},
		{",\"state\":\"open\"", "unknown_member", "state"}, {",\"id\":\"x\"", "unknown_member", "id"},
		{",\"caller\":\"other\"", "unknown_member", "caller"}, {",\"purpose\":1", "wrong_type", "purpose"},
		{",\"purpose\":\"\"", "invalid_member", "purpose"},
		{",\"purpose\":\"a\\nb\"", "invalid_member", "purpose"},
		{",\"on_behalf_of\":[]", "wrong_type", "on_behalf_of"},
		{",\"on_behalf_of\":\"\"", "invalid_member", "on_behalf_of"}, {",\"ref\":1", "wrong_type", "ref"},
		{",\"ref\":\"\"", "invalid_member", "ref"}, {",\"ref\":\"a\\u007f\"", "invalid_member", "ref"},
		{",\"audiences\":\"x\"", "wrong_type", "audiences"}, {",\"audiences\":[1]", "wrong_type", "audiences"},
		{",\"audiences\":[]", "invalid_audience", "audiences"},
		{",\"audiences\":[\"\"]", "invalid_audience", "audiences"},
		{",\"audiences\":[\"a b\"]", "invalid_audience", "audiences"},
		{",\"audiences\":[\"a\",\"a\"]", "invalid_audience", "audiences"},
		{",\"audiences\":[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\"]", "invalid_audience",
			"audiences"},
		{",\"scopes\":\"read\"", "wrong_type", "scopes"}, {",\"scopes\":[null]", "wrong_type", "scopes"},
		{",\"scopes\":[]", "invalid_scope", "scopes"}, {",\"scopes\":[\"a b\"]", "invalid_scope", "scopes"},
		{",\"scopes\":[\"\\\"\"]", "invalid_scope", "scopes"},
		{",\"scopes\":[\"a\",\"b\",\"a\"]", "invalid_scope", "scopes"},
		{",\"lifetime\":\"60\"", "wrong_type", "lifetime"}, {",\"lifetime\":1.5", "wrong_type", "lifetime"},
		{",\"lifetime\":0", "lifetime_not_allowed", "lifetime"},
		{",\"lifetime\":-1", "lifetime_not_allowed", "lifetime"},
		{",\"lifetime\":2678401", "lifetime_not_allowed", "lifetime"},
		{",\"lifetime\":9223372036854775807", "lifetime_not_allowed", "lifetime"},
		{",\"expires\":true", "wrong_type", "expires"}, {",\"expires\":0", "lifetime_not_allowed", "expires"},
		{",\"expires\":1000000", "lifetime_not_allowed", "expires"},
		{",\"expires\":3678401", "lifetime_not_allowed", "expires"},
		{",\"expires\":9223372036854775807", "lifetime_not_allowed", "expires"},
		{",\"expires\":1000060,\"lifetime\":60", "invalid_member", "lifetime"},
		{",\"parent\":1", "wrong_type", "parent"}, {",\"parent\":\"\"", "unknown_task", "parent"},
		{",\"parent\":\"xAAAAAAAAAAAAAAAAAAAAA\"", "unknown_task", "parent"}};
	put_agent(agent, "{}");
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char body[1024];
		snprintf(body, sizeof body, BODY("%s"), cases[i].members);
		expect_refused(&broker, body, cases[i].code, cases[i].field);
	}
	expect_refused(&broker, "{\"agent\":\"spiffe://a.test/agent/first\"}", "missing_member", "purpose");
	expect_refused(&broker, "{\"purpose\":\"p\"}", "missing_member", "agent");
	expect_refused(&broker, "{\"purpose\":\"p\",\"agent\":1}", "wrong_type", "agent");
	expect_refused(&broker, "{\"purpose\":\"p\",\"agent\":\"first\"}", "invalid_subject", "agent");
	cr_expect_eq(tasks_count(service->tasks), 0);
}

Test(task_api, texts_have_bounds)
{
	static const struct {
		const char *name;
		int most;
	} bounds[] = {{"purpose", HM_PURPOSE_MAX}, {"on_behalf_of", HM_OWNER_MAX}, {"ref", HM_REF_MAX}};
	put_agent(agent, "{}");
	for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++)
		for (int over = 0; over < 2; over++) {
			json_t *body = json_pack("{s:s, s:s}", "agent", agent, "purpose", "p");
			char *long_text = malloc((size_t)bounds[i].most + 2);
			memset(long_text, 'x', (size_t)bounds[i].most + 1);
			long_text[bounds[i].most + over] = 0;
			json_object_set_new(body, bounds[i].name, json_string(long_text));
			char *written = json_dumps(body, 0);
			if (over)
				expect_refused(&broker, written, "invalid_member", bounds[i].name);
			else
				cr_expect_eq(open_as(&broker, written), HM_OK, "%s", why.detail);
			free(written);
			free(long_text);
			json_decref(body);
		}
}

Test(task_api, an_agent_that_may_have_no_credential_has_no_task_opened)
{
	expect_refused(&broker, BODY(""), "unknown_agent", "");
	put_agent(agent, "{\"status\":\"suspended\"}");
	expect_refused(&broker, BODY(""), "agent_suspended", "");
	put_agent(agent, "{\"review\":1000000}");
	expect_refused(&broker, BODY(""), "agent_review_due", "");
	put_agent(agent, "{\"status\":\"retired\"}");
	expect_refused(&broker, BODY(""), "agent_retired", "");
	cr_expect_eq(tasks_count(service->tasks), 0);
}

Test(task_api, an_agent_of_a_class_needs_no_registration_of_its_own)
{
	put_agent("spiffe://a.test/agent/*", "{\"class\":true,\"limits\":{\"scopes\":[\"read\"]}}");
	cr_expect_eq(open_as(&broker, BODY(",\"scopes\":[\"read\"]")), HM_OK, "%s", why.detail);
	expect_refused(&broker, BODY(",\"scopes\":[\"write\"]"), "scope_not_allowed", "scopes");
	expect_refused(&foreigner, BODY(""), "unknown_agent", "");
}

Test(task_api, what_a_task_has_is_within_its_agents_limits)
{
	put_agent(agent, "{\"limits\":{\"audiences\":[\"https://*.x.test\",\"y\"],\"scopes\":[\"read\",\"write\"]}}");
	cr_expect_eq(open_as(&broker, BODY(",\"audiences\":[\"https://a.x.test\",\"y\"]")), HM_OK, "%s", why.detail);
	cr_expect_eq(open_as(&broker, BODY(",\"audiences\":[\"https://*.x.test\"]")), HM_OK, "%s", why.detail);
	cr_expect_eq(open_as(&broker, BODY(",\"audiences\":[\"https://*.a.x.test\"]")), HM_OK, "%s", why.detail);
	expect_refused(&broker, BODY(",\"audiences\":[\"y\",\"https://x.test\"]"), "audience_not_allowed", "audiences");
	expect_refused(&broker, BODY(",\"audiences\":[\"*\"]"), "audience_not_allowed", "audiences");
	expect_refused(&broker, BODY(",\"audiences\":[\"https://a/*.x.test\"]"), "audience_not_allowed", "audiences");
	cr_expect_eq(open_as(&broker, BODY(",\"scopes\":[\"write\"]")), HM_OK);
	expect_refused(&broker, BODY(",\"scopes\":[\"read\",\"admin\"]"), "scope_not_allowed", "scopes");
	expect_refused(&broker, BODY(",\"scopes\":[\"*\"]"), "scope_not_allowed", "scopes");
}

/* ---- children ---- */

static void expect_child_refused(const char *parent, const char *members, const char *code, const char *field)
{
	char body[512];
	snprintf(body, sizeof body, BODY(",\"parent\":\"%s\"%s"), parent, members);
	expect_refused(&broker, body, code, field);
}

Test(task_api, a_child_is_within_its_parent)
{
	char parent[HM_ID_MAX + 1], body[512];
	put_agent(agent, "{}");
	open_task(&broker,
		BODY(",\"lifetime\":600,\"audiences\":[\"https://*.x.test\"],\"scopes\":[\"read\",\"list\"]"), parent);
	expect_child_refused(parent, ",\"audiences\":[\"https://y.test\"]", "audience_not_allowed", "audiences");
	expect_child_refused(parent, ",\"scopes\":[\"read\",\"write\"]", "scope_not_allowed", "scopes");
	expect_child_refused(parent, ",\"lifetime\":601", "lifetime_not_allowed", "lifetime");
	expect_child_refused(parent, ",\"expires\":1000601", "lifetime_not_allowed", "expires");

	snprintf(body, sizeof body,
		BODY(",\"parent\":\"%s\",\"lifetime\":600,\"audiences\":[\"https://a.x.test\"],\"scopes\":[\"list\"]"),
		parent);
	cr_expect_eq(open_as(&broker, body), HM_OK, "%s", why.detail);
	cr_expect_str_eq(text("parent"), parent);
}

Test(task_api, what_a_child_does_not_say_is_its_parents)
{
	char parent[HM_ID_MAX + 1], child[HM_ID_MAX + 1];
	put_agent(agent, "{}");
	open_task(&broker, BODY(",\"lifetime\":600,\"audiences\":[\"x\",\"y\"],\"scopes\":[\"read\"]"), parent);
	open_under(parent, child);
	const struct task *task = tasks_find(service->tasks, child);
	cr_assert_eq(task->audiences_count, 2);
	cr_expect_str_eq(task->audiences[1], "y");
	cr_assert_eq(task->scopes_count, 1);
	cr_expect_str_eq(task->scopes[0], "read");
	cr_expect_eq(task->expires, NOW + 600);
	open_under(child, child);
	expect_child_refused(child, ",\"scopes\":[\"write\"]", "scope_not_allowed", "scopes");
}

Test(task_api, a_task_of_another_caller_or_issuer_is_no_parent)
{
	char parent[HM_ID_MAX + 1];
	put_agent(agent, "{}");
	open_task(&other, BODY(""), parent);
	expect_child_refused(parent, "", "unknown_task", "parent");
	const struct task *task = tasks_find(service->tasks, parent);
	char body[512];
	snprintf(body, sizeof body,
		"{\"agent\":\"%s\",\"caller\":\"broker\",\"expires\":%d,\"issuer\":\"b\",\"opened\":1,\"purpose\":"
		"\"p\","
		"\"state\":\"open\"}",
		agent, NOW + 600);
	put_row(RECORD_TASK, parent, task->version, body);
	expect_child_refused(parent, "", "unknown_task", "parent");
}

Test(task_api, a_parent_that_is_not_open_has_no_more_children)
{
	char parent[HM_ID_MAX + 1], child[HM_ID_MAX + 1];
	put_agent(agent, "{}");
	open_under("", parent);
	open_under(parent, child);
	cr_assert_eq(run(&broker, task_api_pause, parent, NULL, NULL), HM_OK);
	expect_child_refused(parent, "", "task_paused", "parent");
	expect_child_refused(child, "", "task_paused", "parent");
	cr_assert_eq(run(&broker, task_api_complete, parent, NULL, NULL), HM_OK);
	expect_child_refused(parent, "", "task_ended", "parent");
	expect_child_refused(child, "", "task_ended", "parent");
	open_under("", parent);
	now += 3600;
	expect_child_refused(parent, "", "task_expired", "parent");
}

Test(task_api, a_tree_is_eight_deep_at_most)
{
	char id[HM_ID_MAX + 1] = "";
	put_agent(agent, "{}");
	for (int depth = 1; depth <= HM_DEPTH_MAX; depth++)
		open_under(id, id);
	expect_child_refused(id, "", "task_too_deep", "parent");
}

/* ---- an act that came first wins ---- */

/* What was decided before `act` is committed after it. */
static void expect_conflict(const char *body, void (*act)(void))
{
	struct changes *changes = NULL;
	cr_assert_eq(decide(&broker, task_api_open, NULL, NULL, body, &changes), HM_OK, "%s", why.detail);
	act();
	cr_expect_eq(commit(changes), HM_REFUSED);
	cr_expect_str_eq(why.code, "store_conflict");
}

static void suspend_agent(void)
{
	put_agent(agent, "{\"status\":\"suspended\"}");
}

static void suspend_class(void)
{
	put_agent("spiffe://a.test/agent/*", "{\"class\":true,\"status\":\"suspended\"}");
}

static char ends_first[HM_ID_MAX + 1];

static void complete_parent(void)
{
	cr_assert_eq(run(&broker, task_api_complete, ends_first, NULL, NULL), HM_OK);
}

static void open_same_ref(void)
{
	cr_assert_eq(open_as(&broker, BODY(",\"ref\":\"r\"")), HM_OK);
}

Test(task_api, nothing_is_opened_after_what_ended_it)
{
	char body[256];
	put_agent("spiffe://a.test/agent/*", "{\"class\":true}");
	expect_conflict(BODY(""), suspend_class);
	put_agent(agent, "{}");
	open_under("", ends_first);
	snprintf(body, sizeof body, BODY(",\"parent\":\"%s\""), ends_first);
	expect_conflict(body, complete_parent);
	expect_conflict(BODY(",\"ref\":\"r\""), open_same_ref);
	expect_conflict(BODY(""), suspend_agent);
	cr_expect_eq(tasks_count(service->tasks), 2);
}

Test(task_api, of_two_acts_at_once_one_is_decided_anew)
{
	struct changes *changes = NULL;
	char id[HM_ID_MAX + 1];
	put_agent(agent, "{}");
	open_under("", id);
	cr_assert_eq(decide(&broker, task_api_complete, id, NULL, NULL, &changes), HM_OK);
	cr_assert_eq(run(&broker, task_api_cancel, id, NULL, NULL), HM_OK);
	cr_expect_eq(commit(changes), HM_REFUSED);
	cr_expect_eq(run(&broker, task_api_complete, id, NULL, NULL), HM_REFUSED);
	cr_expect_str_eq(why.code, "task_state");
	cr_expect_eq(tasks_find(service->tasks, id)->state, TASK_CANCELLED);
}

/* ---- refs ---- */

Test(task_api, the_same_ref_and_content_are_the_same_task)
{
	char first[HM_ID_MAX + 1];
	put_agent(agent, "{}");
	open_task(&broker, BODY(",\"ref\":\"r\",\"expires\":1000060,\"scopes\":[\"read\"]"), first);
	cr_expect_eq(
		open_as(&broker, "{\"scopes\":[\"read\"],\"expires\":1000060,\"ref\":\"r\",\"purpose\":\"testing\","
				 "\"issuer\":\"a\",\"agent\":\"spiffe://a.test/agent/first\"}"),
		HM_OK);
	cr_expect_eq(status, 200);
	cr_expect_str_eq(text("id"), first);
	cr_expect_not(changed);
	now += 3600;
	cr_expect_eq(open_as(&broker, BODY(",\"ref\":\"r\",\"expires\":1000060,\"scopes\":[\"read\"]")), HM_OK);
	cr_expect_str_eq(text("id"), first);
	cr_expect_str_eq(text("state"), "expired");
	cr_expect_eq(tasks_count(service->tasks), 1);
}

Test(task_api, another_content_for_a_ref_is_refused)
{
	static const char *const others[] = {BODY(",\"ref\":\"r\""), BODY(",\"ref\":\"r\",\"lifetime\":61"),
		BODY(",\"ref\":\"r\",\"lifetime\":60,\"scopes\":[\"read\"]"),
		BODY(",\"ref\":\"r\",\"lifetime\":60,\"on_behalf_of\":\"mara\""),
		"{\"agent\":\"spiffe://a.test/agent/first\",\"purpose\":\"another\",\"ref\":\"r\",\"lifetime\":60}",
		"{\"agent\":\"spiffe://a.test/agent/second\",\"purpose\":\"testing\",\"ref\":\"r\",\"lifetime\":60}"};
	put_agent(agent, "{}");
	put_agent("spiffe://a.test/agent/second", "{}");
	cr_assert_eq(open_as(&broker, BODY(",\"ref\":\"r\",\"lifetime\":60")), HM_OK);
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		expect_refused(&broker, others[i], "task_mismatch", "ref");
}

Test(task_api, a_ref_of_another_caller_is_another_task)
{
	char first[HM_ID_MAX + 1], second[HM_ID_MAX + 1];
	put_agent(agent, "{}");
	open_task(&broker, BODY(",\"ref\":\"r\""), first);
	open_task(&other, BODY(",\"ref\":\"r\",\"scopes\":[\"read\"]"), second);
	cr_expect_str_neq(first, second);
	open_task(&proven_broker, BODY(",\"ref\":\"r\""), second);
	cr_expect_str_eq(first, second);
}

/* ---- in a mint request ---- */

static hm_result open_one(const char *members, char id[HM_ID_MAX + 1], struct changes **changes)
{
	json_t *object = json_loads(members, 0, NULL);
	*changes = changes_open();
	why = (struct hm_problem){0};
	hm_result result = tasks_open_one(
		service->tasks, service->agents, "a", "broker", agent, object, TASK_BY_MINT, now, *changes, id, &why);
	json_decref(object);
	return result;
}

Test(task_api, a_mint_request_and_a_call_open_the_same_task)
{
	char id[HM_ID_MAX + 1], again[HM_ID_MAX + 1];
	struct changes *changes;
	put_agent(agent, "{}");
	cr_assert_eq(open_one("{\"ref\":\"r\",\"purpose\":\"testing\"}", id, &changes), HM_OK, "%s", why.detail);
	cr_expect_null(tasks_find(service->tasks, id));
	cr_assert_eq(commit(changes), HM_OK, "%s", why.detail);
	cr_expect_not_null(tasks_find(service->tasks, id));
	cr_assert_eq(open_one("{\"purpose\":\"testing\",\"ref\":\"r\"}", again, &changes), HM_OK);
	cr_expect_str_eq(id, again);
	cr_expect_eq(commit(changes), HM_OK);
	open_task(&broker, BODY(",\"ref\":\"r\""), again);
	cr_expect_str_eq(id, again);
	cr_expect_eq(status, 200);
	cr_expect_eq(tasks_count(service->tasks), 1);
}

Test(task_api, faults_of_a_mint_request_name_its_member)
{
	static const struct {
		const char *members, *code, *field;
	} cases[] = {{"{\"purpose\":\"p\"}", "missing_member", "task.ref"},
		{"{\"ref\":\"r\"}", "missing_member", "task.purpose"},
		{"{\"ref\":\"r\",\"purpose\":\"p\",\"agent\":\"spiffe://a.test/agent/first\"}", "unknown_member",
			"task.agent"},
		{"{\"ref\":\"r\",\"purpose\":\"p\",\"issuer\":\"a\"}", "unknown_member", "task.issuer"},
		{"{\"ref\":\"r\",\"purpose\":\"p\",\"scopes\":[]}", "invalid_scope", "task.scopes"},
		{"{\"ref\":\"r\",\"purpose\":\"p\",\"parent\":\"x\"}", "unknown_task", "task.parent"}};
	put_agent(agent, "{}");
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char id[HM_ID_MAX + 1];
		struct changes *changes;
		cr_expect_eq(open_one(cases[i].members, id, &changes), HM_REFUSED, "%s", cases[i].members);
		cr_expect_str_eq(why.code, cases[i].code);
		cr_expect_str_eq(why.field, cases[i].field);
		changes_close(changes);
	}
}

Test(task_api, a_credential_more_is_counted_once)
{
	char id[HM_ID_MAX + 1];
	put_agent(agent, "{}");
	open_under("", id);
	for (unsigned count = 1; count <= 2; count++) {
		struct changes *first = changes_open(), *second = changes_open();
		cr_assert(tasks_put_struck(first, tasks_find(service->tasks, id)));
		cr_assert(tasks_put_struck(second, tasks_find(service->tasks, id)));
		cr_expect_eq(commit(first), HM_OK);
		cr_expect_eq(commit(second), HM_REFUSED);
		cr_expect_eq(tasks_find(service->tasks, id)->struck, count);
	}
}

/* ---- pause, resume, complete, cancel ---- */

enum { ACTS = 4 };

static api_operation *const acts[ACTS] = {task_api_pause, task_api_resume, task_api_complete, task_api_cancel};
static const char *const act_names[ACTS] = {"pause", "resume", "complete", "cancel"};

static const struct {
	const char *name, *members;
} states[] = {{"open", "\"state\":\"open\""}, {"paused", "\"state\":\"paused\""},
	{"held", "\"held\":true,\"state\":\"paused\""}, {"completed", "\"ended\":999999,\"state\":\"completed\""},
	{"cancelled", "\"ended\":999999,\"state\":\"cancelled\""},
	{"expired", "\"expires\":1000000,\"state\":\"open\""},
	{"expired paused", "\"expires\":1000000,\"state\":\"paused\""}};

enum { ALL_STATES = sizeof states / sizeof *states };

static const char subject[] = "sAAAAAAAAAAAAAAAAAAAAA";

static void put_subject(const char *members)
{
	char body[512];
	json_t *task = json_pack("{s:s, s:s, s:i, s:s, s:i, s:s}", "agent", agent, "caller", "broker", "expires",
		NOW + 600, "issuer", "a", "opened", NOW - 600, "purpose", "p");
	snprintf(body, sizeof body, "{%s}", members);
	json_t *more = json_loads(body, 0, NULL);
	json_object_update(task, more);
	char *canonical = json_dumps(task, JSON_COMPACT | JSON_SORT_KEYS);
	const struct task *before = tasks_find(service->tasks, subject);
	put_row(RECORD_TASK, subject, before ? before->version : 0, canonical);
	free(canonical);
	json_decref(more);
	json_decref(task);
}

/* What comes of each act in each state: c, it changes; =, it is so already; s, task_state; u, unknown_task. */
static const char own_through_gate[ALL_STATES][ACTS + 1] = {"c=cc", "=ccc", "=scc", "ss=s", "sss=", "ssss", "ssss"};
static const char as_proven[ALL_STATES][ACTS + 1] = {"c=cc", "cccc", "=ccc", "ss=s", "sss=", "ssss", "ssss"};
static const char as_revoker[ALL_STATES][ACTS + 1] = {"cucc", "cucc", "=ucc", "su=s", "sus=", "suss", "suss"};
static const char as_nobody[ALL_STATES][ACTS + 1] = {"uuuu", "uuuu", "uuuu", "uuuu", "uuuu", "uuuu", "uuuu"};

static const struct {
	const char *name;
	const struct who *who;
	const char (*wanted)[ACTS + 1];
} actors[] = {{"its own, through gate", &broker, own_through_gate}, {"its own, signed", &proven_broker, as_proven},
	{"its own, control", &local_broker, as_proven}, {"its own, without the role", &roleless_broker, as_nobody},
	{"another's", &other, as_nobody}, {"another's, signed", &proven_other, as_nobody},
	{"another issuer", &foreigner, as_nobody}, {"an operator of another issuer", &foreign_operator, as_nobody},
	{"auditor", &auditor, as_nobody}, {"auditor, control", &proven_auditor, as_nobody},
	{"operator through gate", &gate_operator, as_nobody},
	{"operator, control", &operator, as_proven }, {"operator, signed", &signed_operator, as_proven},
		{"revoker, control", &revoker, as_revoker}};

static void expect_act(size_t actor, size_t state, size_t act)
{
	static const enum task_state to[ACTS] = {TASK_PAUSED, TASK_OPEN, TASK_COMPLETED, TASK_CANCELLED};
	char wanted = actors[actor].wanted[state][act];
	put_subject(states[state].members);
	const struct task before = *tasks_find(service->tasks, subject);
	hm_result result = run(actors[actor].who, acts[act], subject, NULL, "{\"reason\":\"because\"}");
	const struct task *after = tasks_find(service->tasks, subject);
#define WHERE "%s, %s, %s: %s", actors[actor].name, states[state].name, act_names[act], why.detail
	cr_expect_eq(result, wanted == 'c' || wanted == '=' ? HM_OK : HM_REFUSED, WHERE);
	cr_expect_eq(changed, wanted == 'c', WHERE);
	if (wanted == 's' || wanted == 'u')
		cr_expect_str_eq(why.code, wanted == 's' ? "task_state" : "unknown_task", WHERE);
	else
		cr_expect_str_eq(text("state"), task_state_name(to[act]), WHERE);
	if (wanted != 'c') {
		cr_expect_eq(after->version, before.version, WHERE);
		return;
	}
	cr_expect_eq(after->state, to[act], WHERE);
	cr_expect_eq(after->held, act == 0 && actors[actor].who->way != WAY_GATE, WHERE);
	cr_expect_eq(after->ended, act >= 2 ? NOW : 0, WHERE);
	cr_expect_str_eq(json_string_value(json_object_get(entry, "task")), subject, WHERE);
	cr_expect_str_eq(json_string_value(json_object_get(entry, "state")), task_state_name(to[act]), WHERE);
	cr_expect_str_eq(json_string_value(json_object_get(entry, "reason")), "because", WHERE);
}

Test(task_api, each_act_in_each_state_by_each_actor)
{
	for (size_t actor = 0; actor < sizeof actors / sizeof *actors; actor++)
		for (size_t state = 0; state < ALL_STATES; state++)
			for (size_t act = 0; act < ACTS; act++)
				expect_act(actor, state, act);
}

Test(task_api, a_hold_outlives_what_is_done_through_gate)
{
	put_subject("\"state\":\"open\"");
	cr_expect_eq(run(&broker, task_api_pause, subject, NULL, NULL), HM_OK);
	cr_expect_eq(run(&operator, task_api_pause, subject, NULL, NULL), HM_OK);
	cr_expect_eq(run(&broker, task_api_pause, subject, NULL, NULL), HM_OK);
	cr_expect_eq(run(&broker, task_api_resume, subject, NULL, NULL), HM_REFUSED);
	cr_expect_str_eq(why.code, "task_state");
	cr_expect_eq(tasks_check(tasks_find(service->tasks, subject), now, &why), HM_REFUSED);
	cr_expect_eq(run(&proven_broker, task_api_resume, subject, NULL, NULL), HM_OK);
	cr_expect_eq(run(&broker, task_api_pause, subject, NULL, NULL), HM_OK);
	cr_expect_eq(run(&broker, task_api_resume, subject, NULL, NULL), HM_OK);
	cr_expect_eq(tasks_check(tasks_find(service->tasks, subject), now, &why), HM_OK);
}

Test(task_api, an_act_takes_a_reason_and_nothing_else)
{
	static const struct {
		const char *body, *code, *field;
	} cases[] = {{"{\"reason\":1}", "wrong_type", "reason"}, {"{\"reason\":\"\"}", "invalid_member", "reason"},
		{"{\"reason\":\"a\\nb\"}", "invalid_member", "reason"},
		{"{\"force\":true}", "unknown_member", "force"}};
	put_subject("\"state\":\"open\"");
	for (size_t act = 0; act < ACTS; act++)
		for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
			cr_expect_eq(run(&broker, acts[act], subject, NULL, cases[i].body), HM_REFUSED);
			cr_expect_str_eq(why.code, cases[i].code);
			cr_expect_str_eq(why.field, cases[i].field);
		}
	cr_expect_eq(run(&broker, task_api_pause, subject, NULL, "{\"issuer\":\"a\"}"), HM_OK);
	cr_expect_null(json_object_get(entry, "reason"));
}

/* ---- acts in a tree ---- */

enum { DEEP = 3 };

static char tree[DEEP][HM_ID_MAX + 1]; /* each the parent of the next */

static void open_tree(void)
{
	put_agent(agent, "{}");
	for (int i = 0; i < DEEP; i++)
		open_under(i ? tree[i - 1] : "", tree[i]);
}

static void expect_tree(enum task_state first, enum task_state second, enum task_state third)
{
	const enum task_state wanted[DEEP] = {first, second, third};
	for (int i = 0; i < DEEP; i++) {
		cr_expect_eq(run(&broker, task_api_show, tree[i], NULL, NULL), HM_OK);
		cr_expect_str_eq(text("state"), task_state_name(wanted[i]), "%d: %s", i, text("state"));
	}
}

Test(task_api, a_child_keeps_its_own_state_under_a_paused_parent)
{
	open_tree();
	cr_expect_eq(run(&broker, task_api_pause, tree[0], NULL, NULL), HM_OK);
	expect_tree(TASK_PAUSED, TASK_PAUSED, TASK_PAUSED);
	cr_expect_eq(run(&broker, task_api_pause, tree[1], NULL, NULL), HM_OK);
	cr_expect(changed);
	cr_expect_eq(run(&broker, task_api_resume, tree[2], NULL, NULL), HM_OK);
	cr_expect_not(changed);
	cr_expect_eq(run(&broker, task_api_resume, tree[0], NULL, NULL), HM_OK);
	expect_tree(TASK_OPEN, TASK_PAUSED, TASK_PAUSED);
	cr_expect_eq(run(&broker, task_api_pause, tree[0], NULL, NULL), HM_OK);
	cr_expect_eq(run(&broker, task_api_resume, tree[1], NULL, NULL), HM_OK);
	cr_expect(changed);
	cr_expect_str_eq(text("state"), "paused");
	expect_tree(TASK_PAUSED, TASK_PAUSED, TASK_PAUSED);
	cr_expect_eq(run(&broker, task_api_resume, tree[0], NULL, NULL), HM_OK);
	expect_tree(TASK_OPEN, TASK_OPEN, TASK_OPEN);
}

Test(task_api, a_child_ends_with_its_parent_and_alone)
{
	open_tree();
	cr_expect_eq(run(&broker, task_api_complete, tree[1], NULL, NULL), HM_OK);
	expect_tree(TASK_OPEN, TASK_COMPLETED, TASK_COMPLETED);
	static const char wanted[ACTS] = {'s', 's', '=', 's'};
	for (int act = 0; act < ACTS; act++) {
		cr_expect_eq(run(&operator, acts[act], tree[2], NULL, NULL), wanted[act] == '=' ? HM_OK : HM_REFUSED);
		cr_expect_not(changed);
	}
	cr_expect_eq(run(&broker, task_api_cancel, tree[0], NULL, NULL), HM_OK);
	expect_tree(TASK_CANCELLED, TASK_COMPLETED, TASK_COMPLETED);
}

/* ---- show and list ---- */

Test(task_api, a_task_is_shown_to_its_caller_and_to_who_may_see_all)
{
	static const struct {
		const struct who *who;
		bool sees;
	} cases[] = {{&broker, true}, {&proven_broker, true}, {&roleless_broker, false}, {&other, false},
		{&proven_other, true}, {&foreigner, false}, {&foreign_operator, false}, {&auditor, true},
		{&proven_auditor, true}, {&gate_operator, false}, {&operator, true }, {&revoker, true}};
	put_subject("\"state\":\"open\"");
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		cr_expect_eq(run(cases[i].who, task_api_show, subject, NULL, NULL), cases[i].sees ? HM_OK : HM_REFUSED,
			"%zu", i);
		if (!cases[i].sees)
			cr_expect_str_eq(why.code, "unknown_task");
		cr_expect_eq(run(cases[i].who, task_api_list, NULL, NULL, NULL), HM_OK);
		cr_expect_eq(json_array_size(json_object_get(shown, "tasks")), cases[i].sees, "%zu", i);
		cr_expect_eq(run(cases[i].who, task_api_show, "xAAAAAAAAAAAAAAAAAAAAA", NULL, NULL), HM_REFUSED);
		cr_expect_str_eq(why.code, "unknown_task");
	}
}

Test(task_api, a_list_comes_in_pages)
{
	char id[HM_ID_MAX + 1], query[64] = "{\"limit\":\"2\"}", last[HM_ID_MAX + 1] = "";
	unsigned pages = 0, seen = 0;
	put_agent(agent, "{}");
	for (int i = 0; i < 5; i++) {
		open_task(&broker, BODY(""), id);
		open_task(&other, BODY(""), id);
	}
	for (const char *next = last; next && pages < 20; pages++) {
		cr_assert_eq(run(&broker, task_api_list, NULL, query, NULL), HM_OK, "%s", why.detail);
		const json_t *page = json_object_get(shown, "tasks");
		cr_expect_leq(json_array_size(page), 2);
		for (size_t i = 0; i < json_array_size(page); i++, seen++) {
			const json_t *task = json_array_get(page, i);
			cr_expect_str_eq(json_string_value(json_object_get(task, "caller")), "broker");
			cr_expect_gt(strcmp(json_string_value(json_object_get(task, "id")), last), 0);
			snprintf(last, sizeof last, "%s", json_string_value(json_object_get(task, "id")));
		}
		next = json_string_value(json_object_get(shown, "next"));
		snprintf(query, sizeof query, "{\"limit\":\"2\",\"after\":\"%s\"}", next ? next : "");
	}
	cr_expect_eq(seen, 5);
	cr_assert_eq(run(&auditor, task_api_list, NULL, "{\"issuer\":\"a\",\"limit\":\"1000\"}", NULL), HM_OK);
	cr_expect_eq(json_array_size(json_object_get(shown, "tasks")), 10);
	cr_expect_null(json_object_get(shown, "next"));
}

Test(task_api, what_a_list_is_asked_for_is_checked)
{
	static const char *const wrong[] = {"{\"limit\":\"0\"}", "{\"limit\":\"1001\"}", "{\"limit\":\"\"}",
		"{\"limit\":\"-1\"}", "{\"limit\":\"5x\"}", "{\"limit\":\" 5\"}",
		"{\"limit\":\"18446744073709551617\"}", "{\"after\":\"\"}", "{\"after\":\"x\"}"};
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		cr_expect_eq(run(&broker, task_api_list, NULL, wrong[i], NULL), HM_REFUSED, "%s", wrong[i]);
		cr_expect_str_eq(why.code, "invalid_member", "%s", wrong[i]);
	}
	cr_expect_eq(run(&broker, task_api_list, NULL, "{\"caller\":\"other\"}", NULL), HM_REFUSED);
	cr_expect_str_eq(why.code, "unknown_member");
}

/* ---- what is old ---- */

/* How many are deleted at this time; what says so is committed. */
static unsigned expire(int64_t at, unsigned most)
{
	struct changes *changes = changes_open();
	unsigned count = tasks_expire(service->tasks, at, most, changes);
	cr_assert_eq(commit(changes), HM_OK, "%s", why.detail);
	return count;
}

Test(task_api, a_task_is_deleted_with_its_ref_a_day_after_its_end)
{
	char expiring[HM_ID_MAX + 1], completed[HM_ID_MAX + 1];
	put_agent(agent, "{}");
	open_task(&broker, BODY(",\"ref\":\"r\",\"lifetime\":100"), expiring);
	open_task(&broker, BODY(",\"ref\":\"s\",\"lifetime\":1000000"), completed);
	cr_expect_eq(run(&broker, task_api_complete, completed, NULL, NULL), HM_OK);
	cr_expect_eq(expire(NOW + DAY, 10), 0);
	cr_expect_eq(expire(NOW + DAY + 1, 10), 1);
	cr_expect_null(tasks_find(service->tasks, completed));
	cr_expect_eq(expire(NOW + DAY + 100, 10), 0);
	cr_expect_eq(expire(NOW + DAY + 101, 10), 1);
	cr_expect_eq(tasks_count(service->tasks), 0);
	char again[HM_ID_MAX + 1];
	open_task(&broker, BODY(",\"ref\":\"r\",\"lifetime\":100"), again);
	cr_expect_str_neq(again, expiring);
}

Test(task_api, children_are_deleted_before_their_parents)
{
	open_tree();
	cr_expect_eq(run(&broker, task_api_complete, tree[0], NULL, NULL), HM_OK);
	for (unsigned left = DEEP; left > 0; left--) {
		cr_expect_eq(expire(NOW + DAY + 1, 10), 1);
		cr_expect_eq(tasks_count(service->tasks), left - 1);
		if (left > 1)
			cr_expect_not_null(tasks_find(service->tasks, tree[left - 2]));
	}
}

Test(task_api, as_many_are_deleted_as_are_asked_for)
{
	char id[HM_ID_MAX + 1];
	put_agent(agent, "{}");
	for (int i = 0; i < 5; i++)
		open_task(&broker, BODY(",\"lifetime\":1"), id);
	cr_expect_eq(expire(NOW + DAY + 2, 2), 2);
	cr_expect_eq(expire(NOW + DAY + 2, 2), 2);
	unsigned rest = expire(NOW + DAY + 2, 2);
	cr_expect_eq(rest + expire(NOW + DAY + 2, 2), 1);
	cr_expect_eq(tasks_count(service->tasks), 0);
}
