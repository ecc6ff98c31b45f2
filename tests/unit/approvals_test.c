/* SPDX-License-Identifier: Apache-2.0 */
/* The view of approvals: what is hashed, what rows mean, and what each state allows. */
#include "approvals.h"
#include "mint_request.h"
#include "policy.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define ASKED_ID "QQQQQQQQQQQQQQQQQQQQQA"
#define HASH     "x5LijFUUzWFlLepA7_9MfRsePVwcwDgq3-_5TTGUycY"

enum { NOW = 100000, DAY = 86400 };

/* ---- the hash ---- */

static struct config_issuer issuer = {.name = "a"};
static struct config_caller caller = {.name = "local"};
static struct config_profile profile = {.name = "a-access", .kind = KIND_ACCESS_TOKEN};
static struct decision decision = {.profile = &profile, .issuer = &issuer, .caller = &caller};

static struct hm_problem why;

static hm_result try_hash(const char *body, char hash[44])
{
	MINT_REQUEST_AUTO request;
	hm_result result =
		mint_request_parse((struct hm_bytes){(const uint8_t *)body, strlen(body)}, false, &request, &why);
	cr_assert_eq(result, HM_OK, "%s: %s %s", body, why.code, why.detail);
	json_t *form = approvals_form(&decision, &request);
	cr_assert_not_null(form);
	result = approvals_hash(form, hash, &why);
	json_decref(form);
	return result;
}

static const char *hash_of(const char *body)
{
	static char hash[44];
	cr_assert_eq(try_hash(body, hash), HM_OK, "%s", body);
	return hash;
}

#define SUBJECT  "\"subject\":\"spiffe://a.test/agent/first\""
#define AUDIENCE "\"audience\":[\"https://api.a.test\"]"
#define CLAIMS   "\"claims\":{\"level\":3,\"\\ufb33\":\"x\",\"\\ud83d\\ude00\":true}"
#define TASK     "\"task\":{\"ref\":\"r-1\",\"purpose\":\"Gr\\u00fc\\u00dfe\"}"
#define SAMPLE(profile, subject, audience, scope, lifetime, task, claims, more)                                \
	"{\"profile\":\"" profile "\"," subject "," audience ",\"scope\":\"" scope "\",\"lifetime\":" lifetime \
	"," task "," claims more "}"
#define WHOLE(more) SAMPLE("a-access", SUBJECT, AUDIENCE, "read admin", "600", TASK, CLAIMS, more)
#define LEAST       "{\"profile\":\"a-access\"," SUBJECT "," AUDIENCE "}"

/*
 * Computed by Python's hashlib over these texts, written by hand by RFC 8785 (names in the order of UTF-16):
 *
 * {"audience":["https://api.a.test"],"caller":"local","claims":{"level":3,"😀":true,"דּ":"x"},"issuer":"a",
 * "kind":"at+jwt","lifetime":600,"profile":"a-access","scope":"read admin","subject":"spiffe://a.test/agent/first",
 * "task":{"purpose":"Grüße","ref":"r-1"}}
 *
 * {"audience":["https://api.a.test"],"caller":"local","issuer":"a","kind":"at+jwt","profile":"a-access",
 * "subject":"spiffe://a.test/agent/first"}
 *
 * without the breaks between lines.
 */
Test(approvals, the_hash_is_what_another_program_computes)
{
	cr_expect_str_eq(hash_of(WHOLE("")), HASH);
	cr_expect_str_eq(hash_of(LEAST), "gFAxYuCt7oDPIqJa-cezNbg2pPZWOKzRXztvF3xOkWo");
}

Test(approvals, what_says_the_same_has_the_same_hash)
{
	cr_expect_str_eq(hash_of(WHOLE(",\"approval\":\"" ASKED_ID "\"")), HASH, "the approval itself");
	cr_expect_str_eq(hash_of(WHOLE(",\"context\":{\"trace\":\"1\"}")), HASH, "context");
	cr_expect_str_eq(hash_of(SAMPLE("a-access", SUBJECT, "\"audience\":\"https://api.a.test\"", "read admin", "600",
				 TASK, CLAIMS, "")),
		HASH, "one audience that is not in an array");
	cr_expect_str_eq(hash_of("{" CLAIMS "," TASK ",\"lifetime\":600,\"scope\":\"read admin\"," AUDIENCE "," SUBJECT
				 ",\"profile\":\"a-access\"}"),
		HASH, "another order");
}

