/* SPDX-License-Identifier: Apache-2.0 */
/* Who may grant and deny what, and when: the operations, committed to a store, as the view has them then. */
#include "approval_api.h"
#include "approvals.h"
#include "mint_request.h"
#include "policy.h"
#include "service.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HASH "x5LijFUUzWFlLepA7_9MfRsePVwcwDgq3-_5TTGUycY"

enum { NOW = 1000000, WITHIN = 900 };

static char directory[] = "/tmp/hsmint-approval-api-XXXXXX";
static uv_loop_t loop;
static struct service *service;
static int64_t now;

/* What the last call gave. */
static struct hm_problem why;
static json_t *shown, *entry;
static int status;

/* ---- view and store ---- */

static void row(void *context, const struct store_row *taken)
{
	(void)context;
	struct hm_problem fault = {0};
	cr_assert_eq(approvals_take(service->approvals, taken, &fault), HM_OK, "%s", fault.detail);
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

/* ---- callers ---- */

enum who { ASKER, BOB, CAROL, DAVE, AUDITOR, OTHER_MINTER, FOREIGNER, CALLERS };

static uint32_t uids[CALLERS] = {1000, 1001, 1002, 1003, 1004, 1005, 1001};
static struct config_issuer issuers[] = {{.name = "a"}, {.name = "b"}};
static struct config_caller callers[CALLERS] = {
	[ASKER] = {.name = "asker", .issuer = "a", .uid = &uids[0], .roles = ROLE_MINT | ROLE_APPROVE},
	[BOB] = {.name = "bob", .issuer = "a", .uid = &uids[1], .roles = ROLE_APPROVE},
	[CAROL] = {.name = "carol",
		.issuer = "a",
		.uid = &uids[2],
		.uri = "spiffe://a.test/carol",
		.roles = ROLE_APPROVE},
	[DAVE] = {.name = "dave",
		.issuer = "a",
		.uid = &uids[3],
		.spki = "unused",
		.spki_sha256 = {7},
		.roles = ROLE_APPROVE},
	[AUDITOR] = {.name = "auditor", .issuer = "a", .uid = &uids[4], .roles = ROLE_AUDIT},
	[OTHER_MINTER] = {.name = "other", .issuer = "a", .uid = &uids[5], .roles = ROLE_MINT},
	[FOREIGNER] =
		{.name = "bob", .issuer = "b", .issuer_index = 1, .uid = &uids[6], .roles = ROLE_APPROVE | ROLE_AUDIT},
};
static struct config config = {.issuers = issuers, .issuers_count = 2, .callers = callers, .callers_count = CALLERS};

static void open_service(void)
{
	static const struct store_events events = {.row = row, .changed = ignore};
	now = NOW;
	service = calloc(1, sizeof *service);
	cr_assert_not_null(service);
	service->config = &config;
	service->approvals = approvals_open();
	cr_assert_not_null(service->approvals);
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
	approvals_close(service->approvals);
	free(service);
	forget();
	snprintf(command, sizeof command, "rm -r %s", directory);
	cr_expect_eq(system(command), 0);
}

TestSuite(approval_api, .init = open_service, .fini = close_service);

/* ---- acts ---- */

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

/* As a mint request asks for it. */
static const char *ask(unsigned wanted)
{
	static char id[HM_ID_MAX + 1];
	static const struct config_profile profile = {.name = "a-access"};
	const struct decision decision = {.profile = &profile, .issuer = &issuers[0], .caller = &callers[ASKER]};
	const struct mint_request request = {.subject = "spiffe://a.test/agent/first"};
	struct changes *changes = changes_open();
	json_t *form = approvals_form(&decision, &request);
	cr_assert(form && changes);
	cr_assert(approvals_put(changes, &decision, form, HASH, wanted, now, WITHIN, id));
	json_decref(form);
	cr_assert_eq(commit(changes), HM_OK, "%s", why.detail);
	return id;
}

struct asked {
	enum who who;
	struct gate_caller proof; /* what it comes with, if not its uid */
	const char *query, *body;
	bool is_last;
};

/* Run an operation, without committing what it says. The changes are the caller's. */
static hm_result decide(const struct asked *asked, api_operation *operation, const char *id, struct changes **changes)
{
	const struct config_caller *known = &callers[asked->who];
	struct api_call call = {
		.service = service, .issuer = known->issuer, .id = id, .now = now, .is_last = asked->is_last};
	call.actor = (struct api_actor){.way = WAY_CONTROL, .known = known, .caller = asked->proof};
	if (!asked->proof.uri[0])
		call.actor.caller = (struct gate_caller){.kind = CALLER_UNIX, .uid = *known->uid};
	snprintf(call.actor.name, sizeof call.actor.name, "%s", known->name);
	call.query = json_loads(asked->query ? asked->query : "{}", 0, NULL);
	call.body = asked->body ? json_loads(asked->body, 0, NULL) : NULL;
	cr_assert_not_null(call.query);
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

static hm_result run(const struct asked *asked, api_operation *operation, const char *id)
{
	struct changes *changes = NULL;
	hm_result result = decide(asked, operation, id, &changes);
	cr_expect_eq(changes != NULL, entry != NULL, "what changes is recorded");
	if (result == HM_OK && changes)
		cr_assert_eq(commit(changes), HM_OK, "%s", why.detail);
	else
		changes_close(changes);
	return result;
}

static hm_result act(enum who who, api_operation *operation, const char *id)
{
	const struct asked asked = {.who = who};
	return run(&asked, operation, id);
}

static void expect_refused(enum who who, api_operation *operation, const char *id, const char *code)
{
	cr_expect_eq(act(who, operation, id), HM_REFUSED, "%s: %s", callers[who].name, code);
	cr_expect_str_eq(why.code ? why.code : "", code, "%s", callers[who].name);
	cr_expect_null(entry);
}

static void expect_done(enum who who, api_operation *operation, const char *id, const char *state)
{
	cr_expect_eq(act(who, operation, id), HM_OK, "%s: %s %s", callers[who].name, why.code, why.detail);
	cr_expect_eq(status, 200);
	cr_expect_str_eq(json_string_value(json_object_get(shown, "state")), state);
	json_t *answered = json_incref(shown);
	cr_expect_eq(act(AUDITOR, approval_api_show, id), HM_OK);
	cr_expect(json_equal(answered, shown), "it was answered as it is");
	json_decref(answered);
}

Test(approval_api, two_others_approve)
{
	const char *id = ask(2);
	expect_refused(ASKER, approval_api_grant, id, "approver_not_allowed");
	expect_done(BOB, approval_api_grant, id, "pending");
	expect_refused(BOB, approval_api_grant, id, "approver_not_allowed");
	expect_refused(ASKER, approval_api_grant, id, "approver_not_allowed");
	expect_done(CAROL, approval_api_grant, id, "granted");
	json_t *approvers = json_pack("[s, s]", "bob", "carol");
	cr_expect(json_equal(json_object_get(shown, "approvers"), approvers));
	json_decref(approvers);
	expect_done(DAVE, approval_api_grant, id, "granted");
	cr_expect_null(entry, "nothing changed");
	cr_expect_eq(approvals_find(service->approvals, id)->granted, 2);
}

Test(approval_api, nobody_approves_by_the_identity_of_another)
{
	struct asked asked = {.who = CAROL, .proof = {.kind = CALLER_CERTIFICATE, .uri = "spiffe://a.test/carol"}};
	const char *id = ask(2);
	expect_done(DAVE, approval_api_grant, id, "pending");
	asked.proof.spki_sha256[0] = 7; /* dave's key in a certificate with carol's URI */
	cr_expect_eq(run(&asked, approval_api_grant, id), HM_REFUSED);
	cr_expect_str_eq(why.code, "approver_not_allowed");
	asked.proof.spki_sha256[0] = 8;
	cr_expect_eq(run(&asked, approval_api_grant, id), HM_OK);
}

Test(approval_api, who_asked_for_it_neither_grants_nor_denies)
{
	const char *id = ask(1);
	expect_refused(ASKER, approval_api_grant, id, "approver_not_allowed");
	expect_refused(ASKER, approval_api_deny, id, "approver_not_allowed");
	expect_done(BOB, approval_api_grant, id, "granted");
}

Test(approval_api, one_no_is_no)
{
	const char *id = ask(1);
	expect_done(BOB, approval_api_grant, id, "granted");
	expect_done(CAROL, approval_api_deny, id, "denied");
	cr_expect_eq(approval_state(approvals_find(service->approvals, id), now), APPROVAL_DENIED);
	expect_refused(DAVE, approval_api_grant, id, "approval_denied");
	expect_done(DAVE, approval_api_deny, id, "denied");
	cr_expect_null(entry, "it was denied already");
	cr_expect_str_eq(json_string_value(json_object_get(shown, "denied_by")), "carol");
}

Test(approval_api, nothing_is_done_after_its_time)
{
	const char *id = ask(1);
	now = NOW + WITHIN - 1;
	expect_done(BOB, approval_api_grant, id, "granted");
	now++;
	expect_refused(CAROL, approval_api_grant, id, "approval_expired");
	expect_refused(CAROL, approval_api_deny, id, "approval_expired");
}

Test(approval_api, nothing_is_done_after_its_use)
{
	const char *id = ask(1);
	struct changes *changes = changes_open();
	expect_done(BOB, approval_api_grant, id, "granted");
	cr_assert(approvals_put_used(changes, approvals_find(service->approvals, id)));
	cr_assert_eq(commit(changes), HM_OK);
	expect_refused(CAROL, approval_api_grant, id, "approval_used");
	expect_refused(CAROL, approval_api_deny, id, "approval_used");
}

Test(approval_api, it_is_used_once)
{
	const char *id = ask(1);
	struct changes *first = changes_open(), *second = changes_open();
	expect_done(BOB, approval_api_grant, id, "granted");
	const struct approval *approval = approvals_find(service->approvals, id);
	cr_assert(approvals_put_used(first, approval) && approvals_put_used(second, approval));
	cr_expect_eq(commit(first), HM_OK);
	cr_expect_eq(commit(second), HM_REFUSED);
	cr_expect_str_eq(why.code, "store_conflict");
	approval = approvals_find(service->approvals, id);
	cr_expect_eq(approvals_check(approval, "a", "asker", HASH, now, &why), HM_REFUSED);
	cr_expect_str_eq(why.code, "approval_used");
}

/* Both were decided on the same row: the second is decided anew, and then counts or is refused. */
Test(approval_api, of_two_at_once_one_is_decided_anew)
{
	static const struct {
		enum who first, second;
		api_operation *after;
		const char *code; /* of the second, decided anew; NULL: it is done */
	} cases[] = {{BOB, CAROL, approval_api_grant, NULL}, {BOB, BOB, approval_api_grant, "approver_not_allowed"},
		{BOB, CAROL, approval_api_deny, NULL}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const char *id = ask(2);
		struct changes *changes[2];
		struct asked asked = {.who = cases[i].first};
		cr_assert_eq(decide(&asked, approval_api_grant, id, &changes[0]), HM_OK);
		asked.who = cases[i].second;
		cr_assert_eq(decide(&asked, cases[i].after, id, &changes[1]), HM_OK);
		cr_expect_eq(commit(changes[0]), HM_OK);
		cr_expect_eq(commit(changes[1]), HM_REFUSED);
		cr_expect_eq(approvals_find(service->approvals, id)->granted, 1);
		if (cases[i].code)
			expect_refused(cases[i].second, cases[i].after, id, cases[i].code);
		else
			expect_done(cases[i].second, cases[i].after, id,
				cases[i].after == approval_api_deny ? "denied" : "granted");
	}
}

/* A no that came between a grant and its commit is not undone by it. */
Test(approval_api, a_grant_does_not_undo_a_no)
{
	const char *id = ask(1);
	struct changes *grant, *deny;
	const struct asked bob = {.who = BOB}, carol = {.who = CAROL};
	cr_assert_eq(decide(&bob, approval_api_grant, id, &grant), HM_OK);
	cr_assert_eq(decide(&carol, approval_api_deny, id, &deny), HM_OK);
	cr_expect_eq(commit(deny), HM_OK);
	cr_expect_eq(commit(grant), HM_REFUSED);
	expect_refused(BOB, approval_api_grant, id, "approval_denied");
}

Test(approval_api, what_is_not_ones_own_or_of_another_issuer_is_not_there)
{
	static const struct {
		enum who who;
		bool sees;
	} cases[] = {{ASKER, true}, {BOB, true}, {AUDITOR, true}, {OTHER_MINTER, false}, {FOREIGNER, false}};
	const char *id = ask(1);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		if (cases[i].sees)
			cr_expect_eq(act(cases[i].who, approval_api_show, id), HM_OK);
		else
			expect_refused(cases[i].who, approval_api_show, id, "unknown_approval");
		cr_expect_eq(act(cases[i].who, approval_api_list, NULL), HM_OK);
		cr_expect_eq(json_array_size(json_object_get(shown, "approvals")), cases[i].sees);
	}
	expect_refused(FOREIGNER, approval_api_grant, id, "unknown_approval");
	expect_refused(FOREIGNER, approval_api_deny, id, "unknown_approval");
	expect_refused(BOB, approval_api_grant, "QQQQQQQQQQQQQQQQQQQQQA", "unknown_approval");
}

Test(approval_api, what_is_recorded_says_what_was_done_to_what)
{
	const char *id = ask(2);
	const struct asked asked = {.who = BOB, .body = "{\"reason\":\"checked by phone\"}"};
	json_t *wanted = json_pack(
		"{s:s, s:s, s:s, s:s}", "act", "grant", "approval", id, "hash", HASH, "reason", "checked by phone");
	cr_assert_eq(run(&asked, approval_api_grant, id), HM_OK);
	cr_expect(json_equal(entry, wanted), "%s", json_dumps(entry, 0));
	json_decref(wanted);
	cr_assert_eq(act(CAROL, approval_api_deny, id), HM_OK);
	wanted = json_pack("{s:s, s:s, s:s}", "act", "deny", "approval", id, "hash", HASH);
	cr_expect(json_equal(entry, wanted), "%s", json_dumps(entry, 0));
	json_decref(wanted);
}

Test(approval_api, a_body_has_a_reason_and_nothing_else)
{
	static const struct {
		const char *body, *code;
	} cases[] = {{"{\"reason\":1}", "wrong_type"}, {"{\"reason\":\"\"}", "invalid_member"},
		{"{\"reason\":\"a\\nb\"}", "invalid_member"}, {"{\"why\":\"\"}", "unknown_member"}};
	const char *id = ask(1);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const struct asked asked = {.who = BOB, .body = cases[i].body};
		cr_expect_eq(run(&asked, approval_api_grant, id), HM_REFUSED);
		cr_expect_str_eq(why.code, cases[i].code, "%s", cases[i].body);
		cr_expect_eq(run(&asked, approval_api_deny, id), HM_REFUSED);
		cr_expect_str_eq(why.code, cases[i].code, "%s", cases[i].body);
	}
	cr_expect_eq(approvals_find(service->approvals, id)->granted, 0);
}

