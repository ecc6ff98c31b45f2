/* SPDX-License-Identifier: Apache-2.0 */
#include "agent_api.h"

#include "agents.h"
#include "changes.h"
#include "problem.h"
#include "service.h"
#include <criterion/criterion.h>
#include <stdio.h>

enum { NOW = 1760000000 };
#define LATER "1790000000"

static struct config_issuer issuers[] = {
	{.name = "a", .trust_domain = "a.test"},
	{.name = "b", .trust_domain = "b.test"},
};
static struct config config = {.issuers = issuers, .issuers_count = 2};
static struct service *service;
static struct api_call call;
static struct hm_problem why;
static uint64_t sequence;

static void begin(void)
{
	service = calloc(1, sizeof *service);
	cr_assert_not_null(service);
	service->config = &config;
	service->agents = agents_open();
	cr_assert_not_null(service->agents);
	sequence = 0;
}

static void forget_call(void)
{
	json_decref(call.body);
	json_decref(call.query);
	json_decref(call.answer);
	json_decref(call.entry);
	changes_close(call.changes);
	call = (struct api_call){0};
}

static void end(void)
{
	forget_call();
	agents_close(service->agents);
	free(service);
}

TestSuite(agent_api, .init = begin, .fini = end);

/* As api.c: what changes is given to the view before the answer goes out. */
static void commit(void)
{
	sequence++;
	for (size_t i = 0; call.changes && i < call.changes->count; i++) {
		const struct change *put = &call.changes->items[i];
		const struct agent *agent = agents_find(service->agents, "a", strchr(put->key, ' ') + 1);
		cr_assert_eq(put->seen, agent ? agent->version : 0, "%s is not what it was decided on", put->key);
		cr_assert_eq(agents_take(service->agents,
				     &(struct store_row){put->kind, put->key, sequence, put->body, put->length}, &why),
			HM_OK, "%s", why.detail);
	}
}

static hm_result run(api_operation *operation, const char *issuer, const char *id, const char *query, const char *body)
{
	forget_call();
	why = (struct hm_problem){0};
	call = (struct api_call){.service = service,
		.issuer = issuer,
		.id = id,
		.query = query ? json_loads(query, 0, NULL) : json_object(),
		.body = body ? json_loads(body, 0, NULL) : NULL,
		.now = NOW};
	cr_assert(!body || call.body, "%s", body);
	hm_result result = operation(&call, &why);
	if (result == HM_OK)
		commit();
	return result;
}

static void expect_ok(int status)
{
	cr_assert_null(why.code, "%s %s: %s", why.code, why.field, why.detail);
	cr_expect_eq(call.status, status);
	cr_expect_not_null(call.answer);
	cr_expect_eq(call.changes != NULL, call.entry != NULL, "what changes is recorded, and nothing else");
}

static void expect_refused(const char *code, const char *field)
{
	cr_expect_str_eq(why.code ? why.code : "", code, "%s: %s", why.field, why.detail);
	cr_expect_str_eq(why.field, field);
	cr_expect_str_eq(problem_kind(code)->code, code);
}

static const char *answered(const char *name)
{
	const char *text = json_string_value(json_object_get(call.answer, name));
	return text ? text : "";
}

static const char *recorded(const char *name)
{
	const char *text = json_string_value(json_object_get(call.entry, name));
	return text ? text : "";
}

#define AGENT(spiffe_id, more) \
	"{\"spiffe_id\":\"" spiffe_id "\",\"owner\":\"team-a\",\"purpose\":\"answers mail\",\"review\":" LATER more "}"
#define ONE "spiffe://a.test/one"

/* Adds it, and gives its id. */
static const char *add(const char *body)
{
	static char id[HM_ID_MAX + 1];
	cr_assert_eq(run(agent_api_add, "a", NULL, NULL, body), HM_OK, "%s %s", why.code, why.field);
	snprintf(id, sizeof id, "%s", answered("id"));
	return id;
}

static const char *add_instance(const char *class, const char *spiffe_id)
{
	static char id[HM_ID_MAX + 1];
	forget_call();
	call.changes = changes_open();
	cr_assert(agents_put_instance(call.changes, agents_find(service->agents, "a", class), spiffe_id, NOW));
	commit();
	snprintf(id, sizeof id, "%s", agents_find(service->agents, "a", spiffe_id)->id);
	return id;
}

/* ---- adding ---- */

