/* SPDX-License-Identifier: Apache-2.0 */
/* What the decision says of agents, tasks and approvals: one request, held against views that differ in one thing. */
#include "policy.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define AGENT     "spiffe://a.test/agent/first"
#define OTHER     "spiffe://a.test/agent/second"
#define AGENT_ID  "AAAAAAAAAAAAAAAAAAAAAA"
#define TASK_ID   "TTTTTTTTTTTTTTTTTTTTTA"
#define PARENT_ID "PPPPPPPPPPPPPPPPPPPPPA"
#define ASKED_ID  "QQQQQQQQQQQQQQQQQQQQQA"

enum { NOW = 100000 };

static struct config_issuer issuers[] = {
	{.name = "a", .url = "https://mint.test/a", .trust_domain = "a.test", .path = "/a"}};
static uint32_t uid = 1000;
static struct config_caller callers[] = {
	{.name = "local", .issuer = "a", .issuer_index = 0, .uid = &uid, .roles = ROLE_MINT}};
static char *audiences[] = {"https://*.a.test"}, *subjects[] = {"spiffe://a.test/agent/*"};
static char *scopes[] = {"read", "write", "admin"}, *profile_callers[] = {"local"}, *sensitive[] = {"admin"};
static struct config_approve approve = {.scopes = sensitive, .scopes_count = 1, .by = 2, .within = 900};
static struct config_profile profile;
static const struct config config = {.issuers = issuers,
	.issuers_count = 1,
	.profiles = &profile,
	.profiles_count = 1,
	.callers = callers,
	.callers_count = 1};
static const struct gate_caller caller = {.kind = CALLER_UNIX, .uid = 1000};

static struct policy_views views;
static struct policy_granted granted;
static struct mint_request request;
static struct decision decision;
static struct hm_problem why;

static void agent_row(const char *name, const char *body)
{
	char key[128];
	snprintf(key, sizeof key, "a %s", name);
	const struct store_row row = {RECORD_AGENT, key, 1, body, strlen(body)};
	cr_assert_eq(agents_take((struct agents *)views.agents, &row, &why), HM_OK, "%s: %s", body, why.detail);
}

static void task_row(const char *id, const char *body)
{
	const struct store_row row = {RECORD_TASK, id, 1, body, strlen(body)};
	cr_assert_eq(tasks_take((struct tasks *)views.tasks, &row, &why), HM_OK, "%s: %s", body, why.detail);
}

static void begin(void)
{
	profile = (struct config_profile){.name = "a-access",
		.issuer = "a",
		.kind = KIND_ACCESS_TOKEN,
		.lifetime = {300, 900},
		.audiences = audiences,
		.audiences_count = 1,
		.subjects = subjects,
		.subjects_count = 1,
		.scopes = scopes,
		.scopes_count = 3,
		.callers = profile_callers,
		.callers_count = 1};
	views = (struct policy_views){agents_open(), tasks_open(), approvals_open(), NOW};
	granted = (struct policy_granted){0};
	request = (struct mint_request){.profile = "a-access",
		.subject = AGENT,
		.audiences = {"https://api.a.test"},
		.audience_count = 1,
		.scope = "read"};
}

static void finish(void)
{
	agents_close((struct agents *)views.agents);
	tasks_close((struct tasks *)views.tasks);
	approvals_close((struct approvals *)views.approvals);
}

TestSuite(policy_governance, .init = begin, .fini = finish);

static hm_result decide(void)
{
	why = (struct hm_problem){0};
	return policy_decide(&config, &views, &granted, &caller, &request, &decision, &why);
}

static void expect(const char *code, const char *field)
{
	hm_result result = decide();
	if (!code) {
		cr_expect_eq(result, HM_OK, "%s: %s", why.code, why.detail);
		return;
	}
	cr_expect_eq(result, HM_REFUSED, "%s", code);
	cr_expect_str_eq(why.code ? why.code : "", code);
	if (field)
		cr_expect_str_eq(why.field, field, "%s", code);
}

#define AGENT_ROW(status, owner, review, more)                                                               \
	"{\"class\":false,\"contact\":\"\",\"created\":1,\"id\":\"" AGENT_ID "\"," more "\"owner\":\"" owner \
	"\",\"purpose\":\"test\",\"review\":" review ",\"status\":\"" status "\"}"
#define GOOD_AGENT AGENT_ROW("active", "alice", "200000", "")
#define TASK_ROW(agent, state, expires, more)                                        \
	"{\"agent\":\"" agent "\"," more "\"caller\":\"local\",\"expires\":" expires \
	",\"issuer\":\"a\",\"opened\":1,\"purpose\":\"test\",\"state\":\"" state "\"}"

/* ---- agents ---- */