/* ---- waiting ---- */

static int status_of(enum who who, api_operation *operation, const char *id, const char *query, bool is_last)
{
	const struct asked asked = {.who = who, .query = query, .is_last = is_last};
	cr_assert_eq(run(&asked, operation, id), HM_OK, "%s", why.code);
	return status;
}

Test(approval_api, one_is_waited_for_until_it_is_decided)
{
	static const char wait[] = "{\"wait\":\"30\"}";
	const char *id = ask(2);
	cr_expect_eq(status_of(ASKER, approval_api_show, id, NULL, false), 200);
	cr_expect_eq(status_of(ASKER, approval_api_show, id, wait, false), 0);
	cr_expect_eq(status_of(ASKER, approval_api_show, id, wait, true), 200);
	expect_done(BOB, approval_api_grant, id, "pending");
	cr_expect_eq(status_of(ASKER, approval_api_show, id, wait, false), 0);
	expect_done(CAROL, approval_api_grant, id, "granted");
	cr_expect_eq(status_of(ASKER, approval_api_show, id, wait, false), 200);
	now = NOW + WITHIN;
	cr_expect_eq(status_of(ASKER, approval_api_show, ask(1), wait, false), 0);
}

Test(approval_api, an_approver_waits_for_what_waits_for_its_word)
{
	static const char wait[] = "{\"wait\":\"30\"}";
	cr_expect_eq(status_of(BOB, approval_api_list, NULL, NULL, false), 200);
	cr_expect_eq(status_of(BOB, approval_api_list, NULL, wait, false), 0);
	cr_expect_eq(status_of(BOB, approval_api_list, NULL, wait, true), 200);
	const char *id = ask(2);
	cr_expect_eq(status_of(BOB, approval_api_list, NULL, wait, false), 200);
	cr_expect_eq(status_of(ASKER, approval_api_list, NULL, wait, false), 0, "its own it does not grant");
	cr_expect_eq(status_of(AUDITOR, approval_api_list, NULL, wait, false), 200);
	cr_expect_eq(status_of(OTHER_MINTER, approval_api_list, NULL, wait, false), 0, "it is another's");
	expect_done(BOB, approval_api_grant, id, "pending");
	cr_expect_eq(status_of(BOB, approval_api_list, NULL, wait, false), 0);
	cr_expect_eq(status_of(CAROL, approval_api_list, NULL, wait, false), 200);
	expect_done(CAROL, approval_api_grant, id, "granted");
	cr_expect_eq(status_of(DAVE, approval_api_list, NULL, wait, false), 0);
}

