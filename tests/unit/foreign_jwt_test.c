/* SPDX-License-Identifier: Apache-2.0 */
/* Who signed it: the header, and the key that it names. The form is in foreign_form_test.c, the claims in
 * foreign_claims_test.c. */
#include "foreign_case.h"

#include "base64url.h"
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

TestSuite(foreign_jwt, .init = begin, .fini = end);

/* ---- good ones ---- */

Test(foreign_jwt, a_good_one_tells_who_it_is_of)
{
	FOREIGN_JWT_AUTO jwt;
	make(&ed, HEADER, "{" WHO ",\"nbf\":1699999999," TIMES ",\"more\":7}");
	cr_assert_eq(verify(&jwt), HM_OK, "%s", why.detail);
	cr_expect_str_eq(jwt.subject, "ada");
	cr_expect_str_eq(jwt.issuer, "https://idp.test");
	cr_expect_str_eq(jwt.id, "1");
	cr_expect_str_eq(jwt.kid, "ed");
	cr_expect(jwt.expires == NOW + 300 && jwt.issued == NOW && jwt.not_before == NOW - 1);
	cr_expect_eq(json_integer_value(json_object_get(jwt.payload, "more")), 7);
}

static const struct {
	const struct signer *signer;
	const char *header;
} good[] = {
	{&es256, HEADER_OF("ES256", "es256")}, {&es384, HEADER_OF("ES384", "es384")},
	{&rs256, HEADER_OF("RS256", "rs256")}, {&rs256, HEADER_OF("RS256", "rsa")},
	{&ps256, HEADER_OF("PS256", "ps256")}, {&ps256, HEADER_OF("PS256", "rsa")}, {&ed, HEADER_OF("EdDSA", "ed")},
	{&ed, HEADER_OF("Ed25519", "ed")}, /* RFC 9864 */
};

Test(foreign_jwt, each_algorithm_is_accepted_with_a_key_of_its_own)
{
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		make(good[i].signer, good[i].header, PAYLOAD);
		expect(NULL, good[i].header);
	}
}

Test(foreign_jwt, an_algorithm_that_the_rules_do_not_list_is_refused)
{
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		rules.algorithms = ((1U << KEY_ALGORITHMS) - 1) & ~(1U << good[i].signer->algorithm);
		make(good[i].signer, good[i].header, PAYLOAD);
		expect(NO_ALG, good[i].header);
	}
}

/* ---- algorithm ---- */

static const struct hostile no_algorithms[] = {
	{HEADER_OF("none", "ed"), NO_ALG},
	{HEADER_OF("None", "ed"), NO_ALG},
	{HEADER_OF("NONE", "ed"), NO_ALG},
	{HEADER_OF("nOnE", "ed"), NO_ALG},
	{HEADER_OF("none ", "ed"), NO_ALG},
	{HEADER_OF(" none", "ed"), NO_ALG},
	{HEADER_OF("n\\u006fne", "ed"), NO_ALG},
	{HEADER_OF("", "ed"), NO_ALG},
	{HEADER_OF("eddsa", "ed"), NO_ALG},
	{HEADER_OF("ed25519", "ed"), NO_ALG},
	{HEADER_OF("es256", "es256"), NO_ALG},
	{HEADER_OF("EdDSA ", "ed"), NO_ALG},
	{HEADER_OF("Ed448", "ed"), NO_ALG},
	{HEADER_OF("ES256K", "es256"), NO_ALG},
	{HEADER_OF("ES512", "es384"), NO_ALG},
	{HEADER_OF("RS1", "rsa"), NO_ALG},
	{HEADER_OF("RS384", "rsa"), NO_ALG},
	{HEADER_OF("PS512", "rsa"), NO_ALG},
	{HEADER_OF("RSA-OAEP", "rsa"), NO_ALG},
	{HEADER_OF("dir", "ed"), NO_ALG},
	{"{\"kid\":\"ed\",\"typ\":\"JWT\"}", NO_ALG},
	{"{\"alg\":null,\"kid\":\"ed\",\"typ\":\"JWT\"}", NO_ALG},
	{"{\"alg\":0,\"kid\":\"ed\",\"typ\":\"JWT\"}", NO_ALG},
	{"{\"alg\":[\"EdDSA\"],\"kid\":\"ed\",\"typ\":\"JWT\"}", NO_ALG},
	{"{\"ALG\":\"EdDSA\",\"kid\":\"ed\",\"typ\":\"JWT\"}", NO_ALG},
};