Test(agent_api, an_agent_is_added_shown_and_found)
{
	char id[HM_ID_MAX + 1];
	snprintf(id, sizeof id, "%s",
		add(AGENT(ONE,
			",\"contact\":\"oncall\",\"class\":false,\"limits\":{\"audiences\":[\"https://"
			"*."
			"a.test\"],\"scopes\":[\"read\"],\"kinds\":[\"jwt-svid\"],\"lifetime\":60,\"depth\":2}")));
	expect_ok(201);
	cr_expect_eq(strlen(id), HM_ID_MAX);
	cr_expect_str_eq(call.entry_type, "agent");
	cr_expect_str_eq(recorded("agent"), ONE);
	cr_expect_str_eq(recorded("id"), id);
	cr_expect_str_eq(recorded("owner"), "team-a");
	run(agent_api_show, "a", id, NULL, NULL);
	expect_ok(200);
	char *text = json_dumps(call.answer, JSON_COMPACT | JSON_SORT_KEYS);
	char expected[1024];
	snprintf(expected, sizeof expected,
		"{\"class\":false,\"contact\":\"oncall\",\"created\":1760000000,\"id\":\"%s\",\"issuer\":\"a\","
		"\"limits\":"
		"{\"audiences\":[\"https://"
		"*.a.test\"],\"depth\":2,\"kinds\":[\"jwt-svid\"],\"lifetime\":60,\"scopes\":[\"read\"]},"
		"\"owner\":\"team-a\",\"purpose\":\"answers mail\",\"review\":1790000000,\"spiffe_id\":\"" ONE
		"\",\"status\":\"active\"}",
		id);
	cr_expect_str_eq(text, expected);
	free(text);
	run(agent_api_list, "a", NULL, "{\"spiffe_id\":\"" ONE "\"}", NULL);
	expect_ok(200);
	cr_expect_eq(json_array_size(json_object_get(call.answer, "agents")), 1);
}

Test(agent_api, the_same_again_changes_nothing_and_another_content_is_refused)
{
	static const char *const others[] = {
		"{\"spiffe_id\":\"" ONE "\",\"owner\":\"team-b\",\"purpose\":\"answers mail\",\"review\":" LATER "}",
		"{\"spiffe_id\":\"" ONE "\",\"owner\":\"team-a\",\"purpose\":\"other\",\"review\":" LATER "}",
		"{\"spiffe_id\":\"" ONE "\",\"owner\":\"team-a\",\"purpose\":\"answers mail\",\"review\":1790000001}",
		AGENT(ONE, ",\"contact\":\"x\""),
		AGENT(ONE, ",\"limits\":{\"depth\":1}"),
	};
	char id[HM_ID_MAX + 1];
	snprintf(id, sizeof id, "%s", add(AGENT(ONE, "")));
	static const char *const same[] = {AGENT(ONE, ""), AGENT(ONE, ",\"contact\":\"\""),
		AGENT(ONE, ",\"class\":false,\"limits\":{}"), AGENT(ONE, ",\"limits\":{\"depth\":8}")};
	for (unsigned i = 0; i < sizeof same / sizeof *same; i++) {
		run(agent_api_add, "a", NULL, NULL, same[i]);
		expect_ok(200);
		cr_expect_null(call.changes);
		cr_expect_str_eq(answered("id"), id);
	}
	for (unsigned i = 0; i < sizeof others / sizeof *others; i++) {
		cr_expect_eq(run(agent_api_add, "a", NULL, NULL, others[i]), HM_REFUSED);
		expect_refused("agent_exists", "spiffe_id");
	}
	run(agent_api_suspend, "a", id, NULL, NULL);
	run(agent_api_add, "a", NULL, NULL, AGENT(ONE, ""));
	expect_ok(200);
	cr_expect_str_eq(answered("status"), "suspended", "adding it again does not resume it");
}

Test(agent_api, what_is_known_is_unchanged_even_when_its_review_is_due)
{
	add("{\"spiffe_id\":\"" ONE "\",\"owner\":\"o\",\"purpose\":\"p\",\"review\":1760000001}");
	forget_call();
	why = (struct hm_problem){0};
	call = (struct api_call){.service = service,
		.issuer = "a",
		.body = json_loads(
			"{\"spiffe_id\":\"" ONE "\",\"owner\":\"o\",\"purpose\":\"p\",\"review\":1760000001}", 0, NULL),
		.now = NOW + 100};
	cr_expect_eq(agent_api_add(&call, &why), HM_OK);
	expect_ok(200);
}

