/* SPDX-License-Identifier: Apache-2.0 */
#include "identity.h"

#include <criterion/criterion.h>
#include <string.h>

static struct hm_problem why;

/* Callers that are known by a URI. */
static struct config_caller callers[] = {
	{.uri = "spiffe://a.test/broker"}, {.spki = "…"}, {.uri = "spiffe://a.test/brokes"}};
static struct config config = {.callers = callers, .callers_count = 3};

static struct identity of_caller(struct gate_caller caller)
{
	struct identity who;
	cr_assert_eq(identity_of_caller(&config, &caller, &who, &why), HM_OK);
	return who;
}

static struct identity of_words(const char *kind, const char *first, const char *second, const char *third)
{
	struct identity who;
	cr_assert_eq(identity_of_words(kind, first, second, third, &who, &why), HM_OK);
	return who;
}

static bool is_same(struct identity a, struct identity b)
{
	return memcmp(&a, &b, sizeof a) == 0;
}

Test(identity, a_unix_peer_is_its_uid_whatever_its_process)
{
	struct identity who = of_caller((struct gate_caller){.kind = CALLER_UNIX, .uid = 1000, .gid = 1, .pid = 2});
	cr_expect(is_same(who, of_caller((struct gate_caller){.kind = CALLER_UNIX, .uid = 1000, .gid = 7, .pid = 8})));
	cr_expect_not(is_same(who, of_caller((struct gate_caller){.kind = CALLER_UNIX, .uid = 1001, .gid = 1})));
	cr_expect_not(is_same(of_caller((struct gate_caller){.kind = CALLER_UNIX}),
		of_caller((struct gate_caller){.kind = CALLER_CERTIFICATE})));
}

Test(identity, a_certificate_is_its_uri_whatever_its_key)
{
	struct gate_caller caller = {.kind = CALLER_CERTIFICATE, .uri = "spiffe://a.test/broker", .spki_sha256 = {1}};
	struct identity who = of_caller(caller);
	caller.spki_sha256[0] = 2;
	cr_expect(is_same(who, of_caller(caller)), "a renewed key");
	strcpy(caller.uri, "spiffe://a.test/brokes");
	cr_expect_not(is_same(who, of_caller(caller)));
}

Test(identity, a_certificate_whose_uri_no_caller_is_known_by_is_its_key)
{
	struct gate_caller caller = {.kind = CALLER_CERTIFICATE, .uri = "https://a.test/agents", .spki_sha256 = {1}};
	struct identity who = of_caller(caller);
	caller.spki_sha256[0] = 2;
	cr_expect_not(is_same(who, of_caller(caller)), "two callers may have one URI");
}

/* Everything that makes another credential of the same request, or of the same for another caller. */
Test(identity, terms_are_the_same_only_where_all_is)
{
	struct config_claim claims[] = {{.name = "a", .constant = "b"}, {.name = "c"}};
	struct config_profile profile = {.name = "access", .claims = claims, .claims_count = 2};
	struct config_issuer issuer = {.url = "https://mint.test/a"};
	struct config_caller caller = {.name = "broker"};
	struct decision decision = {.profile = &profile, .issuer = &issuer, .caller = &caller, .backdate = 5};
	struct identity first, other;
	cr_assert_eq(identity_of_terms(&decision, &first, &why), HM_OK);
	cr_assert_eq(identity_of_terms(&decision, &other, &why), HM_OK);
	cr_expect(is_same(first, other));
	struct {
		const char *what;
		char **place, *value;
	} changes[] = {{"issuer", &issuer.url, "https://mint.test/b"}, {"caller", &caller.name, "other"},
		{"profile", &profile.name, "else"}, {"constant", &claims[0].constant, "B"},
		{"constant", &claims[1].constant, "d"}, {"claim", &claims[0].name, "A"}};
	for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
		char *before = *changes[i].place;
		*changes[i].place = changes[i].value;
		cr_assert_eq(identity_of_terms(&decision, &other, &why), HM_OK);
		cr_expect_not(is_same(first, other), "%s", changes[i].what);
		*changes[i].place = before;
	}
	profile.kind = CREDENTIAL_KINDS;
	cr_assert_eq(identity_of_terms(&decision, &other, &why), HM_OK);
	cr_expect_not(is_same(first, other), "kind");
	profile.kind = 0;
	decision.backdate = 6;
	cr_assert_eq(identity_of_terms(&decision, &other, &why), HM_OK);
	cr_expect_not(is_same(first, other), "backdate");
}