Test(foreign_jwt, an_alg_that_is_none_or_none_of_ours_is_refused)
{
	EXPECT_HEADERS(no_algorithms);
}

Test(foreign_jwt, one_that_nobody_signed_is_refused)
{
	static const char *const algs[] = {
		HEADER_OF("none", "ed"), HEADER_OF("None", "ed"), HEADER_OF("NONE", "ed"), HEADER_OF("EdDSA", "ed")};
	for (size_t i = 0; i < sizeof algs / sizeof *algs; i++) {
		make(&ed, algs[i], PAYLOAD);
		token_length = (size_t)(strrchr(token, '.') + 1 - token);
		expect(EMPTY, algs[i]);
		token_length--;
		expect(NOT_THREE, algs[i]);
	}
}

/* The secret is what everybody knows. */
static void mac(const char *header, const EVP_MD *hash, const void *secret, size_t secret_length)
{
	uint8_t code[EVP_MAX_MD_SIZE];
	unsigned length = 0;
	make(&ed, header, PAYLOAD);
	token_length = (size_t)(strrchr(token, '.') - token);
	cr_assert(HMAC(hash, secret, (int)secret_length, (const uint8_t *)token, token_length, code, &length));
	token[token_length++] = '.';
	token_length += base64url_encode(code, length, token + token_length);
}

static void mac_with_all(const void *secret, size_t length)
{
	mac(HEADER_OF("HS256", "rsa"), EVP_sha256(), secret, length);
	expect(NO_ALG, "HS256");
	mac(HEADER_OF("HS384", "rsa"), EVP_sha384(), secret, length);
	expect(NO_ALG, "HS384");
	mac(HEADER_OF("HS512", "rsa"), EVP_sha512(), secret, length);
	expect(NO_ALG, "HS512");
	mac(HEADER_OF("RS256", "rsa"), EVP_sha256(), secret, length);
	expect(NO_LENGTH, "RS256");
	mac(HEADER_OF("EdDSA", "ed"), EVP_sha512(), secret, length); /* as long as a signature */
	expect(NO_SIGNER, "EdDSA");
}

Test(foreign_jwt, a_public_key_is_no_secret_of_hmac)
{
	uint8_t der[HM_SPKI_MAX], *at = der;
	char *pem;
	BIO *bio = BIO_new(BIO_s_mem());
	cr_assert_eq(PEM_write_bio_PUBKEY(bio, rs256.pair), 1);
	long pem_length = BIO_get_mem_data(bio, &pem);
	mac_with_all(pem, (size_t)pem_length);
	BIO_free(bio);
	int der_length = i2d_PUBKEY(rs256.pair, &at);
	mac_with_all(der, (size_t)der_length);
	mac_with_all("", 0);
}

static const struct {
	const struct signer *signer;
	const char *header, *refusal;
} mixed[] = {
	{&es384, HEADER_OF("ES256", "es384"), NO_KEY},
	{&es256, HEADER_OF("ES384", "es256"), NO_KEY},
	{&es256, HEADER_OF("ES256", "es384"), NO_KEY},
	{&es384, HEADER_OF("ES256", "es256"), NO_LENGTH},
	{&es256, HEADER_OF("ES384", "es384"), NO_LENGTH},
	{&ps256, HEADER_OF("PS256", "rs256"), NO_KEY},
	{&rs256, HEADER_OF("RS256", "ps256"), NO_KEY},
	{&ps256, HEADER_OF("RS256", "rsa"), NO_SIGNER},
	{&rs256, HEADER_OF("PS256", "rsa"), NO_SIGNER},
	{&ed, HEADER_OF("EdDSA", "es256"), NO_KEY},
	{&ed, HEADER_OF("ES256", "ed"), NO_KEY},
	{&ed, HEADER_OF("ES256", "es256"), NO_SIGNER},
	{&es256, HEADER_OF("EdDSA", "ed"), NO_SIGNER},
	{&rs256, HEADER_OF("RS256", "es256"), NO_KEY},
	{&es256, HEADER_OF("ES256", "rsa"), NO_KEY},
};