Test(approvals, each_member_changes_the_hash)
{
	static const char *const others[] = {SAMPLE("a-access", "\"subject\":\"spiffe://a.test/agent/second\"",
						     AUDIENCE, "read admin", "600", TASK, CLAIMS, ""),
		SAMPLE("a-access", SUBJECT, "\"audience\":[\"https://b.a.test\"]", "read admin", "600", TASK, CLAIMS,
			""),
		SAMPLE("a-access", SUBJECT, "\"audience\":[\"https://api.a.test\",\"https://b.a.test\"]", "read admin",
			"600", TASK, CLAIMS, ""),
		SAMPLE("a-access", SUBJECT, AUDIENCE, "admin", "600", TASK, CLAIMS, ""),
		SAMPLE("a-access", SUBJECT, AUDIENCE, "read admin", "601", TASK, CLAIMS, ""),
		SAMPLE("a-access", SUBJECT, AUDIENCE, "read admin", "600", "\"task\":\"r-1\"", CLAIMS, ""),
		SAMPLE("a-access", SUBJECT, AUDIENCE, "read admin", "600",
			"\"task\":{\"ref\":\"r-2\",\"purpose\":\"Gr\\u00fc\\u00dfe\"}", CLAIMS, ""),
		SAMPLE("a-access", SUBJECT, AUDIENCE, "read admin", "600",
			"\"task\":{\"ref\":\"r-1\",\"purpose\":\"another\"}", CLAIMS, ""),
		SAMPLE("a-access", SUBJECT, AUDIENCE, "read admin", "600", TASK, "\"claims\":{\"level\":4}", ""),
		SAMPLE("a-access", SUBJECT, AUDIENCE, "read admin", "600", TASK, "\"claims\":{}", ""),
		"{\"profile\":\"a-access\"," SUBJECT "," AUDIENCE ",\"lifetime\":600," TASK "," CLAIMS "}",
		"{\"profile\":\"a-access\"," SUBJECT "," AUDIENCE ",\"scope\":\"read admin\"," TASK "," CLAIMS "}",
		"{\"profile\":\"a-access\"," SUBJECT "," AUDIENCE ",\"scope\":\"read admin\",\"lifetime\":600," CLAIMS
		"}",
		"{\"profile\":\"a-access\"," SUBJECT "," AUDIENCE ",\"scope\":\"read admin\",\"lifetime\":600," TASK
		"}"};
	enum { COUNT = sizeof others / sizeof *others };
	char hashes[COUNT][44];
	for (size_t i = 0; i < COUNT; i++) {
		snprintf(hashes[i], sizeof hashes[i], "%s", hash_of(others[i]));
		cr_expect_str_neq(hashes[i], HASH, "%s", others[i]);
		for (size_t k = 0; k < i; k++)
			cr_expect_str_neq(hashes[i], hashes[k], "%s", others[i]);
	}
}

/* By Python's hashlib over the second of the texts above, with "key" before "kind". */
Test(approvals, the_key_that_it_is_bound_to_changes_the_hash)
{
	decision.cnf = "jkt";
	decision.thumbprint = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
	cr_expect_str_eq(hash_of(LEAST), "VfA9Zokzt0XWXAY4bDPN_dn8dlgsaV-Qc7_Zpz9exc8");
	decision.cnf = "x5t#S256";
	decision.thumbprint = "1ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
	cr_expect_str_neq(hash_of(LEAST), "VfA9Zokzt0XWXAY4bDPN_dn8dlgsaV-Qc7_Zpz9exc8");
}

Test(approvals, who_asks_and_by_which_profile_changes_the_hash)
{
	issuer.name = "b";
	cr_expect_str_neq(hash_of(WHOLE("")), HASH);
	issuer.name = "a";
	caller.name = "other";
	cr_expect_str_neq(hash_of(WHOLE("")), HASH);
	caller.name = "local";
	profile.name = "a-other";
	cr_expect_str_neq(hash_of(WHOLE("")), HASH);
	profile.name = "a-access";
	profile.kind = KIND_JWT_SVID;
	cr_expect_str_neq(hash_of(WHOLE("")), HASH);
	profile.kind = KIND_ACCESS_TOKEN;
	cr_expect_str_eq(hash_of(WHOLE("")), HASH);
}