Test(agent_api, an_instance_is_not_registered_over)
{
	add(AGENT("spiffe://a.test/ci/*", ",\"class\":true"));
	add_instance("spiffe://a.test/ci/*", "spiffe://a.test/ci/7");
	run(agent_api_add, "a", NULL, NULL, AGENT("spiffe://a.test/ci/7", ""));
	expect_refused("agent_exists", "spiffe_id");
}

#define X16             "xxxxxxxxxxxxxxxx"
#define X64             X16 X16 X16 X16
#define X256            X64 X64 X64 X64
#define X1024           X256 X256 X256 X256
#define LIMITS(members) AGENT(ONE, ",\"limits\":{" members "}")

static const struct {
	const char *body, *code, *field;
} malformed[] = {
	{"{}", "missing_member", "spiffe_id"},
	{"{\"spiffe_id\":\"" ONE "\",\"purpose\":\"p\",\"review\":" LATER "}", "missing_member", "owner"},
	{"{\"spiffe_id\":\"" ONE "\",\"owner\":\"o\",\"review\":" LATER "}", "missing_member", "purpose"},
	{"{\"spiffe_id\":\"" ONE "\",\"owner\":\"o\",\"purpose\":\"p\"}", "missing_member", "review"},
	{AGENT(ONE, ",\"surprise\":1"), "unknown_member", "surprise"},
	{AGENT(ONE, ",\"status\":\"retired\""), "unknown_member", "status"},
	{AGENT(ONE, ",\"id\":\"AAAAAAAAAAAAAAAAAAAAAA\""), "unknown_member", "id"},
	{AGENT(ONE, ",\"of\":\"spiffe://a.test/*\""), "unknown_member", "of"},
	{AGENT(ONE, ",\"contact\":1"), "wrong_type", "contact"},
	{AGENT(ONE, ",\"contact\":null"), "wrong_type", "contact"},
	{AGENT(ONE, ",\"class\":\"true\""), "wrong_type", "class"},
	{AGENT(ONE, ",\"class\":1"), "wrong_type", "class"},
	{AGENT(ONE, ",\"issuer\":\"a\""), "unknown_member", "issuer"}, /* api.c has taken it */
	{AGENT(ONE, ",\"limits\":[]"), "wrong_type", "limits"},
	{AGENT(ONE, ",\"contact\":\"" X256 "x\""), "invalid_member", "contact"},
	{AGENT(ONE, ",\"contact\":\"a\\nb\""), "invalid_member", "contact"},
	{AGENT(ONE, ",\"contact\":\"a\\u007fb\""), "invalid_member", "contact"},
	{"{\"spiffe_id\":1,\"owner\":\"o\",\"purpose\":\"p\",\"review\":" LATER "}", "wrong_type", "spiffe_id"},
	{"{\"spiffe_id\":\"" ONE "\",\"owner\":1,\"purpose\":\"p\",\"review\":" LATER "}", "wrong_type", "owner"},
	{"{\"spiffe_id\":\"" ONE "\",\"owner\":\"\",\"purpose\":\"p\",\"review\":" LATER "}", "invalid_member",
		"owner"},
	{"{\"spiffe_id\":\"" ONE "\",\"owner\":\"" X256 "x\",\"purpose\":\"p\",\"review\":" LATER "}", "invalid_member",
		"owner"},
	{"{\"spiffe_id\":\"" ONE "\",\"owner\":\"o\",\"purpose\":\"\",\"review\":" LATER "}", "invalid_member",
		"purpose"},
	{"{\"spiffe_id\":\"" ONE "\",\"owner\":\"o\",\"purpose\":\"" X1024 "x\",\"review\":" LATER "}",
		"invalid_member", "purpose"},
	{"{\"spiffe_id\":\"" ONE "\",\"owner\":\"o\",\"purpose\":\"p\",\"review\":\"soon\"}", "wrong_type", "review"},
	{"{\"spiffe_id\":\"" ONE "\",\"owner\":\"o\",\"purpose\":\"p\",\"review\":1790000000.5}", "wrong_type",
		"review"},
	{"{\"spiffe_id\":\"" ONE "\",\"owner\":\"o\",\"purpose\":\"p\",\"review\":0}", "invalid_member", "review"},
	{"{\"spiffe_id\":\"" ONE "\",\"owner\":\"o\",\"purpose\":\"p\",\"review\":1760000000}", "invalid_member",
		"review"},
	{"{\"spiffe_id\":\"" ONE "\",\"owner\":\"o\",\"purpose\":\"p\",\"review\":9007199254740992}", "invalid_member",
		"review"},
	{AGENT("", ""), "invalid_member", "spiffe_id"},
	{AGENT("agent", ""), "invalid_member", "spiffe_id"},
	{AGENT("spiffe://a.test", ""), "invalid_member", "spiffe_id"},
	{AGENT("spiffe://a.test/a//b", ""), "invalid_member", "spiffe_id"},
	{AGENT("spiffe://b.test/one", ""), "invalid_member", "spiffe_id"},
	{AGENT("spiffe://a.test.b/one", ""), "invalid_member", "spiffe_id"},
	{AGENT("spiffe://a.test/*", ""), "invalid_member", "spiffe_id"},
	{AGENT("spiffe://a.test/" X1024 X1024, ""), "invalid_member", "spiffe_id"},
	{AGENT(ONE, ",\"class\":true"), "invalid_member", "spiffe_id"}, /* it matches one alone */
	{AGENT("*", ",\"class\":true"), "invalid_member", "spiffe_id"},
	{AGENT("spiffe://*/one", ",\"class\":true"), "invalid_member", "spiffe_id"},
	{AGENT("spiffe://a.test*/one", ",\"class\":true"), "invalid_member", "spiffe_id"},
	{AGENT("spiffe://b.test/*", ",\"class\":true"), "invalid_member", "spiffe_id"},
	{AGENT("spiffe://a.test/*/", ",\"class\":true"), "invalid_member", "spiffe_id"},
	{AGENT("spiffe://a.test/a b*", ",\"class\":true"), "invalid_member", "spiffe_id"},
	{LIMITS("\"surprise\":1"), "unknown_member", "limits.surprise"},
	{LIMITS("\"audiences\":\"x\""), "wrong_type", "limits.audiences"},
	{LIMITS("\"audiences\":[]"), "invalid_member", "limits.audiences"},
	{LIMITS("\"audiences\":[\"x\",1]"), "wrong_type", "limits.audiences[1]"},
	{LIMITS("\"audiences\":[\"\"]"), "invalid_member", "limits.audiences[0]"},
	{LIMITS("\"audiences\":[\"a b\"]"), "invalid_member", "limits.audiences[0]"},
	{LIMITS("\"audiences\":[\"" X256 X256 "x\"]"), "invalid_member", "limits.audiences[0]"},
	{LIMITS("\"scopes\":[\"" X64 "x\"]"), "invalid_member", "limits.scopes[0]"},
	{LIMITS("\"scopes\":[\"a\",\"a b\"]"), "invalid_member", "limits.scopes[1]"},
	{LIMITS("\"scopes\":[\"a\",\"b\",\"a\"]"), "invalid_member", "limits.scopes[2]"},
	{LIMITS("\"kinds\":[]"), "invalid_member", "limits.kinds"},
	{LIMITS("\"kinds\":\"at+jwt\""), "wrong_type", "limits.kinds"},
	{LIMITS("\"kinds\":[\"x509\"]"), "invalid_member", "limits.kinds"},
	{LIMITS("\"kinds\":[1]"), "invalid_member", "limits.kinds"},
	{LIMITS("\"lifetime\":\"1m\""), "wrong_type", "limits.lifetime"},
	{LIMITS("\"lifetime\":0"), "invalid_member", "limits.lifetime"},
	{LIMITS("\"lifetime\":86401"), "invalid_member", "limits.lifetime"},
	{LIMITS("\"lifetime\":4294967297"), "invalid_member", "limits.lifetime"},
	{LIMITS("\"depth\":-1"), "invalid_member", "limits.depth"},
	{LIMITS("\"depth\":9"), "invalid_member", "limits.depth"},
};