Test(foreign_jwt, a_key_of_another_type_curve_or_padding_is_refused)
{
	for (size_t i = 0; i < sizeof mixed / sizeof *mixed; i++) {
		make(mixed[i].signer, mixed[i].header, PAYLOAD);
		expect(mixed[i].refusal, mixed[i].header);
	}
}

/* ---- members of the header ---- */

static const struct hostile members[] = {
	{WITH("\"x5t\":\"AAAA\",\"other\":{}"), NULL},
	{WITH("\"jwk\":{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}"),
		"the header has jwk"},
	{WITH("\"jwk\":null"), "the header has jwk"},
	{WITH("\"jku\":\"https://idp.test/jwks\""), "the header has jku"},
	{WITH("\"x5u\":\"file:///etc/passwd\""), "the header has x5u"},
	{WITH("\"x5c\":[\"AAAA\"]"), "the header has x5c"},
	{WITH("\"crit\":[\"exp\"],\"exp\":1"), "the header has crit"},
	{WITH("\"crit\":[]"), "the header has crit"},
	{WITH("\"b64\":false"), "the header has b64"},
	{WITH("\"b64\":true"), "the header has b64"},
	{WITH("\"crit\":[\"b64\"],\"b64\":false"), "the header has crit"},
	{WITH("\"zip\":\"DEF\""), "the header has zip"},
	{WITH("\"enc\":\"A128GCM\""), "the header has enc"},
	{WITH("\"cr\\u0069t\":[]"), "the header has crit"},
};

Test(foreign_jwt, keys_that_it_brings_and_what_changes_its_meaning_are_refused)
{
	EXPECT_HEADERS(members);
}

Test(foreign_jwt, a_key_that_it_brings_is_not_used)
{
	char header[1024];
	struct signer stranger;
	signer_open(&stranger, KEY_ED25519);
	snprintf(header, sizeof header, WITH("\"jwk\":{%s}"), stranger.jwk.members);
	make(&stranger, header, PAYLOAD);
	expect("the header has jwk", "jwk");
	make(&stranger, HEADER, PAYLOAD);
	expect(NO_SIGNER, "no jwk");
	signer_close(&stranger);
}

Test(foreign_jwt, a_bare_header_has_alg_kid_and_typ_alone)
{
	rules.header_is_bare = rules.typ_may_be_missing = true;
	make(&ed, HEADER, PAYLOAD);
	expect(NULL, "three");
	make(&ed, "{\"kid\":\"ed\",\"alg\":\"EdDSA\"}", PAYLOAD);
	expect(NULL, "two");
	make(&ed, WITH("\"x5t\":\"\""), PAYLOAD);
	expect("the header has more than alg, kid and typ", "four");
	make(&ed, "{\"kid\":\"ed\",\"alg\":\"EdDSA\",\"other\":1}", PAYLOAD);
	expect("the header has more than alg, kid and typ", "another");
}

#define OF_KID(value) "{\"alg\":\"EdDSA\",\"typ\":\"JWT\",\"kid\":" value "}"

static const struct hostile kids[] = {
	{"{\"alg\":\"EdDSA\",\"typ\":\"JWT\"}", NO_KEY},
	{OF_KID("\"\""), NO_KEY},
	{OF_KID("null"), NO_KEY},
	{OF_KID("0"), NO_KEY},
	{OF_KID("[\"ed\"]"), NO_KEY},
	{OF_KID("{\"ed\":\"ed\"}"), NO_KEY},
	{OF_KID("\"ED\""), NO_KEY},
	{OF_KID("\"e\""), NO_KEY},
	{HEADER_OF("RS256", "rs25"), NO_KEY},
	{HEADER_OF("RS256", "rs2566"), NO_KEY},
	{OF_KID("\"ed \""), NO_KEY},
	{OF_KID("\"ed\\n\""), NO_KEY},
	{OF_KID("\"ed\\u0000\""), NO_HEADER},
	{OF_KID("\"*\""), NO_KEY},
	{OF_KID("\"%73\""), NO_KEY},
	{OF_KID("\"../ed\""), NO_KEY},
	{OF_KID("\"../../../../dev/null\""), NO_KEY},
	{OF_KID("\"/proc/self/environ\""), NO_KEY},
	{OF_KID("\"x' UNION SELECT 'ed\""), NO_KEY},
	{OF_KID("\"' OR '1'='1\""), NO_KEY},
	{OF_KID("\"$(id)|`id`\""), NO_KEY},
	{OF_KID("\"https://idp.test/jwks#ed\""), NO_KEY},
};

