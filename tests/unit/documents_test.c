/* SPDX-License-Identifier: Apache-2.0 */
#include "documents.h"

#include <criterion/criterion.h>
#include <ftw.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* RFC 8414, section 2, of the issuer https://mint.test/a/b. */
#define COMMON_METADATA                                                                                      \
	"\"issuer\":\"https://mint.test/a/b\",\"jwks_uri\":\"https://mint.test/a/b/.well-known/jwks.json\"," \
	"\"authorization_endpoint\":\"https://mint.test/a/b/oauth2/authorize\","                             \
	"\"response_types_supported\":[],\"code_challenge_methods_supported\":[\"S256\"],"                   \
	"\"introspection_endpoint\":\"https://mint.test/a/b/oauth2/introspect\","                            \
	"\"introspection_endpoint_auth_methods_supported\":[\"tls_client_auth\"],"                           \
	"\"revocation_endpoint\":\"https://mint.test/a/b/oauth2/revoke\","                                   \
	"\"revocation_endpoint_auth_methods_supported\":[\"tls_client_auth\"]"

#define MEMBERS(x) "\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"" x "\",\"y\":\"yy\""

enum { A_ACCESS, A_SVID, B_SVID, B_STATUS, KEYS };

static char state[] = "/tmp/hsmint-documents-XXXXXX";
static struct config_issuer issuers[] = {
	{.name = "a", .url = "https://mint.test/a/b", .trust_domain = "a.test", .path = "/a/b"},
	{.name = "b", .url = "https://mint.test", .trust_domain = "b.test", .path = ""},
};
static struct config_key config_keys[KEYS] = {
	{.name = "a-access", .issuer_index = 0, .use = KEY_USE_ACCESS_TOKEN},
	{.name = "a-svid", .issuer_index = 0, .use = KEY_USE_JWT_SVID},
	{.name = "b-svid", .issuer_index = 1, .use = KEY_USE_JWT_SVID},
	{.name = "b-status", .issuer_index = 1, .use = KEY_USE_STATUS_LIST},
};
static struct config config = {
	.state = state, .issuers = issuers, .issuers_count = 2, .keys = config_keys, .keys_count = KEYS};
static struct key_version versions[KEYS];
static struct issuing_keys keys;
static struct publications *publications;
static struct hm_problem why;
static unsigned changes;

static void begin(void)
{
	cr_assert_not_null(mkdtemp(state));
	publications = publications_open();
	cr_assert_not_null(publications);
	keys.count = KEYS;
	for (int i = 0; i < KEYS; i++) {
		versions[i] = (struct key_version){.number = 1, .state = KEY_ACTIVE};
		keys.items[i] = (struct issuing_key){.config = &config_keys[i], .version = &versions[i], .known = true};
	}
	strcpy(keys.items[A_ACCESS].jwk.kid, "kid-a-access");
	strcpy(keys.items[A_ACCESS].jwk.members, MEMBERS("aa"));
	strcpy(keys.items[A_SVID].jwk.kid, "kid-a-svid");
	strcpy(keys.items[A_SVID].jwk.members, MEMBERS("as"));
	strcpy(keys.items[B_SVID].jwk.kid, "kid-b-svid");
	strcpy(keys.items[B_SVID].jwk.members, MEMBERS("bs"));
	strcpy(keys.items[B_STATUS].jwk.kid, "kid-b-status");
	strcpy(keys.items[B_STATUS].jwk.members, MEMBERS("bl"));
}

static int remove_one(const char *path, const struct stat *stat, int kind, struct FTW *where)
{
	(void)stat, (void)kind, (void)where;
	return remove(path);
}