enum { MALFORMED = sizeof malformed / sizeof *malformed };

Test(agent_api, what_is_malformed_is_refused_by_its_member)
{
	for (unsigned i = 0; i < MALFORMED; i++) {
		cr_expect_eq(
			run(agent_api_add, "a", NULL, NULL, malformed[i].body), HM_REFUSED, "%s", malformed[i].body);
		expect_refused(malformed[i].code, malformed[i].field);
		cr_expect_null(call.entry);
	}
	cr_expect_eq(run(agent_api_add, "a", NULL, NULL, NULL), HM_REFUSED, "no body");
	cr_expect_eq(agents_count(service->agents), 0);
}

Test(agent_api, what_is_at_its_limit_is_taken)
{
	add("{\"spiffe_id\":\"" ONE "\",\"owner\":\"" X256 "\",\"contact\":\"" X256 "\",\"purpose\":\"" X1024
	    "\",\"review\":1760000001,\"limits\":{\"lifetime\":86400,\"depth\":0,\"audiences\":[\"" X256 X256
	    "\"],\"scopes\":[\"" X64 "\"]}}");
	expect_ok(201);
}

/* A list of as many texts of this length, each another. */
static json_t *texts(unsigned count, size_t length)
{
	json_t *list = json_array();
	char text[HM_AUDIENCE_MAX + 1];
	for (unsigned i = 0; i < count; i++) {
		memset(text, 'x', length);
		text[length] = 0;
		memcpy(text, (char[]){(char)('a' + i / 26), (char)('a' + i % 26)}, 2);
		json_array_append_new(list, json_string(text));
	}
	return list;
}

