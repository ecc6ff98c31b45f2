/* SPDX-License-Identifier: Apache-2.0 */
#include "policy.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

/*
 * Two issuers, a and b. Caller "broker" of a and caller "broker" of b are different ones with the same name; the
 * caller with uid 1000 belongs to both.
 */
static struct config_issuer issuers[] = {
	{.name = "a", .url = "https://mint.test/a", .trust_domain = "a.test", .path = "/a"},
	{.name = "b", .url = "https://mint.test/b", .trust_domain = "b.test", .path = "/b"},
};

static struct config_key keys[] = {
	{.name = "a-access", .issuer_index = 0, .use = KEY_USE_ACCESS_TOKEN},
	{.name = "b-access", .issuer_index = 1, .use = KEY_USE_ACCESS_TOKEN},
};

static uint32_t uid_1000 = 1000, uid_1001 = 1001, uid_1002 = 1002, root = 0;

static struct config_caller callers[] = {
	{.name = "broker", .issuer_index = 0, .uri = "spiffe://a.test/broker", .roles = ROLE_MINT},
	{.name = "broker", .issuer_index = 1, .uri = "spiffe://b.test/broker", .roles = ROLE_MINT},
	{.name = "local", .issuer_index = 0, .uid = &uid_1000, .roles = ROLE_MINT | ROLE_AUDIT},
	{.name = "local", .issuer_index = 1, .uid = &uid_1000, .roles = ROLE_MINT},
	{.name = "auditor",
		.issuer_index = 0,
		.uid = &uid_1001,
		.roles = ROLE_TASK | ROLE_AUDIT | ROLE_REGISTER | ROLE_APPROVE | ROLE_REVOKE | ROLE_OPERATE},
	{.name = "stranger", .issuer_index = 0, .uid = &uid_1002, .roles = ROLE_MINT},
	{.name = "pinned",
		.issuer_index = 0,
		.spki = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE",
		.spki_sha256 = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
			1, 1, 1},
		.roles = ROLE_MINT},
};

static char *a_audiences[] = {"https://api.a.test", "https://*.a.test/mcp"};
static char *a_subjects[] = {"spiffe://a.test/agent/*", "spiffe://b.test/agent/*"};
static char *a_scopes[] = {"read", "write", "read:all"};
static char *a_callers[] = {"broker", "local", "auditor", "pinned"};
static char *b_audiences[] = {"https://api.a.test"};
static char *b_subjects[] = {"spiffe://b.test/agent/*"};
static char *b_callers[] = {"broker", "local"};
static unsigned no_backdate = 0;

static struct config_profile profiles[] = {
	{.name = "a-access",
		.kind = KIND_ACCESS_TOKEN,
		.lifetime = {300, 900},
		.audiences = a_audiences,
		.audiences_count = 2,
		.subjects = a_subjects,
		.subjects_count = 2,
		.scopes = a_scopes,
		.scopes_count = 3,
		.callers = a_callers,
		.callers_count = 4,
		.issuer_index = 0,
		.key_indexes = {0},
		.key_count = 1},
	{.name = "b-access",
		.kind = KIND_ACCESS_TOKEN,
		.lifetime = {60, 60},
		.backdate = &no_backdate,
		.audiences = b_audiences,
		.audiences_count = 1,
		.subjects = b_subjects,
		.subjects_count = 1,
		.callers = b_callers,
		.callers_count = 2,
		.issuer_index = 1,
		.key_indexes = {1},
		.key_count = 1},
};

static const struct config config = {.issuers = issuers,
	.issuers_count = 2,
	.keys = keys,
	.keys_count = 2,
	.profiles = profiles,
	.profiles_count = 2,
	.callers = callers,
	.callers_count = sizeof callers / sizeof *callers};

static const struct gate_caller a_broker = {.kind = CALLER_CERTIFICATE, .uri = "spiffe://a.test/broker"};
static const struct gate_caller b_broker = {.kind = CALLER_CERTIFICATE, .uri = "spiffe://b.test/broker"};
static const struct gate_caller local = {.kind = CALLER_UNIX, .uid = 1000};
static const struct gate_caller auditor = {.kind = CALLER_UNIX, .uid = 1001};
static const struct gate_caller stranger = {.kind = CALLER_UNIX, .uid = 1002};
static const struct gate_caller nobody = {.kind = CALLER_UNIX, .uid = 4711};