Test(approval_api, what_a_list_is_asked_with)
{
	static const struct {
		const char *query, *code;
	} cases[] = {{"{\"limit\":\"0\"}", "invalid_member"}, {"{\"limit\":\"1001\"}", "invalid_member"},
		{"{\"wait\":\"31\"}", "invalid_member"}, {"{\"wait\":\"-1\"}", "invalid_member"},
		{"{\"state\":\"pending\"}", "unknown_member"}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const struct asked asked = {.who = BOB, .query = cases[i].query};
		cr_expect_eq(run(&asked, approval_api_list, NULL), HM_REFUSED, "%s", cases[i].query);
		cr_expect_str_eq(why.code, cases[i].code, "%s", cases[i].query);
	}
	ask(1);
	ask(1);
	cr_expect_eq(status_of(BOB, approval_api_list, NULL, "{\"limit\":\"1\"}", false), 200);
	const char *next = json_string_value(json_object_get(shown, "next"));
	cr_assert_not_null(next);
	cr_expect_str_eq(
		next, json_string_value(json_object_get(json_array_get(json_object_get(shown, "approvals"), 0), "id")));
	cr_expect_eq(status_of(BOB, approval_api_list, NULL, "{\"limit\":\"3\"}", false), 200);
	cr_expect_eq(json_array_size(json_object_get(shown, "approvals")), 2);
	cr_expect_null(json_object_get(shown, "next"));
}