Test(identity, a_certificate_without_a_uri_is_its_key)
{
	struct gate_caller caller = {.kind = CALLER_CERTIFICATE, .spki_sha256 = {1}};
	struct identity who = of_caller(caller);
	cr_expect(is_same(who, of_caller(caller)));
	caller.spki_sha256[31] = 1;
	cr_expect_not(is_same(who, of_caller(caller)));
}

Test(identity, the_longest_uri_and_key_have_one)
{
	struct gate_caller caller = {.kind = CALLER_CERTIFICATE};
	char key[HM_IDEMPOTENCY_KEY_MAX + 1] = "";
	struct identity who, other;
	memset(caller.uri, 'u', HM_SPIFFE_ID_MAX);
	memset(key, 'k', HM_IDEMPOTENCY_KEY_MAX);
	struct identity owner = of_caller(caller);
	cr_expect_eq(identity_of_key(&owner, key, &who, &why), HM_OK);
	key[HM_IDEMPOTENCY_KEY_MAX - 1] = 'l';
	cr_expect_eq(identity_of_key(&owner, key, &other, &why), HM_OK);
	cr_expect_not(is_same(who, other), "the last character counts");
}

Test(identity, the_same_key_of_another_caller_is_another)
{
	struct identity a = of_caller((struct gate_caller){.kind = CALLER_UNIX, .uid = 1}), of_a, again;
	struct identity b = of_caller((struct gate_caller){.kind = CALLER_UNIX, .uid = 2}), of_b;
	cr_assert_eq(identity_of_key(&a, "k", &of_a, &why), HM_OK);
	cr_assert_eq(identity_of_key(&b, "k", &of_b, &why), HM_OK);
	cr_assert_eq(identity_of_key(&a, "k", &again, &why), HM_OK);
	cr_expect_not(is_same(of_a, of_b));
	cr_expect(is_same(of_a, again));
	cr_expect_not(is_same(of_a, a));
}

Test(identity, words_are_not_the_same_words_cut_elsewhere)
{
	static const char *const all[][4] = {{"ab", "c", NULL, NULL}, {"a", "bc", NULL, NULL},
		{"abc", NULL, NULL, NULL}, {"ab", "c", "", NULL}, {"ab", "", "c", NULL}, {"a", "b", "c", NULL},
		{"a", "b", "c", ""}, {"a", "b", "", "c"}, {"a", "c", "b", NULL}};
	enum { ALL = sizeof all / sizeof *all };
	struct identity who[ALL];
	for (size_t i = 0; i < ALL; i++) {
		who[i] = of_words(all[i][0], all[i][1], all[i][2], all[i][3]);
		for (size_t other = 0; other < i; other++) {
			cr_expect_not(is_same(who[i], who[other]), "%zu and %zu", i, other);
			cr_expect_neq(identity_number(&who[i]), identity_number(&who[other]));
		}
	}
	cr_expect(is_same(of_words("a", "b", NULL, "x"), of_words("a", "b", NULL, NULL)), "NULL ends them");
}

Test(identity, the_longest_agent_has_one)
{
	static char subject[HM_SPIFFE_ID_MAX + 1], name[HM_NAME_MAX + 1];
	memset(subject, 's', HM_SPIFFE_ID_MAX);
	memset(name, 'n', HM_NAME_MAX);
	struct identity who = of_words("profile", name, name, subject);
	subject[HM_SPIFFE_ID_MAX - 1] = 't';
	cr_expect_not(is_same(who, of_words("profile", name, name, subject)));
}

Test(identity, what_is_too_long_is_refused_and_not_cut)
{
	static char text[2 * HM_SPIFFE_ID_MAX];
	struct identity who;
	memset(text, 'x', sizeof text - 1);
	cr_expect_eq(identity_of_words("a", text, NULL, NULL, &who, &why), HM_BROKEN);
}