static struct mint_request request;
static struct decision decision;
static struct hm_problem why;

static struct policy_views views;
static const struct policy_granted nothing;

/* Of agents these tests say nothing: all are of a class that is in order. */
static void register_all(const char *issuer, const char *id, const char *pattern)
{
	char key[64], body[256];
	snprintf(key, sizeof key, "%s %s", issuer, pattern);
	int length = snprintf(body, sizeof body,
		"{\"class\":true,\"contact\":\"\",\"created\":1,\"id\":\"%s\",\"owner\":\"alice\",\"purpose\":\"test\","
		"\"review\":2000,\"status\":\"active\"}",
		id);
	const struct store_row row = {RECORD_AGENT, key, 1, body, (size_t)length};
	cr_assert_eq(agents_take((struct agents *)views.agents, &row, &why), HM_OK, "%s", why.detail);
}

static void begin(void)
{
	views = (struct policy_views){agents_open(), tasks_open(), approvals_open(), 1000};
	register_all("a", "AAAAAAAAAAAAAAAAAAAAAA", "spiffe://a.test/agent/*");
	register_all("b", "BBBBBBBBBBBBBBBBBBBBBA", "spiffe://b.test/agent/*");
	request = (struct mint_request){.profile = "a-access",
		.subject = "spiffe://a.test/agent/first",
		.audiences = {"https://api.a.test"},
		.audience_count = 1};
}

static void finish(void)
{
	agents_close((struct agents *)views.agents);
	tasks_close((struct tasks *)views.tasks);
	approvals_close((struct approvals *)views.approvals);
}

TestSuite(policy, .init = begin, .fini = finish);

static hm_result decide(const struct gate_caller *caller)
{
	why = (struct hm_problem){0};
	return policy_decide(&config, &views, &nothing, caller, &request, &decision, &why);
}

static void expect_refused(const struct gate_caller *caller, const char *code, const char *field)
{
	cr_expect_eq(decide(caller), HM_REFUSED, "%s", code);
	cr_expect_str_eq(why.code ? why.code : "", code);
	cr_expect_str_eq(why.field, field, "%s", code);
	cr_expect_str_neq(why.detail, "", "%s", code);
}

/* ---- who ---- */

Test(policy, a_caller_of_the_profile_gets_its_issuer_key_and_defaults)
{
	cr_assert_eq(decide(&a_broker), HM_OK, "%s", why.detail);
	cr_expect_eq(decision.profile, &profiles[0]);
	cr_expect_eq(decision.issuer, &issuers[0]);
	cr_expect_eq(decision.caller, &callers[0]);
	cr_expect_eq(decision.lifetime, 300);
	cr_expect_eq(decision.backdate, 5, "where the profile says nothing");
}

static const struct {
	struct gate_caller caller;
	int issuer, known; /* -1: nobody */
} callers_found[] = {
	{{.kind = CALLER_CERTIFICATE, .uri = "spiffe://a.test/broker"}, 0, 0},
	{{.kind = CALLER_CERTIFICATE, .uri = "spiffe://a.test/broker"}, 1, -1},
	{{.kind = CALLER_CERTIFICATE, .uri = "spiffe://b.test/broker"}, 0, -1},
	{{.kind = CALLER_CERTIFICATE, .uri = "spiffe://b.test/broker"}, 1, 1},
	{{.kind = CALLER_CERTIFICATE, .uri = "spiffe://a.test/broker/"}, 0, -1},
	{{.kind = CALLER_CERTIFICATE, .uri = "spiffe://a.test/BROKER"}, 0, -1},
	{{.kind = CALLER_CERTIFICATE, .uri = ""}, 0, -1},
	{{.kind = CALLER_UNIX, .uid = 1000}, 0, 2},
	{{.kind = CALLER_UNIX, .uid = 1000}, 1, 3},
	{{.kind = CALLER_UNIX, .uid = 1001}, 1, -1},
	{{.kind = CALLER_UNIX, .uid = 0}, 0, -1},
	{{.kind = CALLER_UNIX, .uid = UINT32_MAX}, 0, -1},
	/* what belongs to the other kind of connection proves nothing */
	{{.kind = CALLER_CERTIFICATE, .uid = 1000, .uri = "spiffe://other.test/x"}, 0, -1},
	{{.kind = CALLER_UNIX, .uid = 4711, .uri = "spiffe://a.test/broker"}, 0, -1},
};