static void add_with_limits(json_t *limits)
{
	json_t *body = json_loads(AGENT(ONE, ""), 0, NULL);
	json_object_set_new(body, "limits", limits);
	char *text = json_dumps(body, 0);
	run(agent_api_add, "a", NULL, NULL, text);
	free(text);
	json_decref(body);
}

Test(agent_api, limits_have_a_size)
{
	add_with_limits(json_pack("{s:o}", "audiences", texts(HM_PATTERNS_MAX + 1, 10)));
	expect_refused("invalid_member", "limits.audiences");
	add_with_limits(json_pack("{s:o}", "scopes", texts(HM_SCOPES_MAX + 1, 10)));
	expect_refused("invalid_member", "limits.scopes");
	add_with_limits(json_pack("{s:o}", "audiences", texts(HM_PATTERNS_MAX, HM_AUDIENCE_MAX)));
	expect_refused("invalid_member", "limits");
	add_with_limits(json_pack(
		"{s:o,s:o}", "audiences", texts(HM_PATTERNS_MAX, 450), "scopes", texts(HM_SCOPES_MAX, HM_SCOPE_MAX)));
	expect_ok(201);
}

/* ---- importing ---- */

static char *import_text(unsigned count, unsigned wrong, const char *wrong_item)
{
	json_t *list = json_array();
	for (unsigned i = 0; i < count; i++) {
		char body[256];
		snprintf(body, sizeof body,
			"{\"spiffe_id\":\"spiffe://a.test/%u\",\"owner\":\"o\",\"purpose\":\"p\",\"review\":" LATER "}",
			i);
		json_array_append_new(list, json_loads(i == wrong ? wrong_item : body, 0, NULL));
	}
	json_t *body = json_pack("{s:o}", "agents", list);
	char *text = json_dumps(body, 0);
	json_decref(body);
	return text;
}

static void import(unsigned count, unsigned wrong, const char *wrong_item)
{
	char *text = import_text(count, wrong, wrong_item);
	run(agent_api_import, "a", NULL, NULL, text);
	free(text);
}

static void expect_imported(unsigned added, unsigned unchanged)
{
	expect_ok(200);
	cr_expect_eq(json_integer_value(json_object_get(call.answer, "added")), added);
	cr_expect_eq(json_integer_value(json_object_get(call.answer, "unchanged")), unchanged);
	cr_expect_eq(json_object_size(call.answer), 2);
	cr_expect_eq(json_array_size(json_object_get(call.entry, "ids")), added);
}

Test(agent_api, a_thousand_are_imported_at_once_and_again)
{
	import(HM_IMPORT_MAX, HM_IMPORT_MAX, NULL);
	expect_imported(HM_IMPORT_MAX, 0);
	cr_expect_eq(agents_count(service->agents), HM_IMPORT_MAX);
	size_t length = json_dumpb(call.entry, NULL, 0, JSON_COMPACT);
	cr_expect_leq(length, HM_LEDGER_ENTRY_MAX - 1024, "%zu bytes do not fit an entry", length);
	import(HM_IMPORT_MAX, HM_IMPORT_MAX, NULL);
	expect_imported(0, HM_IMPORT_MAX);
	cr_expect_null(call.changes);
	import(HM_IMPORT_MAX, 17, AGENT("spiffe://a.test/new", ""));
	expect_imported(1, HM_IMPORT_MAX - 1);
}