Test(policy_governance, nobody_gets_anything_who_is_not_registered)
{
	expect("unknown_agent", "subject");
	agent_row(OTHER, GOOD_AGENT);
	expect("unknown_agent", "subject");
}

Test(policy_governance, an_agent_is_active_owned_and_reviewed)
{
	static const struct {
		const char *row, *code;
	} cases[] = {{GOOD_AGENT, NULL}, {AGENT_ROW("suspended", "alice", "200000", ""), "agent_suspended"},
		{AGENT_ROW("retired", "alice", "200000", ""), "agent_retired"},
		{AGENT_ROW("active", "", "200000", ""), "agent_unowned"},
		{AGENT_ROW("active", "alice", "100001", ""), NULL},
		{AGENT_ROW("active", "alice", "100000", ""), "agent_review_due"},
		{AGENT_ROW("active", "alice", "1", ""), "agent_review_due"}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		finish();
		begin();
		agent_row(AGENT, cases[i].row);
		expect(cases[i].code, NULL);
	}
}

Test(policy_governance, an_instance_that_is_not_there_yet_has_its_class)
{
	agent_row("spiffe://a.test/agent/*",
		"{\"class\":true,\"contact\":\"\",\"created\":1,\"id\":\"" AGENT_ID
		"\",\"owner\":\"alice\",\"purpose\":\"test\",\"review\":200000,\"status\":\"active\"}");
	expect(NULL, NULL);
	cr_expect_null(decision.agent);
	cr_assert_not_null(decision.accountable);
	cr_expect_str_eq(decision.accountable->owner, "alice");
}

Test(policy_governance, an_agent_may_have_less_than_the_profile_gives)
{
#define LIMITED(limits) AGENT_ROW("active", "alice", "200000", "\"limits\":{" limits "},")
	static const struct {
		const char *row, *field; /* NULL: it may */
	} cases[] = {{LIMITED("\"scopes\":[\"read\"]"), NULL}, {LIMITED("\"scopes\":[\"write\"]"), "scope"},
		{LIMITED("\"audiences\":[\"https://api.*\"]"), NULL},
		{LIMITED("\"audiences\":[\"https://other.a.test\"]"), "audience"},
		{LIMITED("\"kinds\":[\"at+jwt\"]"), NULL}, {LIMITED("\"kinds\":[\"jwt-svid\"]"), "profile"},
		{LIMITED("\"lifetime\":60"), NULL}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		finish();
		begin();
		agent_row(AGENT, cases[i].row);
		expect(cases[i].field ? "agent_limit" : NULL, cases[i].field);
	}
	cr_expect_eq(decision.lifetime, 60, "the profile's default, cut");
	request.lifetime = 61;
	expect("agent_limit", "lifetime");
}

/* ---- tasks ---- */

Test(policy_governance, a_profile_may_require_a_task)
{
	agent_row(AGENT, GOOD_AGENT);
	expect(NULL, NULL);
	profile.require = REQUIRE_TASK;
	expect("missing_member", "task");
	request.task_id = TASK_ID;
	expect("unknown_task", "task");
	task_row(TASK_ID, TASK_ROW(AGENT, "open", "200000", ""));
	expect(NULL, NULL);
	cr_expect_str_eq(decision.task->id, TASK_ID);
}

Test(policy_governance, a_task_is_open_of_this_agent_and_wide_enough)
{
	static const struct {
		const char *row, *code, *field;
	} cases[] = {{TASK_ROW(AGENT, "open", "200000", ""), NULL, NULL},
		{TASK_ROW(AGENT, "paused", "200000", ""), "task_paused", NULL},
		{TASK_ROW(AGENT, "completed", "200000", "\"ended\":5,"), "task_ended", NULL},
		{TASK_ROW(AGENT, "cancelled", "200000", "\"ended\":5,"), "task_ended", NULL},
		{TASK_ROW(AGENT, "open", "100000", ""), "task_expired", NULL},
		{TASK_ROW(OTHER, "open", "200000", ""), "unknown_task", NULL},
		{TASK_ROW(AGENT, "open", "200000", "\"audiences\":[\"https://other.a.test\"],"), "task_limit",
			"audience"},
		{TASK_ROW(AGENT, "open", "200000", "\"scopes\":[\"write\"],"), "task_limit", "scope"},
		{TASK_ROW(AGENT, "open", "200000", "\"scopes\":[\"read\",\"write\"],"), NULL, NULL}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		finish();
		begin();
		agent_row(AGENT, GOOD_AGENT);
		task_row(TASK_ID, cases[i].row);
		request.task_id = TASK_ID;
		expect(cases[i].code, cases[i].field);
	}
}

Test(policy_governance, nothing_outlives_its_task)
{
	agent_row(AGENT, GOOD_AGENT);
	task_row(TASK_ID, TASK_ROW(AGENT, "open", "100100", ""));
	request.task_id = TASK_ID;
	expect(NULL, NULL);
	cr_expect_eq(decision.lifetime, 100);
	request.lifetime = 99;
	expect(NULL, NULL);
	cr_expect_eq(decision.lifetime, 99);
}