Test(policy, a_caller_is_known_by_what_its_connection_proves_and_at_its_issuer_only)
{
	for (size_t i = 0; i < sizeof callers_found / sizeof *callers_found; i++) {
		int known = callers_found[i].known;
		cr_expect_eq(policy_find_caller(&config, (unsigned)callers_found[i].issuer, &callers_found[i].caller),
			known < 0 ? NULL : &callers[known], "case %zu", i);
	}
}

Test(policy, a_key_hash_must_be_the_same_in_every_byte)
{
	struct gate_caller caller = {.kind = CALLER_CERTIFICATE};
	memset(caller.spki_sha256, 1, sizeof caller.spki_sha256);
	cr_expect_eq(policy_find_caller(&config, 0, &caller), &callers[6]);
	for (size_t i = 0; i < sizeof caller.spki_sha256; i++) {
		caller.spki_sha256[i] ^= 0x80;
		cr_expect_null(policy_find_caller(&config, 0, &caller), "byte %zu", i);
		caller.spki_sha256[i] ^= 0x80;
	}
	caller.kind = CALLER_UNIX;
	cr_expect_null(policy_find_caller(&config, 0, &caller));
}

/* Callers that are known otherwise have a hash of zeros in memory. */
Test(policy, a_key_hash_of_zeros_is_no_caller)
{
	struct gate_caller caller = {.kind = CALLER_CERTIFICATE, .uri = "spiffe://other.test/x"};
	cr_expect_null(policy_find_caller(&config, 0, &caller));
	cr_expect_null(policy_find_caller(&config, 1, &caller));
}

Test(policy, a_uri_goes_before_the_hash_of_the_key)
{
	struct gate_caller caller = a_broker;
	memset(caller.spki_sha256, 1, sizeof caller.spki_sha256);
	cr_expect_eq(policy_find_caller(&config, 0, &caller), &callers[0]);
}

Test(policy, root_is_a_caller_like_any_other)
{
	const struct gate_caller as_root = {.kind = CALLER_UNIX, .uid = 0};
	expect_refused(&as_root, "unknown_caller", "");
	uid_1002 = root;
	cr_expect_eq(policy_find_caller(&config, 0, &as_root), &callers[5]);
}

Test(policy, who_is_not_configured_learns_nothing_of_profiles)
{
	expect_refused(&nobody, "unknown_caller", "");
	request.profile = "no-such-profile";
	expect_refused(&nobody, "unknown_caller", "");
}

Test(policy, a_profile_that_is_not_there_is_unknown)
{
	static const char *const names[] = {"", "A-ACCESS", "a-access ", "a-acces", "a-access-2"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		request.profile = names[i];
		expect_refused(&a_broker, "unknown_profile", "profile");
	}
}

Test(policy, every_role_together_is_not_the_role_mint)
{
	expect_refused(&auditor, "role_missing", "");
}

Test(policy, a_caller_that_the_profile_does_not_list_is_refused)
{
	expect_refused(&stranger, "caller_not_allowed", "profile");
}

/* ---- issuers ---- */

Test(policy, a_caller_of_one_issuer_cannot_tell_the_others_profile_from_none)
{
	expect_refused(&b_broker, "unknown_profile", "profile");
	char there[sizeof why.detail];
	strcpy(there, why.detail);
	request.profile = "no-such-profile";
	expect_refused(&b_broker, "unknown_profile", "profile");
	cr_expect_str_eq(why.detail, there);
}

Test(policy, a_caller_of_both_issuers_gets_each_profiles_own)
{
	cr_assert_eq(decide(&local), HM_OK, "%s", why.detail);
	cr_expect_eq(decision.issuer, &issuers[0]);
	cr_expect_eq(decision.caller, &callers[2]);
	request.profile = "b-access";
	request.subject = "spiffe://b.test/agent/first";
	cr_assert_eq(decide(&local), HM_OK, "%s", why.detail);
	cr_expect_eq(decision.issuer, &issuers[1]);
	cr_expect_eq(decision.caller, &callers[3]);
	cr_expect_eq(decision.lifetime, 60);
	cr_expect_eq(decision.backdate, 0, "as the profile says");
}