Test(agent_api, an_import_is_all_or_nothing_and_names_the_item_at_fault)
{
	for (unsigned i = 0; i < MALFORMED; i++) {
		char field[128];
		import(20, 17, malformed[i].body);
		snprintf(field, sizeof field, "agents[17].%s", malformed[i].field);
		expect_refused(malformed[i].code, field);
		cr_expect_null(call.changes);
	}
	import(20, 17, "[1]");
	expect_refused("wrong_type", "agents[17]");
	import(20, 17, AGENT("spiffe://a.test/3", ""));
	expect_refused("invalid_member", "agents[17].spiffe_id");
	import(20, 17, AGENT(ONE, ",\"issuer\":\"b\""));
	expect_refused("unknown_member", "agents[17].issuer");
	cr_expect_eq(agents_count(service->agents), 0);
	add(AGENT(ONE, ""));
	import(20, 17, AGENT(ONE, ",\"contact\":\"other\""));
	expect_refused("agent_exists", "agents[17].spiffe_id");
	cr_expect_eq(agents_count(service->agents), 1);
}

Test(agent_api, an_import_has_one_to_a_thousand)
{
	static const struct {
		const char *body, *code, *field;
	} cases[] = {
		{"{}", "missing_member", "agents"},
		{"{\"agents\":{}}", "wrong_type", "agents"},
		{"{\"agents\":[]}", "invalid_member", "agents"},
		{"{\"agents\":[],\"surprise\":1}", "unknown_member", "surprise"},
	};
	for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
		run(agent_api_import, "a", NULL, NULL, cases[i].body);
		expect_refused(cases[i].code, cases[i].field);
	}
	import(HM_IMPORT_MAX + 1, HM_IMPORT_MAX + 1, NULL);
	expect_refused("invalid_member", "agents");
}

/* ---- showing ---- */

Test(agent_api, lists_come_in_pages)
{
	char query[128];
	import(250, 250, NULL);
	unsigned count = 0, pages = 0;
	strcpy(query, "{}");
	for (;; pages++) {
		run(agent_api_list, "a", NULL, query, NULL);
		expect_ok(200);
		count += json_array_size(json_object_get(call.answer, "agents"));
		if (!*answered("next"))
			break;
		snprintf(query, sizeof query, "{\"after\":\"%s\"}", answered("next"));
	}
	cr_expect_eq(count, 250);
	cr_expect_eq(pages, 2, "100, 100 and 50");
	run(agent_api_list, "a", NULL, "{\"limit\":\"250\",\"issuer\":\"a\"}", NULL);
	cr_expect_eq(json_array_size(json_object_get(call.answer, "agents")), 250);
	cr_expect_str_eq(answered("next"), "");
	run(agent_api_list, "a", NULL, "{\"spiffe_id\":\"spiffe://a.test/none\"}", NULL);
	expect_ok(200);
	cr_expect_eq(json_array_size(json_object_get(call.answer, "agents")), 0);
}

Test(agent_api, a_list_is_no_longer_than_an_answer_may_be)
{
	json_t *limits = json_pack("{s:o}", "audiences", texts(HM_PATTERNS_MAX, 480));
	json_t *list = json_array();
	for (unsigned i = 0; i < 300; i++) {
		char spiffe_id[64];
		snprintf(spiffe_id, sizeof spiffe_id, "spiffe://a.test/%03u", i);
		json_array_append_new(
			list, json_pack("{s:s,s:s,s:s,s:I,s:O}", "spiffe_id", spiffe_id, "owner", "o", "purpose", "p",
				      "review", (json_int_t)1790000000, "limits", limits));
	}
	json_decref(limits);
	json_t *body = json_pack("{s:o}", "agents", list);
	char *text = json_dumps(body, 0);
	json_decref(body);
	run(agent_api_import, "a", NULL, NULL, text);
	free(text);
	expect_imported(300, 0);
	run(agent_api_list, "a", NULL, "{\"limit\":\"1000\"}", NULL);
	size_t shown = json_array_size(json_object_get(call.answer, "agents"));
	cr_expect_lt(json_dumpb(call.answer, NULL, 0, JSON_COMPACT), HM_FRAME_MAX_MEMFD / 2);
	cr_expect(shown > 50 && shown < 300, "%zu", shown);
	char query[128], next[64];
	snprintf(query, sizeof query, "{\"limit\":\"1000\",\"after\":\"%s\"}", answered("next"));
	snprintf(next, sizeof next, "spiffe://a.test/%03zu", shown);
	run(agent_api_list, "a", NULL, query, NULL);
	const json_t *first = json_array_get(json_object_get(call.answer, "agents"), 0);
	cr_expect_str_eq(json_string_value(json_object_get(first, "spiffe_id")), next);
}

