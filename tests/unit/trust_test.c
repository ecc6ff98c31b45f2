/* SPDX-License-Identifier: Apache-2.0 */
#include "trust.h"

#include "base64url.h"
#include "file.h"
#include <criterion/criterion.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NOW = 1700000000 };
enum { IDP, DOMAIN, OTHER_ISSUER }; /* in the configuration's trust */

#define MINT  "https://mint.test/a"
#define TIMES ",\"iat\":1700000000,\"exp\":1700000300}"

static struct config_issuer issuers[] = {{.name = "a", .url = MINT, .trust_domain = "a.test"},
	{.name = "b", .url = "https://mint.test/b", .trust_domain = "b.test"}};
static char *client[] = {"client", "another"};
static struct config_trust trust[3];
static struct config config = {.issuers = issuers, .issuers_count = 2, .trust = trust, .trust_count = 3};
static char directory[] = "/tmp/hsmint-trust-XXXXXX";
static char idp_file[64], domain_file[64];
static EVP_PKEY *idp_key, *domain_key;
static struct trusts *trusts;
static struct trusted_token token;
static struct hm_problem why;
static char text[8192];

static void write_file(const char *path, const char *content)
{
	cr_assert_eq(file_replace(path, content, strlen(content), 0600, &why), HM_OK, "%s", why.detail);
}

static size_t jwk_of(EVP_PKEY *key, const char *kid, const char *use, char *out, size_t size)
{
	uint8_t point[65];
	char x[44], y[44];
	size_t length;
	cr_assert_eq(
		EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, point, sizeof point, &length),
		1);
	x[base64url_encode(point + 1, 32, x)] = 0;
	y[base64url_encode(point + 33, 32, y)] = 0;
	return (size_t)snprintf(out, size,
		"{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"%s\",\"use\":\"%s\",\"x\":\"%s\",\"y\":\"%s\"}", kid, use,
		x, y);
}

static void write_keys(const char *path, EVP_PKEY *key, const char *use)
{
	char jwk[512], set[1024];
	jwk_of(key, "k", use, jwk, sizeof jwk);
	snprintf(set, sizeof set, "{\"keys\":[%s]}", jwk);
	write_file(path, set);
}

static void begin(void)
{
	cr_assert_not_null(mkdtemp(directory));
	snprintf(idp_file, sizeof idp_file, "%s/idp.json", directory);
	snprintf(domain_file, sizeof domain_file, "%s/domain.json", directory);
	idp_key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	domain_key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	write_keys(idp_file, idp_key, "sig");
	write_keys(domain_file, domain_key, "jwt-svid");
	trust[IDP] = (struct config_trust){.name = "idp",
		.issuer = "a",
		.provider = "https://idp.test",
		.audiences = client,
		.audiences_count = 2,
		.algorithms = 1U << KEY_ES256,
		.keys = idp_file,
		.subject = "email",
		.groups = "roles",
		.max_lifetime = 300};
	trust[DOMAIN] = (struct config_trust){.name = "domain",
		.issuer = "a",
		.trust_domain = "other.test",
		.algorithms = 1U << KEY_ES256,
		.keys = domain_file,
		.subject = "sub",
		.max_lifetime = 300};
	trust[OTHER_ISSUER] = trust[IDP];
	trust[OTHER_ISSUER].issuer = "b";
	trust[OTHER_ISSUER].issuer_index = 1;
	trust[OTHER_ISSUER].provider = "https://ci.test";
	trust[OTHER_ISSUER].subject = "sub";
	trust[OTHER_ISSUER].groups = NULL;
	trust[OTHER_ISSUER].audiences_count = 0;
}

static void end(void)
{
	trusted_token_free(&token);
	trusts_close(trusts);
	EVP_PKEY_free(idp_key);
	EVP_PKEY_free(domain_key);
	(void)unlink(idp_file);
	(void)unlink(domain_file);
	cr_expect_eq(rmdir(directory), 0);
}

TestSuite(trust, .init = begin, .fini = end);

static void open_all(void)
{
	cr_assert_eq(trusts_open(NULL, &config, &trusts, &why), HM_OK, "%s", why.detail);
}

/* r and s, of which DER leaves out zeros in front (RFC 7518, section 3.4). */
static void flatten(const uint8_t *der, uint8_t raw[64])
{
	const uint8_t *at = der + 2;
	for (int i = 0; i < 2; i++) {
		size_t length = at[1], skip = length > 32 ? length - 32 : 0;
		memset(raw + 32 * i, 0, 32);
		memcpy(raw + 32 * i + 32 - (length - skip), at + 2 + skip, length - skip);
		at += 2 + length;
	}
}