Test(foreign_jwt, a_kid_names_exactly_one_key_or_none)
{
	EXPECT_HEADERS(kids);
}

Test(foreign_jwt, a_kid_that_may_be_missing_is_that_of_the_only_key_for_the_alg)
{
	make(&ed, "{\"alg\":\"EdDSA\",\"typ\":\"JWT\"}", PAYLOAD);
	expect(NO_KEY, "it may not");
	rules.kid_may_be_missing = true;
	expect(NULL, "EdDSA");
	make(&es256, "{\"alg\":\"ES256\",\"typ\":\"JWT\"}", PAYLOAD);
	expect(NULL, "ES256");
	make(&rs256, "{\"alg\":\"RS256\",\"typ\":\"JWT\"}", PAYLOAD);
	expect(NO_KEY, "two keys");
	static const char *const there[] = {OF_KID("\"\""), OF_KID("null"), OF_KID("0"), OF_KID("\"other\"")};
	for (size_t i = 0; i < sizeof there / sizeof *there; i++) {
		make(&ed, there[i], PAYLOAD);
		expect(NO_KEY, there[i]);
	}
}

Test(foreign_jwt, a_long_kid_is_no_key)
{
	char kid[900], header[HM_FOREIGN_HEADER_MAX];
	for (size_t length = HM_FOREIGN_KID_MAX - 1; length < sizeof kid; length++) {
		memset(kid, 'e', length);
		kid[length] = 0;
		snprintf(header, sizeof header, OF_KID("\"%s\""), kid);
		make(&ed, header, PAYLOAD);
		expect(NO_KEY, "long");
	}
}

Test(foreign_jwt, a_key_of_another_provider_is_none)
{
	char text[1024];
	struct signer other;
	struct key_set *ours = keys;
	signer_open(&other, KEY_ED25519);
	int length = snprintf(text, sizeof text, "{\"keys\":[{\"kid\":\"ed\",%s},{\"kid\":\"theirs\",%s}]}",
		other.jwk.members, other.jwk.members);
	make(&other, HEADER_OF("EdDSA", "theirs"), PAYLOAD);
	expect(NO_KEY, "a kid of theirs");
	make(&other, HEADER, PAYLOAD);
	expect(NO_SIGNER, "a kid that both have");
	cr_assert_eq(key_set_read(text, (size_t)length, KEY_SET_JWKS, &keys, &why), HM_OK);
	expect(NULL, "by their set");
	make(&ed, HEADER, PAYLOAD);
	expect(NO_SIGNER, "ours by their set");
	key_set_free(keys);
	keys = ours;
	signer_close(&other);
}

static const struct {
	const char *expected, *typ, *refusal; /* typ NULL: none */
} types[] = {
	{"JWT", "\"JWT\"", NULL},
	{"JWT", "\"jwt\"", NULL},
	{"JWT", "\"application/jwt\"", NULL},
	{"JWT", "\"APPLICATION/JWT\"", NULL},
	{"at+jwt", "\"at+jwt\"", NULL},
	{"at+jwt", "\"AT+JWT\"", NULL},
	{"at+jwt", "\"Application/At+Jwt\"", NULL},
	{"at+jwt", "\"JWT\"", NO_TYP}, /* an ID token */
	{"at+jwt", "\"statuslist+jwt\"", NO_TYP},
	{"at+jwt", "\"at+jwt \"", NO_TYP},
	{"at+jwt", "\"application/at\"", NO_TYP},
	{"JWT", "\"at+jwt\"", NO_TYP},
	{"JWT", "\"application/at+jwt\"", NO_TYP},
	{"JWT", "\"statuslist+jwt\"", NO_TYP},
	{"JWT", "\"dpop+jwt\"", NO_TYP},
	{"JWT", "\"application/application/jwt\"", NO_TYP},
	{"a/jwt", "\"application/a/jwt\"", NO_TYP}, /* another slash follows */
	{"JWT", "\"x/jwt\"", NO_TYP},
	{"JWT", "\"application/\"", NO_TYP},
	{"JWT", "\"\"", NO_TYP},
	{"JWT", "[\"JWT\"]", NO_TYP},
	{"JWT", "null", NO_TYP},
	{"JWT", "7", NO_TYP},
	{"JWT", NULL, NO_TYP},
};