Test(agent_api, a_list_is_asked_for_strictly)
{
	static const struct {
		const char *query, *code, *field;
	} cases[] = {
		{"{\"limit\":\"0\"}", "invalid_member", "limit"},
		{"{\"limit\":\"1001\"}", "invalid_member", "limit"},
		{"{\"limit\":\"\"}", "invalid_member", "limit"},
		{"{\"limit\":\"-1\"}", "invalid_member", "limit"},
		{"{\"limit\":\" 1\"}", "invalid_member", "limit"},
		{"{\"limit\":\"1x\"}", "invalid_member", "limit"},
		{"{\"limit\":\"99999999999999999999\"}", "invalid_member", "limit"},
		{"{\"owner\":\"x\"}", "unknown_member", "owner"},
	};
	for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
		run(agent_api_list, "a", NULL, cases[i].query, NULL);
		expect_refused(cases[i].code, cases[i].field);
	}
}

/* ---- acts ---- */

static api_operation *const acts[] = {agent_api_suspend, agent_api_resume, agent_api_retire, agent_api_transfer};
static const char *const bodies[] = {NULL, NULL, NULL, "{\"owner\":\"team-b\"}"};
enum { SUSPEND, RESUME, RETIRE, TRANSFER, ACTS };

Test(agent_api, each_act_is_possible_in_its_status_alone)
{
	static const char *const after[AGENT_STATUSES][ACTS] = {
		{"suspended", "", "retired", "active"},
		{"", "active", "retired", "suspended"},
		{"", "", "", ""},
	};
	static const int way[AGENT_STATUSES][2] = {{-1, -1}, {SUSPEND, -1}, {SUSPEND, RETIRE}};
	for (unsigned status = 0; status < AGENT_STATUSES; status++)
		for (unsigned act = 0; act < ACTS; act++) {
			char body[256], id[HM_ID_MAX + 1];
			snprintf(body, sizeof body, AGENT("spiffe://a.test/%u-%u", ""), status, act);
			snprintf(id, sizeof id, "%s", add(body));
			for (unsigned i = 0; i < 2 && way[status][i] >= 0; i++) {
				run(acts[way[status][i]], "a", id, NULL, NULL);
				expect_ok(200);
			}
			hm_result result = run(acts[act], "a", id, NULL, bodies[act]);
			cr_expect_eq(result, *after[status][act] ? HM_OK : HM_REFUSED, "%u %u", status, act);
			if (result == HM_OK) {
				expect_ok(200);
				cr_expect_str_eq(answered("status"), after[status][act]);
				cr_expect_str_eq(recorded("status"), after[status][act]);
				cr_expect_str_eq(agent_status_name(agents_by_id(service->agents, id)->status),
					after[status][act]);
			} else {
				expect_refused("agent_state", "");
			}
		}
}

Test(agent_api, an_act_says_why_and_is_recorded)
{
	char id[HM_ID_MAX + 1];
	snprintf(id, sizeof id, "%s", add(AGENT(ONE, "")));
	run(agent_api_suspend, "a", id, NULL, "{\"reason\":\"odd calls at night\"}");
	expect_ok(200);
	cr_expect_str_eq(recorded("reason"), "odd calls at night");
	cr_expect_str_eq(recorded("act"), "suspend");
	cr_expect_str_eq(call.entry_type, "agent");
	static const struct {
		const char *body, *code, *field;
	} cases[] = {
		{"{\"reason\":1}", "wrong_type", "reason"},
		{"{\"reason\":\"" X256 X256 "x\"}", "invalid_member", "reason"},
		{"{\"reason\":\"\"}", "invalid_member", "reason"},
		{"{\"reason\":\"a\\nb\"}", "invalid_member", "reason"},
		{"{\"why\":\"x\"}", "unknown_member", "why"},
	};
	for (unsigned act = 0; act < TRANSFER; act++)
		for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
			run(acts[act], "a", id, NULL, cases[i].body);
			expect_refused(cases[i].code, cases[i].field);
		}
}