/* A pattern that names another trust domain is refused when the configuration is read; nothing rests on that. */
Test(policy, a_subject_of_the_others_trust_domain_is_refused_even_when_a_pattern_matches)
{
	request.subject = "spiffe://b.test/agent/first";
	expect_refused(&a_broker, "subject_not_allowed", "subject");
	cr_expect(strstr(why.detail, "a.test"));
}

/* ---- what ---- */

static const struct {
	const char *subject, *code;
} subjects[] = {
	{"", "invalid_subject"},
	{"root", "invalid_subject"},
	{"spiffe://a.test", "invalid_subject"},
	{"spiffe://a.test/", "invalid_subject"},
	{"spiffe://a.test/agent/../admin", "invalid_subject"},
	{"spiffe://a.test/agent/%2e%2e", "invalid_subject"},
	{"spiffe://a.test/agent/*", "invalid_subject"},
	{"spiffe://a.test/agent/", "invalid_subject"},
	{"SPIFFE://a.test/agent/first", "invalid_subject"},
	{"spiffe://A.test/agent/first", "invalid_subject"},
	{"https://a.test/agent/first", "invalid_subject"},
	{"spiffe://a.test.evil/agent/first", "subject_not_allowed"},
	{"spiffe://a.tes/agent/first", "subject_not_allowed"},
	{"spiffe://evil.a.test/agent/first", "subject_not_allowed"},
	{"spiffe://a.test/agent", "subject_not_allowed"},
	{"spiffe://a.test/agents/first", "subject_not_allowed"},
	{"spiffe://a.test/agent/first/second", "subject_not_allowed"},
	{"spiffe://a.test/other", "subject_not_allowed"},
};

Test(policy, a_subject_must_be_a_spiffe_id_that_a_pattern_allows)
{
	for (size_t i = 0; i < sizeof subjects / sizeof *subjects; i++) {
		request.subject = subjects[i].subject;
		cr_expect_eq(decide(&a_broker), HM_REFUSED, "%s", request.subject);
		cr_expect_str_eq(why.code ? why.code : "", subjects[i].code, "%s", request.subject);
		cr_expect_str_eq(why.field, "subject");
	}
}

Test(policy, every_audience_must_be_allowed_not_just_one)
{
	request.audience_count = 2;
	request.audiences[1] = "https://x.a.test/mcp";
	cr_expect_eq(decide(&a_broker), HM_OK, "%s", why.detail);
	static const char *const others[] = {"https://api.a.test/", "https://api.a.test.evil", "https://a/b.a.test/mcp",
		"http://api.a.test", "https://API.a.test", "https://.a.test/mcp"};
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		request.audiences[1] = others[i];
		expect_refused(&a_broker, "audience_not_allowed", "audience");
	}
	request.audiences[0] = "https://evil.test";
	request.audiences[1] = "https://api.a.test";
	expect_refused(&a_broker, "audience_not_allowed", "audience");
}

static const char *const good_scopes[] = {"read", "write", "read write", "write read", "read write read:all"};

Test(policy, scopes_that_the_profile_lists_are_allowed_in_any_order)
{
	for (size_t i = 0; i < sizeof good_scopes / sizeof *good_scopes; i++) {
		request.scope = good_scopes[i];
		cr_expect_eq(decide(&a_broker), HM_OK, "'%s': %s", request.scope, why.detail);
	}
}

/* RFC 6749, section 3.3: scope-tokens with exactly one space between them. */
static const struct {
	const char *scope, *code;
} bad_scopes[] = {
	{"", "invalid_scope"},
	{" ", "invalid_scope"},
	{" read", "invalid_scope"},
	{"read ", "invalid_scope"},
	{"read  write", "invalid_scope"},
	{"read read", "invalid_scope"},
	{"read write read", "invalid_scope"},
	{"read\twrite", "scope_not_allowed"},
	{"read,write", "scope_not_allowed"},
	{"Read", "scope_not_allowed"},
	{"rea", "scope_not_allowed"},
	{"read:", "scope_not_allowed"},
	{"read:all:more", "scope_not_allowed"},
	{"read admin", "scope_not_allowed"},
	{"*", "scope_not_allowed"},
};