static void sign(EVP_PKEY *key, const char *header, const char *payload)
{
	uint8_t der[80], raw[64];
	size_t length = sizeof der, used = base64url_encode(header, strlen(header), text);
	text[used++] = '.';
	used += base64url_encode(payload, strlen(payload), text + used);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	cr_assert_eq(EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key), 1);
	cr_assert_eq(EVP_DigestSign(context, der, &length, (const uint8_t *)text, used), 1);
	EVP_MD_CTX_free(context);
	flatten(der, raw);
	text[used++] = '.';
	text[used + base64url_encode(raw, sizeof raw, text + used)] = 0;
}

static hm_result verify(unsigned issuer)
{
	trusted_token_free(&token);
	return trust_verify(trusts, issuer, text, strlen(text), NOW, &token, &why);
}

#define HEADER "{\"alg\":\"ES256\",\"kid\":\"k\",\"typ\":\"JWT\"}"

/* ---- identity providers ---- */

#define ADA                                                                                             \
	"{\"iss\":\"https://idp.test\",\"sub\":\"00u1\",\"email\":\"ada@idp.test\",\"aud\":\"client\"," \
	"\"roles\":[\"ops\",\"dev\"]" TIMES

Test(trust, a_providers_token_says_of_whom_and_in_which_groups_by_the_claims_that_are_configured)
{
	open_all();
	sign(idp_key, HEADER, ADA);
	cr_assert_eq(verify(0), HM_OK, "%s", why.detail);
	cr_expect_eq(token.by, &trust[IDP]);
	cr_expect_str_eq(token.subject, "ada@idp.test");
	cr_expect_str_eq(token.jwt.subject, "00u1");
	cr_expect_eq(json_array_size(token.groups), 2);
	cr_expect_str_eq(json_string_value(json_array_get(token.groups, 1)), "dev");
}

Test(trust, a_token_without_the_claim_for_groups_is_of_one_in_none)
{
	open_all();
	sign(idp_key, "{\"alg\":\"ES256\",\"kid\":\"k\"}",
		"{\"iss\":\"https://idp.test\",\"sub\":\"00u1\",\"email\":\"ada\",\"aud\":[\"x\",\"another\"]" TIMES);
	cr_assert_eq(verify(0), HM_OK, "%s", why.detail);
	cr_expect_null(token.groups);
}

Test(trust, what_one_issuer_trusts_another_does_not)
{
	open_all();
	sign(idp_key, HEADER, ADA);
	cr_expect_eq(verify(1), HM_REFUSED);
	cr_expect_str_eq(why.code, FOREIGN_JWT_REFUSED);
	cr_expect_null(token.by);
}

Test(trust, where_no_audience_is_configured_a_token_has_to_be_for_the_issuer)
{
	open_all();
	sign(idp_key, HEADER, "{\"iss\":\"https://ci.test\",\"sub\":\"job\",\"aud\":\"https://mint.test/b\"" TIMES);
	cr_assert_eq(verify(1), HM_OK, "%s", why.detail);
	cr_expect_str_eq(token.subject, "job");
	sign(idp_key, HEADER, "{\"iss\":\"https://ci.test\",\"sub\":\"job\",\"aud\":\"client\"" TIMES);
	cr_expect_eq(verify(1), HM_REFUSED);
	sign(idp_key, HEADER, "{\"iss\":\"https://ci.test\",\"sub\":\"job\",\"aud\":\"" MINT "\"" TIMES);
	cr_expect_eq(verify(1), HM_REFUSED, "that is the other issuer");
}

Test(trust, a_provider_that_says_a_spiffe_id_is_a_provider_all_the_same)
{
	open_all();
	sign(idp_key, HEADER,
		"{\"iss\":\"https://idp.test\",\"sub\":\"spiffe://other.test/"
		"x\",\"email\":\"ada\",\"aud\":\"client\"" TIMES);
	cr_assert_eq(verify(0), HM_OK, "%s", why.detail);
	cr_expect_eq(token.by, &trust[IDP]);
	sign(domain_key, HEADER,
		"{\"iss\":\"https://idp.test\",\"sub\":\"spiffe://other.test/x\",\"aud\":\"" MINT "\"" TIMES);
	cr_expect_eq(verify(0), HM_REFUSED, "with the key of the trust domain that its sub names");
}

#define IDP_SAYS(more) "{\"iss\":\"https://idp.test\",\"sub\":\"00u1\"," more