Test(agent_api, a_transfer_gives_it_an_owner_and_leaves_the_rest)
{
	char id[HM_ID_MAX + 1];
	snprintf(id, sizeof id, "%s", add(AGENT(ONE, ",\"contact\":\"before\",\"limits\":{\"depth\":1}")));
	run(agent_api_transfer, "a", id, NULL, "{\"owner\":\"team-b\"}");
	expect_ok(200);
	cr_expect_str_eq(answered("owner"), "team-b");
	cr_expect_str_eq(answered("contact"), "before");
	cr_expect_str_eq(recorded("owner"), "team-b");
	run(agent_api_transfer, "a", id, NULL, "{\"owner\":\"team-b\",\"contact\":\"\",\"review\":1770000000}");
	const struct agent *agent = agents_by_id(service->agents, id);
	cr_expect_str_eq(agent->contact, "");
	cr_expect_eq(agent->review, 1770000000);
	cr_expect_str_eq(agent->purpose, "answers mail");
	cr_assert_not_null(agent->limits);
	cr_expect_eq(agent->limits->depth, 1);
	static const struct {
		const char *body, *code, *field;
	} cases[] = {
		{"{}", "missing_member", "owner"},
		{"{\"owner\":\"\"}", "invalid_member", "owner"},
		{"{\"owner\":null}", "wrong_type", "owner"},
		{"{\"owner\":\"o\",\"review\":1760000000}", "invalid_member", "review"},
		{"{\"owner\":\"o\",\"contact\":1}", "wrong_type", "contact"},
		{"{\"owner\":\"o\",\"reason\":\"x\"}", "unknown_member", "reason"},
		{"{\"owner\":\"o\",\"purpose\":\"x\"}", "unknown_member", "purpose"},
	};
	for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
		run(agent_api_transfer, "a", id, NULL, cases[i].body);
		expect_refused(cases[i].code, cases[i].field);
	}
	cr_expect_str_eq(agents_by_id(service->agents, id)->owner, "team-b");
}

Test(agent_api, an_instance_is_governed_alone_but_has_its_class_s_owner)
{
	char class[HM_ID_MAX + 1], id[HM_ID_MAX + 1];
	snprintf(class, sizeof class, "%s", add(AGENT("spiffe://a.test/ci/*", ",\"class\":true")));
	snprintf(id, sizeof id, "%s", add_instance("spiffe://a.test/ci/*", "spiffe://a.test/ci/7"));
	run(agent_api_transfer, "a", id, NULL, "{\"owner\":\"team-b\"}");
	expect_refused("agent_state", "");
	run(agent_api_suspend, "a", id, NULL, NULL);
	expect_ok(200);
	cr_expect_str_eq(answered("of"), "spiffe://a.test/ci/*");
	cr_expect_eq(agents_by_id(service->agents, class)->status, AGENT_ACTIVE);
	run(agent_api_resume, "a", id, NULL, NULL);
	expect_ok(200);
	run(agent_api_retire, "a", id, NULL, NULL);
	expect_ok(200);
	run(agent_api_transfer, "a", class, NULL, "{\"owner\":\"team-b\"}");
	expect_ok(200);
}

Test(agent_api, what_belongs_to_another_issuer_is_as_if_it_was_not_there)
{
	char id[HM_ID_MAX + 1];
	snprintf(id, sizeof id, "%s", add(AGENT(ONE, "")));
	const char *const ids[][2] = {
		{"b", id}, {"a", "AAAAAAAAAAAAAAAAAAAAAA"}, {"a", "x"}, {"a", ""}, {"nobody", id}};
	for (unsigned i = 0; i < sizeof ids / sizeof *ids; i++) {
		for (unsigned act = 0; act < ACTS; act++) {
			run(acts[act], ids[i][0], ids[i][1], NULL, bodies[act]);
			expect_refused("no_agent", "id");
		}
		run(agent_api_show, ids[i][0], ids[i][1], NULL, NULL);
		expect_refused("no_agent", "id");
	}
	run(agent_api_list, "b", NULL, NULL, NULL);
	cr_expect_eq(json_array_size(json_object_get(call.answer, "agents")), 0);
	run(agent_api_list, "b", NULL, "{\"spiffe_id\":\"" ONE "\"}", NULL);
	cr_expect_eq(json_array_size(json_object_get(call.answer, "agents")), 0);
	run(agent_api_add, "nobody", NULL, NULL, AGENT(ONE, ""));
	expect_refused("invalid_member", "spiffe_id");
}