static void make_typ(const char *typ)
{
	char header[256];
	snprintf(header, sizeof header, "{\"alg\":\"EdDSA\",\"kid\":\"ed\"%s%s}", typ ? ",\"typ\":" : "",
		typ ? typ : "");
	make(&ed, header, PAYLOAD);
}

Test(foreign_jwt, a_typ_is_one_that_is_expected)
{
	for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
		rules.typs[0] = types[i].expected;
		make_typ(types[i].typ);
		expect(types[i].refusal, types[i].typ ? types[i].typ : "none");
		rules.typ_may_be_missing = true; /* which is not to be another */
		expect(types[i].typ ? types[i].refusal : NULL, types[i].typ ? types[i].typ : "none");
		rules.typ_may_be_missing = false;
	}
}

Test(foreign_jwt, each_of_the_typs_is_expected)
{
	const char *const names[] = {"a+jwt", "b+jwt", "c+jwt", "d+jwt"};
	for (unsigned i = 0; i < HM_FOREIGN_TYPS_MAX; i++)
		rules.typs[i] = names[i];
	make_typ("\"d+jwt\"");
	expect(NULL, "the last");
	make_typ("\"e+jwt\"");
	expect(NO_TYP, "none of them");
}

/* ---- unverified ---- */

static hm_result peek(struct unverified_jwt *said)
{
	return foreign_jwt_peek_unverified(token, token_length, said, &why);
}

Test(foreign_jwt, what_it_claims_of_itself_can_be_read)
{
	struct unverified_jwt said;
	make(&ed, HEADER_OF("none", "another"), "{" WHO "}");
	cr_assert_eq(peek(&said), HM_OK, "%s", why.detail);
	cr_expect_str_eq(said.kid, "another");
	cr_expect_str_eq(said.typ, "JWT");
	cr_expect_str_eq(said.issuer, "https://idp.test");
	cr_expect_str_eq(said.subject, "ada");
}

Test(foreign_jwt, what_it_claims_is_nothing_where_it_is_no_plain_text)
{
	char header[HM_FOREIGN_HEADER_MAX] = "";
	struct unverified_jwt said;
	make(&ed, "{\"kid\":7,\"typ\":\"a\\u0001\"}", "{\"iss\":\"\",\"sub\":[\"ada\"]}");
	cr_assert_eq(peek(&said), HM_OK);
	cr_expect(!*said.kid && !*said.typ && !*said.issuer && !*said.subject);
	snprintf(header, sizeof header, "{\"kid\":\"%0*d\"}", HM_FOREIGN_KID_MAX + 1, 0);
	make(&ed, header, "{}");
	cr_assert_eq(peek(&said), HM_OK);
	cr_expect(!*said.kid && !*said.typ && !*said.issuer && !*said.subject);
}

Test(foreign_jwt, what_has_not_the_form_claims_nothing)
{
	static const struct hostile payloads[] = {
		{PAYLOAD, NULL}, {"[]", NO_PAYLOAD}, {"{\"iss\":1,\"iss\":2}", NO_PAYLOAD}};
	struct unverified_jwt said;
	for (size_t i = 0; i < sizeof payloads / sizeof *payloads; i++) {
		make(&ed, HEADER, payloads[i].json);
		cr_expect_eq(peek(&said), payloads[i].refusal ? HM_REFUSED : HM_OK);
		cr_expect(!payloads[i].refusal || strstr(why.detail, payloads[i].refusal));
	}
	token_length = 3;
	cr_expect_eq(peek(&said), HM_REFUSED);
}