Test(approvals, what_has_no_canonical_form_is_not_approved)
{
	char hash[44];
	cr_expect_eq(try_hash("{\"profile\":\"a-access\"," SUBJECT "," AUDIENCE ",\"claims\":{\"level\":1.5}}", hash),
		HM_REFUSED);
	cr_expect_str_eq(why.code, "wrong_type");
	cr_expect_eq(
		try_hash("{\"profile\":\"a-access\"," SUBJECT "," AUDIENCE ",\"claims\":{\"level\":9007199254740993}}",
			hash),
		HM_REFUSED);
}

/* ---- which requests ---- */

Test(approvals, a_scope_is_looked_for_as_a_word_and_an_audience_by_pattern)
{
	char *scopes[] = {"admin"}, *audiences[] = {"https://*.bank.test"};
	struct config_approve approve = {scopes, audiences, 1, 1, 2, NULL, 900};
	unsigned within = 0;
	struct mint_request request = {.audiences = {"https://api.a.test"}, .audience_count = 1};
	cr_expect_eq(approvals_wanted(&profile, &request, &within), 0, "the profile has no such rule");
	profile.approve = &approve;
	static const struct {
		const char *scope;
		unsigned wanted;
	} cases[] = {{NULL, 0}, {"read", 0}, {"admin", 2}, {"read admin", 2}, {"admin read", 2}, {"admin2", 0},
		{"xadmin", 0}, {"read adm", 0}, {"read admin write", 2}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		request.scope = cases[i].scope;
		cr_expect_eq(approvals_wanted(&profile, &request, &within), cases[i].wanted, "%s", cases[i].scope);
	}
	cr_expect_eq(within, 900);
	request.scope = "read";
	request.audiences[request.audience_count++] = "https://pay.bank.test";
	cr_expect_eq(approvals_wanted(&profile, &request, &within), 2);
	profile.approve = NULL;
}

/* ---- rows ---- */

static struct approvals *approvals;

static void begin(void)
{
	approvals = approvals_open();
	cr_assert_not_null(approvals);
}

static void finish(void)
{
	approvals_close(approvals);
}

TestSuite(approval_rows, .init = begin, .fini = finish);

static hm_result take(const char *id, uint64_t version, const char *body)
{
	const struct store_row row = {RECORD_APPROVAL, id, version, body, body ? strlen(body) : 0};
	why = (struct hm_problem){0};
	return approvals_take(approvals, &row, &why);
}

#define ROW(approvers, expires, more)                                                                                  \
	"{\"approvers\":[" approvers "],\"asked\":99000,\"caller\":\"local\",\"expires\":" expires ",\"hash\":\"" HASH \
	"\",\"issuer\":\"a\",\"request\":{\"subject\":\"s\"}," more "\"wanted\":2}"

static enum approval_state state_of(const char *body)
{
	cr_assert_eq(take(ASKED_ID, 1, body), HM_OK, "%s", why.detail);
	return approval_state(approvals_find(approvals, ASKED_ID), NOW);
}

Test(approval_rows, what_ended_it_first_says_what_it_is)
{
	static const struct {
		const char *row;
		enum approval_state state;
		const char *code;
	} cases[] = {{ROW("", "100001", ""), APPROVAL_PENDING, "approval_pending"},
		{ROW("\"bob\"", "100001", ""), APPROVAL_PENDING, "approval_pending"},
		{ROW("\"bob\",\"carol\"", "100001", ""), APPROVAL_GRANTED, NULL},
		{ROW("\"bob\"", "100000", ""), APPROVAL_EXPIRED, "approval_expired"},
		{ROW("\"bob\",\"carol\"", "100000", ""), APPROVAL_EXPIRED, "approval_expired"},
		{ROW("\"bob\",\"carol\"", "100001", "\"denied_by\":\"dave\","), APPROVAL_DENIED, "approval_denied"},
		{ROW("", "1", "\"denied_by\":\"dave\","), APPROVAL_DENIED, "approval_denied"},
		{ROW("\"bob\",\"carol\"", "100001", "\"used\":true,"), APPROVAL_USED, "approval_used"},
		{ROW("\"bob\",\"carol\"", "1", "\"used\":true,"), APPROVAL_USED, "approval_used"}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		cr_expect_eq(state_of(cases[i].row), cases[i].state, "%s", cases[i].row);
		const struct approval *approval = approvals_find(approvals, ASKED_ID);
		hm_result result = approvals_check(approval, "a", "local", HASH, NOW, &why);
		cr_expect_eq(result, cases[i].code ? HM_REFUSED : HM_OK, "%s", cases[i].row);
		if (cases[i].code)
			cr_expect_str_eq(why.code, cases[i].code);
	}
}