static const struct {
	const char *header, *payload;
} untrue[] = {
	{HEADER, "{\"iss\":\"https://idp.test/\",\"sub\":\"00u1\",\"email\":\"ada\",\"aud\":\"client\"" TIMES},
	{HEADER, "{\"sub\":\"00u1\",\"email\":\"ada\",\"aud\":\"client\"" TIMES},
	{HEADER, "{\"iss\":\"https://idp.test\",\"email\":\"ada\",\"aud\":\"client\"" TIMES},
	{HEADER, IDP_SAYS("\"email\":\"ada\",\"aud\":\"" MINT "\"" TIMES)}, /* the default, which is not in force */
	{HEADER, IDP_SAYS("\"email\":\"ada\",\"aud\":\"client\",\"exp\":1700000300}")},
	{HEADER, IDP_SAYS("\"email\":\"ada\",\"aud\":\"client\",\"iat\":1700000000,\"exp\":1700000301}")},
	{HEADER, IDP_SAYS("\"email\":\"ada\",\"aud\":\"client\",\"iat\":1699999700,\"exp\":1699999970}")},
	{HEADER, IDP_SAYS("\"aud\":\"client\"" TIMES)},
	{HEADER, IDP_SAYS("\"email\":7,\"aud\":\"client\"" TIMES)},
	{HEADER, IDP_SAYS("\"email\":\"\",\"aud\":\"client\"" TIMES)},
	{HEADER, IDP_SAYS("\"email\":\"a\\nb\",\"aud\":\"client\"" TIMES)},
	{HEADER, IDP_SAYS("\"email\":\"ada\",\"roles\":\"ops\",\"aud\":\"client\"" TIMES)},
	{HEADER, IDP_SAYS("\"email\":\"ada\",\"roles\":[\"ops\",1],\"aud\":\"client\"" TIMES)},
	{HEADER, IDP_SAYS("\"email\":\"ada\",\"roles\":[\"\"],\"aud\":\"client\"" TIMES)},
	{HEADER, IDP_SAYS("\"email\":\"ada\",\"events\":{},\"aud\":\"client\"" TIMES)},
	{"{\"alg\":\"ES256\",\"kid\":\"k\",\"typ\":\"at+jwt\"}", ADA},
	{"{\"alg\":\"ES256\",\"kid\":\"k\",\"typ\":\"logout+jwt\"}", ADA},
	{"{\"alg\":\"ES256\",\"kid\":\"k\",\"typ\":\"JOSE\"}", ADA},
	{"{\"alg\":\"ES256\",\"kid\":\"other\",\"typ\":\"JWT\"}", ADA},
	{"{\"alg\":\"ES256\",\"typ\":\"JWT\"}", ADA},
};

Test(trust, a_providers_token_that_is_not_as_it_should_be_is_refused_though_it_is_signed)
{
	open_all();
	for (size_t i = 0; i < sizeof untrue / sizeof *untrue; i++) {
		sign(idp_key, untrue[i].header, untrue[i].payload);
		cr_expect_eq(verify(0), HM_REFUSED, "%s %s", untrue[i].header, untrue[i].payload);
		cr_expect_str_eq(why.code, FOREIGN_JWT_REFUSED);
		cr_expect_null(token.jwt.payload);
	}
}

Test(trust, a_subject_of_255_bytes_is_taken_and_one_of_256_is_not)
{
	char payload[1024], name[257];
	open_all();
	memset(name, 'a', sizeof name);
	for (size_t more = 0; more < 2; more++) {
		name[255 + more] = 0;
		snprintf(payload, sizeof payload, IDP_SAYS("\"email\":\"%s\",\"aud\":\"client\"" TIMES), name);
		name[255 + more] = 'a';
		sign(idp_key, HEADER, payload);
		cr_expect_eq(verify(0), more ? HM_REFUSED : HM_OK, "%s", why.detail);
	}
}

Test(trust, an_algorithm_that_is_not_configured_is_refused)
{
	trust[IDP].algorithms = 1U << KEY_RS256;
	open_all();
	sign(idp_key, HEADER, ADA);
	cr_expect_eq(verify(0), HM_REFUSED);
}

Test(trust, what_is_no_jwt_is_refused)
{
	open_all();
	snprintf(text, sizeof text, "ada");
	cr_expect_eq(verify(0), HM_REFUSED);
	cr_expect_str_eq(why.code, FOREIGN_JWT_REFUSED);
}

/* ---- trust domains of others ---- */

#define SVID "{\"sub\":\"spiffe://other.test/agent\",\"aud\":\"" MINT "\",\"exp\":1700000300}"

Test(trust, a_jwt_svid_of_a_trust_domain_says_its_spiffe_id)
{
	open_all();
	sign(domain_key, HEADER, SVID);
	cr_assert_eq(verify(0), HM_OK, "%s", why.detail);
	cr_expect_eq(token.by, &trust[DOMAIN]);
	cr_expect_str_eq(token.subject, "spiffe://other.test/agent");
	cr_expect_null(token.groups);
	sign(domain_key, "{\"alg\":\"ES256\",\"kid\":\"k\",\"typ\":\"JOSE\"}",
		"{\"iss\":\"anything\",\"sub\":\"spiffe://other.test/a\",\"aud\":[\"" MINT "\"],\"exp\":1700000300}");
	cr_expect_eq(verify(0), HM_OK, "%s", why.detail);
}

