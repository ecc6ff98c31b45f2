/* SPDX-License-Identifier: Apache-2.0 */
/* What a token that is exchanged lets the next one be. */
#include "delegation.h"
#include "config.h"
#include "mint_request.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ACTOR "spiffe://a.test/agent/actor"
#define TOKEN "AAAAAAAAAAAAAAAAAAAAAA"

static struct hm_problem why;
static struct delegation token;
static json_t *payload;

static void begin(void)
{
	payload = json_object();
	token = (struct delegation){.payload = payload,
		.sub = "staff:alice",
		.scope = "read write",
		.task = "",
		.from = TOKEN,
		.kid = "key",
		.expires = 1000};
}

static void end(void)
{
	json_decref(payload);
}

TestSuite(delegation, .init = begin, .fini = end);

/* ---- no more than the token had ---- */

static void expect(const struct config_exchange *exchange, unsigned depth, const char *members, const char *code)
{
	char text[1024];
	MINT_REQUEST_AUTO request = {.body = NULL};
	snprintf(text, sizeof text, "{\"profile\":\"p\",\"subject\":\"" ACTOR "\"%s}", members);
	json_t *body = json_loads(text, 0, NULL);
	cr_assert_eq(mint_request_read(body, &request, &why), HM_OK, "%s: %s", text, why.detail);
	hm_result result = delegation_check(&token, &request, exchange, depth, &why);
	if (!code)
		cr_expect_eq(result, HM_OK, "%s: %s %s", members, why.code, why.detail);
	else
		cr_expect(result == HM_REFUSED && strcmp(why.code, code) == 0, "%s: %s", members,
			result == HM_OK ? "allowed" : why.code);
}

Test(delegation, scopes_are_those_of_the_token)
{
	static const struct {
		const char *token, *asked, *code;
	} cases[] = {{"read write", "", NULL}, {"read write", ",\"scope\":\"read\"", NULL},
		{"read write", ",\"scope\":\"write read\"", NULL},
		{"read", ",\"scope\":\"read write\"", "scope_not_allowed"},
		{"read", ",\"scope\":\"rea\"", "scope_not_allowed"},
		{"read", ",\"scope\":\"readx\"", "scope_not_allowed"},
		{"read", ",\"scope\":\"READ\"", "scope_not_allowed"}, {"", ",\"scope\":\"read\"", "scope_not_allowed"},
		{"reads write", ",\"scope\":\"read\"", "scope_not_allowed"}, {NULL, ",\"scope\":\"anything\"", NULL}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char members[256];
		token.scope = cases[i].token;
		snprintf(members, sizeof members, ",\"audience\":\"https://x\"%s", cases[i].asked);
		expect(NULL, 4, members, cases[i].code);
	}
}

Test(delegation, audiences_are_those_of_the_token)
{
	static const struct {
		const char *token, *asked, *code;
	} cases[] = {{"\"https://a\"", "\"https://a\"", NULL}, {"[\"https://a\",\"https://b\"]", "\"https://b\"", NULL},
		{"[\"https://a\",\"https://b\"]", "[\"https://b\",\"https://a\"]", NULL},
		{"\"https://a\"", "\"https://a/\"", "audience_not_allowed"},
		{"\"https://a\"", "[\"https://a\",\"https://b\"]", "audience_not_allowed"},
		{"\"https://*\"", "\"https://a\"", "audience_not_allowed"},
		{"[]", "\"https://a\"", "audience_not_allowed"}, {"[7,null]", "\"https://a\"", "audience_not_allowed"},
		{"{}", "\"https://a\"", "audience_not_allowed"}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char members[256];
		json_t *audience = json_loads(cases[i].token, JSON_DECODE_ANY, NULL);
		token.audience = audience;
		snprintf(members, sizeof members, ",\"audience\":%s", cases[i].asked);
		expect(NULL, 4, members, cases[i].code);
		json_decref(audience);
	}
}

Test(delegation, a_chain_has_as_many_actors_as_it_may)
{
	for (token.depth = 0; token.depth < 4; token.depth++) {
		expect(NULL, token.depth + 1, ",\"audience\":\"x:y\"", NULL);
		expect(NULL, token.depth, ",\"audience\":\"x:y\"", "delegation_refused");
	}
}

Test(delegation, may_act_names_the_only_actor)
{
	static const struct {
		const char *may_act, *code;
	} cases[] = {{"{\"sub\":\"" ACTOR "\"}", NULL}, {"{\"sub\":\"" ACTOR "x\"}", "delegation_refused"},
		{"{\"sub\":7}", "delegation_refused"}, {"{}", "delegation_refused"}, {"null", "delegation_refused"},
		{"\"" ACTOR "\"", "delegation_refused"}, {"[{\"sub\":\"" ACTOR "\"}]", "delegation_refused"},
		{"{\"sub\":\"" ACTOR "\",\"iss\":\"https://other\"}", "delegation_refused"}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		json_object_set_new(payload, "may_act", json_loads(cases[i].may_act, JSON_DECODE_ANY, NULL));
		expect(NULL, 4, ",\"audience\":\"x:y\"", cases[i].code);
	}
}