Test(policy_governance, what_a_parent_is_its_child_is)
{
	agent_row(AGENT, GOOD_AGENT);
	task_row(TASK_ID, TASK_ROW(AGENT, "open", "200000", "\"parent\":\"" PARENT_ID "\","));
	task_row(PARENT_ID, TASK_ROW(OTHER, "paused", "200000", ""));
	request.task_id = TASK_ID;
	expect("task_paused", NULL);
}

Test(policy_governance, a_task_that_is_named_for_the_first_time_is_to_be_opened)
{
	agent_row(AGENT, GOOD_AGENT);
	profile.require = REQUIRE_TASK;
	request.task = json_loads("{\"ref\":\"mine\",\"purpose\":\"test\"}", 0, NULL);
	expect(NULL, NULL);
	cr_expect(decision.opens_task);
	json_decref(request.task);
}

Test(policy_governance, a_profile_may_say_how_many_a_task_gets)
{
	agent_row(AGENT, GOOD_AGENT);
	task_row(TASK_ID, TASK_ROW(AGENT, "open", "200000", "\"struck\":2,"));
	request.task_id = TASK_ID;
	profile.require = REQUIRE_TASK;
	profile.max_per_task = 3;
	expect(NULL, NULL);
	cr_expect(decision.counts);
	profile.max_per_task = 2;
	expect("task_limit", "task");
	granted.struck = true; /* the second of them is this one */
	expect(NULL, NULL);
	cr_expect_not(decision.counts);
}

/* ---- approvals ---- */

static void asked_row(const char *hash, const char *approvers, const char *more, const char *expires)
{
	char body[1024];
	snprintf(body, sizeof body,
		"{\"approvers\":[%s],\"asked\":1,\"caller\":\"local\",\"expires\":%s,\"hash\":\"%s\",\"issuer\":\"a\","
		"\"request\":{},%s\"wanted\":2}",
		approvers, expires, hash, more);
	const struct store_row row = {RECORD_APPROVAL, ASKED_ID, 1, body, strlen(body)};
	cr_assert_eq(approvals_take((struct approvals *)views.approvals, &row, &why), HM_OK, "%s", why.detail);
}

Test(policy_governance, what_is_sensitive_needs_others)
{
	agent_row(AGENT, GOOD_AGENT);
	profile.approve = &approve;
	expect(NULL, NULL);
	cr_expect_eq(decision.approvers, 0, "read is not sensitive");
	request.scope = "read admin";
	expect(NULL, NULL);
	cr_expect_eq(decision.approvers, 2);
	cr_expect_eq(decision.approve_within, 900);
	cr_expect_eq(strlen(decision.hash), 43);
}

Test(policy_governance, an_approval_is_whole_of_this_request_and_unused)
{
	char hash[44];
	agent_row(AGENT, GOOD_AGENT);
	profile.approve = &approve;
	request.scope = "read admin";
	expect(NULL, NULL);
	memcpy(hash, decision.hash, sizeof hash);
	request.approval = ASKED_ID;
	expect("unknown_approval", "approval");
	asked_row(hash, "\"bob\"", "", "200000");
	expect("approval_pending", "approval");
	asked_row(hash, "\"bob\",\"carol\"", "", "200000");
	expect(NULL, NULL);
	cr_expect_eq(decision.approvers, 0);
	cr_expect_str_eq(decision.approval->id, ASKED_ID);
	asked_row(hash, "\"bob\",\"carol\"", "", "100000");
	expect("approval_expired", "approval");
	asked_row(hash, "\"bob\",\"carol\"", "\"used\":true,", "200000");
	expect("approval_used", "approval");
	granted.approval = true; /* by this one */
	expect(NULL, NULL);
	granted.approval = false;
	asked_row("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "\"bob\",\"carol\"", "", "200000");
	expect("approval_mismatch", "approval");
}

/* ---- explained ---- */

static void keep_last(void *context, const char *rule, hm_result result, const struct hm_problem *problem)
{
	(void)problem;
	if (result != HM_OK)
		snprintf(context, 64, "%s", rule);
}

Test(policy_governance, the_rule_that_says_no_is_named)
{
	char rule[64] = "";
	agent_row(AGENT, GOOD_AGENT);
	task_row(TASK_ID, TASK_ROW(AGENT, "paused", "200000", ""));
	request.task_id = TASK_ID;
	cr_expect_eq(policy_explain(&config, &views, &caller, &request, &decision, keep_last, rule, &why), HM_REFUSED);
	cr_expect_str_eq(rule, "task");
	cr_expect_str_eq(why.code, "task_paused");
}