Test(policy, a_scope_that_is_malformed_or_not_listed_is_refused)
{
	for (size_t i = 0; i < sizeof bad_scopes / sizeof *bad_scopes; i++) {
		request.scope = bad_scopes[i].scope;
		cr_expect_eq(decide(&a_broker), HM_REFUSED, "'%s'", request.scope);
		cr_expect_str_eq(why.code ? why.code : "", bad_scopes[i].code, "'%s'", request.scope);
		cr_expect_str_eq(why.field, "scope");
	}
}

Test(policy, scopes_are_at_most_32_of_at_most_64_characters)
{
	static char names[33][66], all[33 * 66];
	static char *listed[33];
	profiles[0].scopes = listed;
	profiles[0].scopes_count = 33;
	for (size_t i = 0; i < 33; i++) {
		memset(names[i], 'a', 64);
		names[i][0] = (char)('A' + i);
		listed[i] = names[i];
		if (i < 32)
			strcat(strcat(all, i ? " " : ""), names[i]);
	}
	request.scope = all;
	cr_expect_eq(decide(&a_broker), HM_OK, "%s", why.detail);
	strcat(strcat(all, " "), names[32]);
	expect_refused(&a_broker, "invalid_scope", "scope");
	strcpy(all, names[0]);
	strcat(all, "a");
	strcat(names[0], "a");
	expect_refused(&a_broker, "invalid_scope", "scope");
}

Test(policy, a_profile_without_scopes_allows_none)
{
	request.profile = "b-access";
	request.subject = "spiffe://b.test/agent/first";
	cr_expect_eq(decide(&b_broker), HM_OK, "%s", why.detail);
	request.scope = "read";
	expect_refused(&b_broker, "scope_not_allowed", "scope");
}

Test(policy, a_lifetime_is_granted_as_asked_or_refused_and_never_cut)
{
	static const struct {
		int64_t asked;
		unsigned granted; /* 0: refused */
	} cases[] = {
		{0, 300}, {1, 1}, {299, 299}, {900, 900}, {901, 0}, {86400, 0}, {4294967296 + 1, 0}, {INT64_MAX, 0}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		request.lifetime = cases[i].asked;
		if (cases[i].granted) {
			cr_expect_eq(decide(&a_broker), HM_OK, "%ld: %s", (long)request.lifetime, why.detail);
			cr_expect_eq(decision.lifetime, cases[i].granted, "%ld", (long)request.lifetime);
		} else {
			expect_refused(&a_broker, "lifetime_not_allowed", "lifetime");
			cr_expect(strstr(why.detail, "900"), "%s", why.detail);
		}
	}
}

Test(policy, claims_that_the_profile_does_not_list_are_refused)
{
	request.claims = json_loads("{\"admin\":true}", 0, NULL);
	expect_refused(&a_broker, "claim_not_allowed", "claims.admin");
	json_decref(request.claims);
}

/* The order of policy.h: who comes first, so that a stranger learns nothing from the rest. */
Test(policy, the_first_rule_that_says_no_is_the_one_told)
{
	request.subject = "bad";
	request.audiences[0] = "https://evil.test";
	request.scope = "admin";
	request.lifetime = 100000;
	request.claims = json_loads("{\"admin\":true}", 0, NULL);
	expect_refused(&nobody, "unknown_caller", "");
	expect_refused(&auditor, "role_missing", "");
	expect_refused(&stranger, "caller_not_allowed", "profile");
	expect_refused(&a_broker, "invalid_subject", "subject");
	request.subject = "spiffe://a.test/agent/first";
	expect_refused(&a_broker, "audience_not_allowed", "audience");
	request.audiences[0] = "https://api.a.test";
	expect_refused(&a_broker, "scope_not_allowed", "scope");
	request.scope = "read";
	expect_refused(&a_broker, "lifetime_not_allowed", "lifetime");
	request.lifetime = 900;
	expect_refused(&a_broker, "claim_not_allowed", "claims.admin");
	json_decref(request.claims);
	request.claims = NULL;
	cr_expect_eq(decide(&a_broker), HM_OK, "%s", why.detail);
}

/* ---- tenant ---- */

/* Decide for the local caller of a, with this context, when it speaks for tenants. */
static hm_result decide_for_tenants(const char *context)
{
	static struct config_caller speaking[sizeof callers / sizeof *callers];
	static struct config with;
	memcpy(speaking, callers, sizeof callers);
	speaking[2].tenant = "customer";
	with = config;
	with.callers = speaking;
	json_decref(request.context);
	request.context = context ? json_loads(context, 0, NULL) : NULL;
	why = (struct hm_problem){0};
	return policy_decide(&with, &views, &nothing, &local, &request, &decision, &why);
}