static void end(void)
{
	publications_close(publications);
	(void)nftw(state, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

TestSuite(documents, .init = begin, .fini = end);

static void note_change(void *context, const struct gate_publish *publish)
{
	(void)context;
	cr_expect_eq(publish->status, strstr(publish->path, "/oauth2/authorize") ? 400 : 200);
	changes++;
}

static hm_result publish(void)
{
	changes = 0;
	return documents_publish(&config, &keys, publications, note_change, NULL, &why);
}

static json_t *published(const char *path)
{
	const struct gate_publish *document = publications_find(publications, path);
	cr_assert_not_null(document, "%s", path);
	cr_expect_str_eq(document->content_type, "application/json");
	cr_expect_str_eq(document->cache_control, "public, max-age=300");
	json_t *json =
		json_loadb((const char *)document->body.data, document->body.length, JSON_REJECT_DUPLICATES, NULL);
	cr_assert_not_null(json, "%s", path);
	return json;
}

static void expect_published(const char *path, const char *wanted_text)
{
	json_t *wanted = json_loads(wanted_text, JSON_REJECT_DUPLICATES, NULL);
	cr_assert_not_null(wanted);
	json_t *document = published(path);
	char *text = json_dumps(document, 0);
	cr_expect(json_equal(document, wanted), "%s: %s", path, text);
	free(text);
	json_decref(document);
	json_decref(wanted);
}

#define JWK(x, kid, use) "{" MEMBERS(x) ",\"use\":\"" use "\",\"kid\":\"" kid "\",\"alg\":\"ES256\"}"

/* RFC 7517, section 5; use is sig (section 4.2). */
Test(documents, the_jwks_has_every_key_of_its_issuer_and_none_of_another)
{
	cr_assert_eq(publish(), HM_OK, "%s", why.detail);
	expect_published("/a/b/.well-known/jwks.json",
		"{\"keys\":[" JWK("aa", "kid-a-access", "sig") "," JWK("as", "kid-a-svid", "sig") "]}");
	expect_published("/.well-known/jwks.json",
		"{\"keys\":[" JWK("bs", "kid-b-svid", "sig") "," JWK("bl", "kid-b-status", "sig") "]}");
}

/* SPIFFE Trust Domain and Bundle, section 4; JWT-SVID, section 5.2: use is jwt-svid. */
Test(documents, the_bundle_has_only_the_jwt_svid_keys)
{
	cr_assert_eq(publish(), HM_OK, "%s", why.detail);
	expect_published("/a/b/spiffe/bundle.json",
		"{\"keys\":[" JWK("as", "kid-a-svid", "jwt-svid") "],"
								  "\"spiffe_sequence\":1,\"spiffe_refresh_hint\":300}");
	expect_published("/spiffe/bundle.json",
		"{\"keys\":[" JWK("bs", "kid-b-svid", "jwt-svid") "],"
								  "\"spiffe_sequence\":1,\"spiffe_refresh_hint\":300}");
}

/* OpenID Connect Discovery 1.0, sections 3 and 4: the path is behind the issuer's; the members are required. */
Test(documents, openid_discovery_stands_behind_the_issuers_path)
{
	cr_assert_eq(publish(), HM_OK, "%s", why.detail);
	static const char wanted[] =
		"{" COMMON_METADATA ",\"subject_types_supported\":[\"public\"],"
		"\"id_token_signing_alg_values_supported\":[\"ES256\"],\"grant_types_supported\":[]}";
	expect_published("/a/b/.well-known/openid-configuration", wanted);
	json_decref(published("/.well-known/openid-configuration"));
}

/* RFC 8414, section 2. */
Test(documents, discovery_names_the_token_endpoint_of_an_issuer_that_offers_a_grant)
{
	static struct config_profile profiles[] = {
		{.issuer_index = 1}, {.issuer_index = 0, .grants = GRANT_CLIENT_CREDENTIALS}};
	config.profiles = profiles;
	config.profiles_count = 2;
	cr_assert_eq(publish(), HM_OK, "%s", why.detail);
	static const char wanted[] = "{" COMMON_METADATA ","
				     "\"token_endpoint\":\"https://mint.test/a/b/oauth2/token\","
				     "\"token_endpoint_auth_methods_supported\":[\"tls_client_auth\",\"spiffe_jwt\"],"
				     "\"dpop_signing_alg_values_supported\":[\"ES256\",\"ES384\",\"PS256\","
				     "\"RS256\",\"Ed25519\",\"EdDSA\"],"
				     "\"grant_types_supported\":[\"client_credentials\"]}";
	expect_published("/.well-known/oauth-authorization-server/a/b", wanted);
	json_t *other = published("/.well-known/oauth-authorization-server");
	cr_expect_null(json_object_get(other, "token_endpoint"));
	json_decref(other);
}

/* RFC 8705, section 3.3. */
Test(documents, discovery_says_that_tokens_are_bound_to_certificates_where_a_profile_wants_it)
{
	static const struct {
		unsigned issuer, proof;
		bool is_said;
	} cases[] = {{0, 0, false}, {0, PROOF_DPOP, false}, {0, PROOF_MTLS, true}, {0, PROOF_DPOP | PROOF_MTLS, true},
		{1, PROOF_MTLS, false}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct config_profile profiles[] = {{.issuer_index = 0, .grants = GRANT_CLIENT_CREDENTIALS},
			{.issuer_index = cases[i].issuer, .grants = GRANT_CLIENT_CREDENTIALS, .proof = cases[i].proof}};
		config.profiles = profiles;
		config.profiles_count = 2;
		cr_assert_eq(publish(), HM_OK, "%s", why.detail);
		json_t *metadata = published("/.well-known/oauth-authorization-server/a/b");
		json_t *said = json_object_get(metadata, "tls_client_certificate_bound_access_tokens");
		cr_expect_eq(json_is_true(said), cases[i].is_said, "case %zu", i);
		cr_expect_eq(said != NULL, cases[i].is_said, "case %zu", i);
		json_decref(metadata);
	}
}

/* RFC 8414, section 3.1: between the host and the issuer's path. */
Test(documents, authorization_server_metadata_stands_before_the_issuers_path)
{
	cr_assert_eq(publish(), HM_OK, "%s", why.detail);
	expect_published(
		"/.well-known/oauth-authorization-server/a/b", "{" COMMON_METADATA ",\"grant_types_supported\":[]}");
	json_t *other = published("/.well-known/oauth-authorization-server");
	cr_expect_str_eq(json_string_value(json_object_get(other, "issuer")), "https://mint.test");
	json_decref(other);
}

/* RFC 6749, section 4.1.2.1; a refusal is kept by nobody. */
Test(documents, the_authorization_endpoint_refuses_every_response_type)
{
	cr_assert_eq(publish(), HM_OK, "%s", why.detail);
	static const char *const paths[] = {"/a/b/oauth2/authorize", "/oauth2/authorize"};
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
		const struct gate_publish *refusal = publications_find(publications, paths[i]);
		cr_assert_not_null(refusal, "%s", paths[i]);
		cr_expect_eq(refusal->status, 400);
		cr_expect_str_eq(refusal->cache_control, "no-store");
		json_t *body = json_loadb((const char *)refusal->body.data, refusal->body.length, 0, NULL);
		cr_expect_str_eq(json_string_value(json_object_get(body, "error")), "unsupported_response_type");
		json_decref(body);
	}
}

Test(documents, only_what_changed_is_published_again)
{
	cr_assert_eq(publish(), HM_OK, "%s", why.detail);
	cr_expect_eq(changes, 10, "five documents for each issuer");
	cr_assert_eq(publish(), HM_OK);
	cr_expect_eq(changes, 0);
	strcpy(keys.items[A_ACCESS].jwk.kid, "another");
	cr_assert_eq(publish(), HM_OK);
	cr_expect_eq(changes, 1, "the JWKS of a, not its bundle");
}

/* Verifiers learn a key before it signs, and know it while what it signed lives. */
Test(documents, a_key_is_listed_from_before_it_signs_until_after)
{
	static const enum key_state listed[] = {KEY_PUBLISHED, KEY_ACTIVE, KEY_RETIRING},
				    unlisted[] = {KEY_CREATED, KEY_RETIRED};
	for (size_t i = 0; i < sizeof listed / sizeof *listed; i++) {
		versions[A_SVID].state = listed[i];
		cr_assert_eq(publish(), HM_OK);
		expect_published("/a/b/.well-known/jwks.json",
			"{\"keys\":[" JWK("aa", "kid-a-access", "sig") "," JWK("as", "kid-a-svid", "sig") "]}");
	}
	for (size_t i = 0; i < sizeof unlisted / sizeof *unlisted; i++) {
		versions[A_SVID].state = unlisted[i];
		keys.items[A_SVID].known = i % 2; /* one that nobody is to know keeps nothing from being published */
		cr_assert_eq(publish(), HM_OK);
		expect_published("/a/b/.well-known/jwks.json", "{\"keys\":[" JWK("aa", "kid-a-access", "sig") "]}");
	}
}

/* A verifier would drop the keys that are missing. */
Test(documents, half_a_key_set_is_not_published)
{
	keys.items[A_SVID].known = false;
	cr_assert_eq(publish(), HM_OK, "%s", why.detail);
	cr_expect_null(publications_find(publications, "/a/b/.well-known/jwks.json"));
	cr_expect_null(publications_find(publications, "/a/b/spiffe/bundle.json"));
	cr_expect_not_null(publications_find(publications, "/.well-known/jwks.json"), "the other issuer's is whole");
	keys.items[A_SVID].known = true;
	cr_assert_eq(publish(), HM_OK);
	cr_expect_not_null(publications_find(publications, "/a/b/.well-known/jwks.json"));
}

/* ---- the sequence ---- */

static json_int_t sequence(const char *path)
{
	json_t *bundle = published(path);
	json_int_t number = json_integer_value(json_object_get(bundle, "spiffe_sequence"));
	json_decref(bundle);
	return number;
}

Test(documents, the_sequence_rises_when_the_bundles_keys_change_and_only_then)
{
	cr_assert_eq(publish(), HM_OK, "%s", why.detail);
	cr_assert_eq(publish(), HM_OK);
	cr_expect_eq(sequence("/a/b/spiffe/bundle.json"), 1);
	strcpy(keys.items[A_ACCESS].jwk.kid, "another");
	cr_assert_eq(publish(), HM_OK);
	cr_expect_eq(sequence("/a/b/spiffe/bundle.json"), 1, "no key of the bundle changed");
	strcpy(keys.items[A_SVID].jwk.kid, "another");
	cr_assert_eq(publish(), HM_OK);
	cr_expect_eq(sequence("/a/b/spiffe/bundle.json"), 2);
	cr_expect_eq(sequence("/spiffe/bundle.json"), 1, "each issuer counts its own");
	strcpy(keys.items[A_SVID].jwk.kid, "kid-a-svid");
	cr_assert_eq(publish(), HM_OK);
	cr_expect_eq(sequence("/a/b/spiffe/bundle.json"), 3, "back again is a change too");
}

static void start_again(void)
{
	publications_close(publications);
	publications = publications_open();
	cr_assert_not_null(publications);
}

Test(documents, the_sequence_outlives_the_process)
{
	cr_assert_eq(publish(), HM_OK, "%s", why.detail);
	strcpy(keys.items[A_SVID].jwk.kid, "second");
	cr_assert_eq(publish(), HM_OK);
	start_again();
	cr_assert_eq(publish(), HM_OK);
	cr_expect_eq(sequence("/a/b/spiffe/bundle.json"), 2);
	start_again();
	strcpy(keys.items[A_SVID].jwk.kid, "third");
	cr_assert_eq(publish(), HM_OK);
	cr_expect_eq(sequence("/a/b/spiffe/bundle.json"), 3);
}

static void write_sequence(const char *name, const char *text)
{
	char path[64];
	snprintf(path, sizeof path, "%s/bundle", state);
	(void)mkdir(path, 0700);
	snprintf(path, sizeof path, "%s/bundle/%s", state, name);
	FILE *file = fopen(path, "w");
	cr_assert_not_null(file);
	fputs(text, file);
	fclose(file);
}

/* Beginning anew at 1 would make verifiers keep the keys of before. */
Test(documents, a_sequence_that_cannot_be_read_is_no_reason_to_begin_anew)
{
	static const char *const texts[] = {"", "x", "7", "-", "digest 7\n"};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		write_sequence("a", texts[i]);
		cr_expect_eq(publish(), HM_UNAVAILABLE, "'%s'", texts[i]);
		cr_expect_null(publications_find(publications, "/a/b/spiffe/bundle.json"), "'%s'", texts[i]);
	}
	char longest[600];
	memset(longest, '1', sizeof longest - 1);
	longest[sizeof longest - 1] = 0;
	write_sequence("a", longest);
	cr_expect_neq(publish(), HM_OK);
	char path[64];
	snprintf(path, sizeof path, "%s/bundle/a", state);
	cr_assert_eq(unlink(path), 0);
	cr_assert_eq(mkdir(path, 0700), 0); /* there, and not to be read */
	cr_expect_neq(publish(), HM_OK);
	cr_expect_null(publications_find(publications, "/a/b/spiffe/bundle.json"));
}