Test(approval_rows, it_is_good_for_who_asked_and_for_what_was_asked_alone)
{
	static const struct {
		const char *issuer, *caller, *hash, *code;
	} cases[] = {{"a", "other", HASH, "unknown_approval"}, {"b", "local", HASH, "unknown_approval"},
		{"a", "local", "gFAxYuCt7oDPIqJa-cezNbg2pPZWOKzRXztvF3xOkWo", "approval_mismatch"}};
	cr_expect_eq(state_of(ROW("\"bob\",\"carol\"", "100001", "")), APPROVAL_GRANTED);
	const struct approval *approval = approvals_find(approvals, ASKED_ID);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		cr_expect_eq(approvals_check(approval, cases[i].issuer, cases[i].caller, cases[i].hash, NOW, &why),
			HM_REFUSED);
		cr_expect_str_eq(why.code, cases[i].code);
		cr_expect_str_eq(why.field, "approval");
	}
	cr_expect_eq(approvals_check(NULL, "a", "local", HASH, NOW, &why), HM_REFUSED);
	cr_expect_str_eq(why.code, "unknown_approval");
}

static const struct approval *pending(const char *of, const char *by, const char *hash, int64_t now, unsigned of_caller)
{
	unsigned waiting = 99;
	const struct approval *found = approvals_pending(approvals, of, by, hash, now, &waiting);
	cr_expect_eq(waiting, of_caller, "%s %s %s: %u", of, by, hash, waiting);
	return found;
}

Test(approval_rows, one_that_waits_for_the_same_is_found_and_those_of_the_caller_are_counted)
{
	cr_expect_null(pending("a", "local", HASH, NOW, 0));
	cr_expect_eq(state_of(ROW("\"bob\"", "100001", "")), APPROVAL_PENDING);
	const struct approval *approval = approvals_find(approvals, ASKED_ID);
	cr_expect_eq(pending("a", "local", HASH, NOW, 1), approval);
	cr_expect_null(pending("a", "local", "another", NOW, 1));
	cr_expect_null(pending("a", "local", HASH, NOW + 1, 0), "it expired");
	cr_expect_null(pending("b", "local", HASH, NOW, 0));
	cr_expect_null(pending("a", "other", HASH, NOW, 0));
	cr_expect_eq(state_of(ROW("\"bob\",\"carol\"", "100001", "")), APPROVAL_GRANTED);
	cr_expect_null(pending("a", "local", HASH, NOW, 0));
}

Test(approval_rows, what_is_not_as_written_changes_nothing)
{
#define BAD(approvers, asked, hash, request, more, wanted)                                                          \
	"{\"approvers\":" approvers ",\"asked\":" asked ",\"caller\":\"local\",\"expires\":100001,\"hash\":\"" hash \
	"\",\"issuer\":\"a\",\"request\":" request "," more "\"wanted\":" wanted "}"
	static const char *const bad[] = {"", "{", "[]", "{}", BAD("[]", "1", HASH, "{}", "", "0"),
		BAD("[]", "1", HASH, "{}", "", "9"), BAD("[]", "1", HASH, "{}", "", "\"2\""),
		BAD("[]", "1", "short", "{}", "", "2"), BAD("[]", "1", HASH "A", "{}", "", "2"),
		BAD("[]", "1", HASH, "[]", "", "2"), BAD("[]", "1", HASH, "null", "", "2"),
		BAD("[]", "\"1\"", HASH, "{}", "", "2"), BAD("{}", "1", HASH, "{}", "", "2"),
		BAD("[1]", "1", HASH, "{}", "", "2"), BAD("[\"bob\",null]", "1", HASH, "{}", "", "2"),
		BAD("[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\"]", "1", HASH, "{}", "", "2"),
		BAD("[]", "1", HASH, "{}", "\"used\":1,", "2"), BAD("[]", "1", HASH, "{}", "\"denied_by\":1,", "2"),
		BAD("[]", "1", HASH, "{}", "\"unknown\":1,", "2"), BAD("[]", "1", HASH, "{}", "\"wanted\":1,", "2")};
	cr_assert_eq(take(ASKED_ID, 1, ROW("\"bob\"", "100001", "")), HM_OK);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		cr_expect_eq(take(ASKED_ID, 2, bad[i]), HM_BROKEN, "%s", bad[i]);
		cr_expect_not_null(strstr(why.detail, ASKED_ID), "%s", why.detail);
	}
	cr_expect_eq(take("short", 2, ROW("", "100001", "")), HM_BROKEN);
	const struct approval *approval = approvals_find(approvals, ASKED_ID);
	cr_assert_not_null(approval);
	cr_expect_eq(approval->version, 1);
	cr_expect_eq(approval->granted, 1);
}