Test(delegation, a_providers_token_is_exchanged_where_the_profile_names_it_and_a_group_of_its)
{
	static char *trust[] = {"staff", "guests"}, *groups[] = {"staff:engineers", "staff:ops"};
	const struct config_trust staff = {.name = "staff"}, guests = {.name = "guests"}, other = {.name = "other"};
	struct config_exchange exchange = {.depth = 4, .trust = trust, .trust_count = 2};
	static const char asked[] = ",\"audience\":\"x:y\"";
	token.by = &staff;
	expect(NULL, 4, asked, "delegation_refused");
	expect(&exchange, 4, asked, NULL);
	exchange.groups = groups;
	exchange.groups_count = 2;
	expect(&exchange, 4, asked, "delegation_refused");
	json_t *in = json_pack("[s, s]", "x", "ops"), *out = json_pack("[s, s]", "staff:ops", "op");
	token.groups = in;
	expect(&exchange, 4, asked, NULL);
	token.by = &guests;
	expect(&exchange, 4, asked, "delegation_refused");
	token.by = &staff;
	token.groups = out;
	expect(&exchange, 4, asked, "delegation_refused");
	exchange.groups_count = 0;
	token.by = &other;
	expect(&exchange, 4, asked, "delegation_refused");
	token.by = NULL;
	expect(&exchange, 4, asked, NULL);
	json_decref(in);
	json_decref(out);
}

Test(delegation, impersonation_begins_where_nobody_acts)
{
	const struct config_exchange exchange = {.depth = 4, .impersonation = true};
	expect(&exchange, 4, ",\"audience\":\"x:y\"", NULL);
	token.act = payload;
	expect(&exchange, 4, ",\"audience\":\"x:y\"", "delegation_refused");
	expect(NULL, 4, ",\"audience\":\"x:y\"", NULL);
}

/* ---- the task ---- */

Test(delegation, each_actor_has_one_task_of_a_token)
{
	struct tasks *tasks = tasks_open();
	json_t *one = delegation_task(&token, tasks, ACTOR), *again = delegation_task(&token, tasks, ACTOR),
	       *other = delegation_task(&token, tasks, ACTOR "/other");
	cr_assert(json_equal(one, again));
	const char *ref = json_string_value(json_object_get(one, "ref"));
	cr_assert_eq(strncmp(ref, "exchange:" TOKEN ":key:", strlen("exchange:" TOKEN ":key:")), 0, "%s", ref);
	cr_assert_str_neq(ref, json_string_value(json_object_get(other, "ref")));
	cr_expect_str_eq(json_string_value(json_object_get(one, "on_behalf_of")), "staff:alice");
	cr_expect_eq(json_integer_value(json_object_get(one, "expires")), 1000);
	cr_expect_null(json_object_get(one, "parent"));
	json_decref(one);
	json_decref(again);
	json_decref(other);
	tasks_close(tasks);
}

/* ---- everybody between ---- */

Test(delegation, a_link_is_the_agent_above_or_who_it_is_on_behalf_of)
{
	struct task above = {.agent = "spiffe://a.test/agent/above", .ref = "", .on_behalf_of = ""};
	struct task task = {
		.agent = ACTOR, .ref = "exchange:" TOKEN ":x", .on_behalf_of = "staff:alice", .parent = &above};
	cr_assert_str_eq(delegation_link(&task), "spiffe://a.test/agent/above");
	task.parent = NULL;
	cr_assert_null(delegation_link(&task), "a person is no agent");
	task.on_behalf_of = "spiffe://a.test/agent/first";
	cr_assert_str_eq(delegation_link(&task), "spiffe://a.test/agent/first");
	task.ref = "run-1";
	cr_assert_null(delegation_link(&task), "no exchange opened it");
}

static void put_agent(struct agents *agents, const char *status)
{
	static uint64_t version;
	char body[512];
	snprintf(body, sizeof body,
		"{\"class\":false,\"contact\":\"\",\"created\":1,\"id\":\"AAAAAAAAAAAAAAAAAAAAAA\",\"owner\":\"o\","
		"\"purpose\":\"p\",\"review\":4102444800,\"status\":\"%s\"}",
		status);
	const struct store_row row = {RECORD_AGENT, "a spiffe://a.test/agent/above", ++version, body, strlen(body)};
	cr_assert_eq(agents_take(agents, &row, &why), HM_OK, "%s", why.detail);
}

Test(delegation, who_is_suspended_refuses_for_all_below)
{
	struct agents *agents = agents_open();
	struct task above = {.issuer = "a", .agent = "spiffe://a.test/agent/above", .ref = "", .on_behalf_of = ""};
	struct task hop = {
		.issuer = "a", .agent = ACTOR, .ref = "exchange:" TOKEN ":x", .on_behalf_of = "s:a", .parent = &above};
	struct task child = {.issuer = "a", .agent = ACTOR, .ref = "", .on_behalf_of = "", .parent = &hop};
	cr_expect_eq(delegation_links(agents, NULL, 1, &why), HM_OK);
	cr_expect_eq(delegation_links(agents, &above, 1, &why), HM_OK, "it stands by itself");
	cr_expect_eq(delegation_links(agents, &hop, 1, &why), HM_REFUSED, "nobody knows it");
	put_agent(agents, "active");
	cr_expect_eq(delegation_links(agents, &hop, 1, &why), HM_OK, "%s", why.detail);
	cr_expect_eq(delegation_links(agents, &child, 1, &why), HM_OK, "%s", why.detail);
	put_agent(agents, "suspended");
	cr_expect_eq(delegation_links(agents, &hop, 1, &why), HM_REFUSED);
	cr_expect_str_eq(why.code, "agent_suspended");
	cr_expect_eq(delegation_links(agents, &child, 1, &why), HM_REFUSED);
	cr_expect_eq(delegation_links(agents, &above, 1, &why), HM_OK);
	agents_close(agents);
}