Test(policy, a_caller_that_speaks_for_tenants_says_for_which)
{
	cr_assert_eq(decide_for_tenants("{\"traceparent\":\"00\",\"customer\":\"acme\"}"), HM_OK, "%s", why.detail);
	cr_expect_str_eq(decision.tenant, "acme");
	static const char *const without[] = {NULL, "{}", "{\"tenant\":\"acme\"}"};
	for (size_t i = 0; i < sizeof without / sizeof *without; i++) {
		cr_expect_eq(decide_for_tenants(without[i]), HM_REFUSED);
		cr_expect_str_eq(why.code, "missing_member");
		cr_expect_str_eq(why.field, "context.customer");
	}
	json_decref(request.context);
}

Test(policy, a_tenant_has_1_to_128_bytes)
{
	char context[2 * HM_TENANT_MAX];
	for (int length = 0; length <= HM_TENANT_MAX + 1; length++) {
		snprintf(context, sizeof context, "{\"customer\":\"%.*s\"}", length,
			"tttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt"
			"tttttttt"
			"tttttttttttttttttttttttttttttttttttttttttt");
		hm_result wanted = length >= 1 && length <= HM_TENANT_MAX ? HM_OK : HM_REFUSED;
		cr_assert_eq(decide_for_tenants(context), wanted, "%d", length);
		if (wanted == HM_OK)
			continue;
		cr_expect_str_eq(why.code, "invalid_context");
		cr_expect_str_eq(why.field, "context.customer");
	}
	json_decref(request.context);
}

Test(policy, a_caller_without_tenants_has_none_whatever_its_context)
{
	request.context = json_loads("{\"customer\":\"acme\"}", 0, NULL);
	cr_assert_eq(policy_decide(&config, &views, &nothing, &local, &request, &decision, &why), HM_OK);
	cr_expect_null(decision.tenant);
	json_decref(request.context);
}

/* ---- which key ---- */

static const struct {
	unsigned wanted;
	const char *jkt, *x5t;
	const char *cnf, *thumbprint; /* NULL: bound to none */
	bool is_refused;
} proofs[] = {
	{0, "", "", NULL, NULL, false},
	{0, "dpop", "", "jkt", "dpop", false},
	{0, "", "tls", NULL, NULL, false},
	{0, "dpop", "tls", "jkt", "dpop", false},
	{PROOF_DPOP, "", "", NULL, NULL, true},
	{PROOF_DPOP, "", "tls", NULL, NULL, true},
	{PROOF_DPOP, "dpop", "tls", "jkt", "dpop", false},
	{PROOF_MTLS, "", "", NULL, NULL, true},
	{PROOF_MTLS, "dpop", "tls", NULL, NULL, true},
	{PROOF_MTLS, "", "tls", "x5t#S256", "tls", false},
	{PROOF_DPOP | PROOF_MTLS, "", "", NULL, NULL, true},
	{PROOF_DPOP | PROOF_MTLS, "", "tls", "x5t#S256", "tls", false},
	{PROOF_DPOP | PROOF_MTLS, "dpop", "tls", "jkt", "dpop", false},
};

Test(policy, a_credential_is_bound_to_the_key_that_was_proven_as_the_profile_wants_it)
{
	for (size_t i = 0; i < sizeof proofs / sizeof *proofs; i++) {
		profiles[0].proof = proofs[i].wanted;
		snprintf(request.proof.jkt, sizeof request.proof.jkt, "%s", proofs[i].jkt);
		snprintf(request.proof.x5t_s256, sizeof request.proof.x5t_s256, "%s", proofs[i].x5t);
		if (proofs[i].is_refused) {
			expect_refused(&a_broker, "key_proof_required", "");
			continue;
		}
		cr_assert_eq(decide(&a_broker), HM_OK, "case %zu: %s", i, why.detail);
		cr_expect_str_eq(decision.cnf ? decision.cnf : "", proofs[i].cnf ? proofs[i].cnf : "", "case %zu", i);
		cr_expect_str_eq(decision.thumbprint ? decision.thumbprint : "",
			proofs[i].thumbprint ? proofs[i].thumbprint : "", "case %zu", i);
	}
}