static const char *id_of(unsigned number)
{
	static char id[HM_ID_MAX + 1];
	snprintf(id, sizeof id, "%021uA", number);
	return id;
}

Test(approval_rows, a_list_goes_on_behind_the_last_and_has_one_issuers)
{
	enum { COUNT = 200 };
	const struct approval *found[COUNT];
	for (unsigned i = 0; i < COUNT; i++) /* in no order */
		cr_assert_eq(take(id_of(i * 77 % COUNT), 1, ROW("", "100001", "")), HM_OK);
	cr_assert_eq(take(id_of(7), 2,
			     "{\"approvers\":[],\"asked\":1,\"caller\":\"local\",\"expires\":5,\"hash\":\"" HASH
			     "\",\"issuer\":\"b\",\"request\":{},\"wanted\":1}"),
		HM_OK);
	unsigned count = 0;
	const char *after = NULL;
	char last[HM_ID_MAX + 1] = "";
	for (unsigned page; (page = approvals_list(approvals, "a", after, found, 30)); after = last) {
		for (unsigned i = 0; i < page; i++) {
			cr_expect_lt(strcmp(last, found[i]->id), 0);
			cr_expect_str_eq(found[i]->issuer, "a");
			memcpy(last, found[i]->id, sizeof last);
		}
		count += page;
	}
	cr_expect_eq(count, COUNT - 1);
	cr_expect_eq(approvals_list(approvals, "b", NULL, found, 30), 1);
	cr_expect_eq(approvals_list(approvals, "b", id_of(6), found, 30), 1);
	cr_expect_eq(approvals_list(approvals, "b", id_of(7), found, 30), 0);
	cr_expect_eq(approvals_list(approvals, "a", "no id", found, 30), 0, "behind all of them");
}

Test(approval_rows, what_expired_a_day_ago_goes)
{
	struct changes *changes = changes_open();
	cr_assert_eq(take(id_of(1), 1, ROW("", "100000", "")), HM_OK);
	cr_assert_eq(take(id_of(2), 1, ROW("", "100001", "")), HM_OK);
	cr_assert_eq(take(id_of(3), 1, ROW("", "100000", "\"used\":true,")), HM_OK);
	cr_expect_eq(approvals_expire(approvals, 100000 + DAY, 10, changes), 0);
	cr_expect_eq(approvals_expire(approvals, 100000 + DAY + 1, 10, changes), 2);
	cr_expect_eq(approvals_expire(approvals, 100000 + DAY + 2, 10, changes), 3);
	cr_expect_eq(approvals_expire(approvals, 100000 + DAY + 2, 2, changes), 2, "no more than asked for");
	changes_close(changes);
	cr_assert_eq(take(id_of(2), 2, NULL), HM_OK);
	cr_expect_null(approvals_find(approvals, id_of(2)));
	cr_expect_not_null(approvals_find(approvals, id_of(1)));
	cr_expect_eq(take(id_of(2), 3, NULL), HM_OK, "one that is gone already");
}

/* What was just read says what the row says. */
Test(approval_rows, it_is_shown_whole)
{
	cr_expect_eq(state_of(ROW("\"bob\"", "100001", "\"denied_by\":\"dave\",")), APPROVAL_DENIED);
	json_t *shown = approval_json(approvals_find(approvals, ASKED_ID), NOW);
	json_t *wanted =
		json_loads("{\"id\":\"" ASKED_ID "\",\"hash\":\"" HASH
			   "\",\"issuer\":\"a\",\"caller\":\"local\",\"request\":{\"subject\":\"s\"},\"wanted\":2,"
			   "\"approvers\":[\"bob\"],\"state\":\"denied\",\"asked\":99000,\"expires\":100001,"
			   "\"denied_by\":\"dave\"}",
			0, NULL);
	cr_assert_not_null(wanted);
	cr_expect(json_equal(shown, wanted), "%s", json_dumps(shown, 0));
	json_decref(shown);
	json_decref(wanted);
}