static const struct {
	const char *header, *payload;
} no_svids[] = {
	{HEADER, "{\"sub\":\"spiffe://a.test/agent\",\"aud\":\"" MINT "\",\"exp\":1700000300}"}, /* our own domain */
	{HEADER, "{\"sub\":\"spiffe://other.test.evil.test/a\",\"aud\":\"" MINT "\",\"exp\":1700000300}"},
	{HEADER, "{\"sub\":\"spiffe://other.test\",\"aud\":\"" MINT
		 "\",\"exp\":1700000300}"}, /* whose authority it is */
	{HEADER, "{\"sub\":\"spiffe://other.test/../a\",\"aud\":\"" MINT "\",\"exp\":1700000300}"},
	{HEADER, "{\"sub\":\"spiffe://other.test/a\",\"aud\":[\"" MINT "\",\"x\"],\"exp\":1700000300}"},
	{HEADER, "{\"sub\":\"spiffe://other.test/a\",\"aud\":\"https://mint.test/b\",\"exp\":1700000300}"},
	{HEADER, "{\"sub\":\"spiffe://other.test/a\",\"aud\":\"" MINT "\",\"exp\":1700000301}"},
	{HEADER, "{\"sub\":\"spiffe://other.test/a\",\"aud\":\"" MINT "\"}"},
	{"{\"alg\":\"ES256\",\"kid\":\"k\",\"typ\":\"wit+jwt\"}", SVID},
	{"{\"alg\":\"ES256\",\"kid\":\"k\",\"cty\":\"x\"}", SVID},
};

Test(trust, a_jwt_svid_that_is_not_as_it_should_be_is_refused_though_it_is_signed)
{
	open_all();
	for (size_t i = 0; i < sizeof no_svids / sizeof *no_svids; i++) {
		sign(domain_key, no_svids[i].header, no_svids[i].payload);
		cr_expect_eq(verify(0), HM_REFUSED, "%s %s", no_svids[i].header, no_svids[i].payload);
	}
}

Test(trust, a_key_of_the_bundle_that_is_for_other_svids_verifies_none)
{
	write_keys(domain_file, domain_key, "x509-svid");
	open_all();
	sign(domain_key, HEADER, SVID);
	cr_expect_eq(verify(0), HM_REFUSED);
}

/* ---- files ---- */

static void expect_refused(const char *word)
{
	why = (struct hm_problem){.code = ""};
	cr_expect_eq(trusts_open(NULL, &config, &trusts, &why), HM_REFUSED);
	cr_expect_null(trusts);
	cr_expect_str_eq(why.code, "config");
	cr_expect_not_null(strstr(why.detail, idp_file), "%s", why.detail);
	cr_expect_not_null(strstr(why.detail, word), "%s", why.detail);
}

Test(trust, a_file_of_keys_that_is_none_is_refused_with_its_name_and_the_reason)
{
	static char large[HM_KEY_SET_MAX + 2];
	write_file(idp_file, "{");
	expect_refused("JSON");
	write_file(idp_file, "{\"keys\":7}");
	expect_refused("array");
	write_file(idp_file, "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\",\"kid\":\"a\"}]}");
	expect_refused("private");
	memset(large, ' ', sizeof large - 1);
	write_file(idp_file, large);
	expect_refused("");
	(void)unlink(idp_file);
	expect_refused("No such file");
}

Test(trust, a_file_without_keys_makes_all_be_refused)
{
	write_file(idp_file, "{\"keys\":[]}");
	open_all();
	sign(idp_key, HEADER, ADA);
	cr_expect_eq(verify(0), HM_REFUSED);
	cr_expect_eq(trust_facts(trusts, IDP).keys, 0);
}

/* ---- URLs, of which tests/e2e/test_trust.py has the rest ---- */

Test(trust, until_the_keys_of_a_url_have_come_a_token_may_be_good_later)
{
	trust[IDP].keys = NULL;
	trust[IDP].keys_url = "https://idp.test/keys";
	open_all();
	sign(idp_key, HEADER, ADA);
	cr_expect_eq(verify(0), HM_UNAVAILABLE);
	cr_expect_str_eq(why.code, TRUST_UNAVAILABLE);
	cr_expect_not_null(strstr(why.detail, "idp"), "%s", why.detail);
	cr_expect_eq(trust_facts(trusts, IDP).age_ms, -1);
}

Test(trust, a_ca_that_cannot_be_read_is_refused)
{
	trust[IDP].keys = NULL;
	trust[IDP].keys_url = "https://idp.test/keys";
	trust[IDP].ca = idp_file;
	(void)unlink(idp_file);
	expect_refused("No such file");
}