Test(documents, without_a_state_directory_there_is_no_bundle)
{
	config.state = "/nowhere/at/all";
	cr_expect_eq(publish(), HM_UNAVAILABLE);
	cr_expect(strstr(why.detail, "/nowhere/at/all"), "%s", why.detail);
	cr_expect_null(publications_find(publications, "/a/b/spiffe/bundle.json"));
}

static void note_removed(void *context, const struct gate_publish *publish)
{
	(void)context;
	cr_expect_eq(publish->status, 0);
	changes++;
}

static void publish_list(const char *path)
{
	cr_assert(publications_set(
		publications, path, 200, "application/statuslist+jwt", CACHING_SECONDS, path, strlen(path)));
}

Test(documents, an_issuer_that_is_configured_no_longer_publishes_nothing)
{
	struct config without = config;
	without.issuers = &issuers[1];
	without.issuers_count = 1;
	cr_assert_eq(publish(), HM_OK, "%s", why.detail);
	publish_list("/a/b/status/0");
	publish_list("/a/b/status/63");
	publish_list("/status/0");
	changes = 0;
	documents_withdraw(&config, &without, publications, note_removed, NULL);
	cr_expect_eq(changes, 7, "five documents and two status lists");
	cr_expect_null(publications_find(publications, "/a/b/.well-known/jwks.json"));
	cr_expect_null(publications_find(publications, "/a/b/status/63"));
	cr_expect_not_null(publications_find(publications, "/.well-known/jwks.json"));
	cr_expect_not_null(publications_find(publications, "/status/0"));
	cr_expect_str_eq(publications_find(publications, "/status/0")->cache_control, "public, max-age=5");
}
