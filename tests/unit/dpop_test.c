/* SPDX-License-Identifier: Apache-2.0 */
/* With the examples of RFC 9449, figures 2, 4, 13 and 14; all other proofs are made here, with OpenSSL. */
#include "dpop_inside.h"

#include "base64url.h"
#include <criterion/criterion.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

#define NOW INT64_C(1760000000)
#define URL "https://mint.test/issuer/oauth2/token"
enum { TEXT = 8192, JSON = 4096 };

static struct dpop *dpop;
static struct hm_problem why;
static char jkt[HM_KID_MAX + 1];
static enum dpop_error error;

static void begin(void)
{
	dpop = dpop_open();
	cr_assert_not_null(dpop);
}

static void end(void)
{
	dpop_close(dpop);
}

TestSuite(dpop, .init = begin, .fini = end);

static hm_result verify(const char *proof, int64_t now)
{
	struct dpop_request request = {proof, "POST", URL};
	return dpop_verify(dpop, &request, now, jkt, &error, &why);
}

static const char *nonce_of(struct dpop *of, int64_t now)
{
	static char nonce[HM_ID_MAX + 1];
	cr_assert_eq(dpop_nonce(of, now, nonce, &why), HM_OK);
	return nonce;
}

static void expect_refused(const char *proof, int64_t now, enum dpop_error wanted, const char *field, const char *what)
{
	cr_expect_eq(verify(proof, now), HM_REFUSED, "%s", what);
	cr_expect_eq(error, wanted, "%s: %s", what, why.detail);
	cr_expect_str_eq(why.field, field, "%s: %s", what, why.detail);
	cr_expect_str_empty(jkt, "%s", what);
}

/* ---- the RFC's ---- */

#define RFC_HEADER                                                                                                     \
	"eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0Rs" \
	"cEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2" \
	"In19."

static const struct {
	const char *proof, *method, *url;
	int64_t now;
} rfc[] = {
	{RFC_HEADER
		"eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3"
		"Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-"
		"FNyJK70nfbV37xRZT3Lg",
		"POST", "https://server.example.com/token", 1562262616},
	{RFC_HEADER
		"eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy"
		"9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1"
		"OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoM"
		"xhAJpLjA",
		"GET", "https://resource.example.org/protectedresource", 1562262618},
};

/* They have no nonce: that is all that is missed, and only once the signature was found good. */
Test(dpop, the_rfcs_examples_lack_but_a_nonce)
{
	for (size_t i = 0; i < sizeof rfc / sizeof *rfc; i++) {
		char changed[TEXT];
		struct dpop_request request = {rfc[i].proof, rfc[i].method, rfc[i].url};
		cr_expect_eq(dpop_verify(dpop, &request, rfc[i].now, jkt, &error, &why), HM_REFUSED);
		cr_expect_eq(error, DPOP_USE_NONCE, "%s", why.detail);
		strcpy(changed, rfc[i].proof);
		changed[strlen(changed) - 10] ^= 1;
		request.proof = changed;
		cr_expect_eq(dpop_verify(dpop, &request, rfc[i].now, jkt, &error, &why), HM_REFUSED);
		cr_expect_eq(error, DPOP_INVALID_PROOF);
		cr_expect_str_eq(why.field, "jwk");
	}
}

/* Section 6.1 */
Test(dpop, the_rfcs_key_has_its_thumbprint)
{
	struct dpop_key key;
	json_t *jwk = json_loads("{\"kty\":\"EC\",\"x\":\"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs\","
				 "\"y\":\"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA\",\"crv\":\"P-256\"}",
		0, NULL);
	cr_assert_eq(dpop_key_read(jwk, KEY_ES256, "ES256", &key, &why), HM_OK, "%s", why.detail);
	cr_expect_str_eq(key.jwk.kid, "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
	json_decref(jwk);
}

/* ---- our own ---- */

static const struct {
	const char *alg;
	enum key_algorithm algorithm;
} algorithms[] = {{"ES256", KEY_ES256}, {"ES384", KEY_ES384}, {"RS256", KEY_RS256}, {"PS256", KEY_PS256},
	{"EdDSA", KEY_ED25519}, {"Ed25519", KEY_ED25519}};
enum { ALGORITHMS = sizeof algorithms / sizeof *algorithms };

/* One of each algorithm for the whole of a test. */
static EVP_PKEY *key_for(enum key_algorithm algorithm)
{
	static EVP_PKEY *keys[KEY_ALGORITHMS];
	if (keys[algorithm])
		return keys[algorithm];
	switch (algorithm) {
	case KEY_ES256:
		return keys[algorithm] = EVP_EC_gen("P-256");
	case KEY_ES384:
		return keys[algorithm] = EVP_EC_gen("P-384");
	case KEY_ED25519:
		return keys[algorithm] = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	default:
		return keys[algorithm] = EVP_RSA_gen(2048);
	}
}

static struct jwk jwk_of(EVP_PKEY *key)
{
	uint8_t spki[HM_SPKI_MAX], *at = spki;
	struct jwk jwk;
	int length = i2d_PUBKEY(key, &at);
	cr_assert(length > 0 && length <= HM_SPKI_MAX);
	cr_assert_eq(jwk_from_spki(spki, (size_t)length, &jwk, &why), HM_OK, "%s", why.detail);
	return jwk;
}

static size_t to_raw(uint8_t *signature, size_t length, int half)
{
	const uint8_t *at = signature;
	uint8_t raw[96];
	ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &at, (long)length);
	cr_assert_not_null(pair);
	cr_assert_eq(BN_bn2binpad(ECDSA_SIG_get0_r(pair), raw, half), half);
	cr_assert_eq(BN_bn2binpad(ECDSA_SIG_get0_s(pair), raw + half, half), half);
	ECDSA_SIG_free(pair);
	memcpy(signature, raw, 2 * (size_t)half);
	return 2 * (size_t)half;
}

static size_t sign(EVP_PKEY *key, enum key_algorithm algorithm, const char *text, uint8_t *signature)
{
	EVP_PKEY_CTX *parameters;
	size_t length = HM_SIGNATURE_MAX;
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	const EVP_MD *hash = algorithm == KEY_ED25519 ? NULL : algorithm == KEY_ES384 ? EVP_sha384() : EVP_sha256();
	cr_assert_eq(EVP_DigestSignInit(context, &parameters, hash, NULL, key), 1);
	if (algorithm == KEY_PS256) {
		EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING);
		EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, RSA_PSS_SALTLEN_DIGEST);
	}
	cr_assert_eq(EVP_DigestSign(context, signature, &length, (const uint8_t *)text, strlen(text)), 1);
	EVP_MD_CTX_free(context);
	if (algorithm == KEY_ES256 || algorithm == KEY_ES384)
		return to_raw(signature, length, algorithm == KEY_ES256 ? 32 : 48);
	return length;
}

static size_t encode(const void *data, size_t length, char *text)
{
	size_t written = base64url_encode(data, length, text);
	text[written] = 0;
	return written;
}

/* Sign this header and this payload, whatever they are. */
static const char *join(EVP_PKEY *key, enum key_algorithm algorithm, const char *header, const char *payload)
{
	static char text[4 * TEXT];
	uint8_t signature[HM_SIGNATURE_MAX];
	size_t used = encode(header, strlen(header), text);
	text[used++] = '.';
	used += encode(payload, strlen(payload), text + used);
	size_t length = sign(key, algorithm, text, signature);
	text[used++] = '.';
	encode(signature, length, text + used);
	return text;
}

/* What goes out of a proof in place of what is in a good one; NULL: as in a good one, "": not at all. Each is members
 * of a JSON object with a comma behind them. */
struct make {
	const char *typ, *alg, *jwk, *more_header;
	const char *jti, *htm, *htu, *iat, *nonce, *more;
};

static const char *or_else(const char *given, const char *usual)
{
	return given ? given : usual;
}

/* Members, with no comma behind the last, within braces. */
static void close_object(char *json)
{
	size_t length = strlen(json);
	if (json[length - 1] == ',')
		length--;
	strcpy(json + length, "}");
}

static const char *make_by(
	EVP_PKEY *key, enum key_algorithm algorithm, const char *alg, int64_t now, const struct make *make)
{
	static unsigned number;
	char header[TEXT], payload[TEXT], jwk[JSON], usual_alg[64], jti[64], iat[64], nonce[64];
	snprintf(jwk, sizeof jwk, "\"jwk\":{%s},", jwk_of(key).members);
	snprintf(usual_alg, sizeof usual_alg, "\"alg\":\"%s\",", alg);
	snprintf(jti, sizeof jti, "\"jti\":\"proof %u\",", number++);
	snprintf(iat, sizeof iat, "\"iat\":%lld,", (long long)now);
	snprintf(nonce, sizeof nonce, "\"nonce\":\"%s\",", nonce_of(dpop, now));
	snprintf(header, sizeof header, "{%s%s%s%s", or_else(make->typ, "\"typ\":\"dpop+jwt\","),
		or_else(make->alg, usual_alg), or_else(make->jwk, jwk), or_else(make->more_header, ""));
	snprintf(payload, sizeof payload, "{%s%s%s%s%s%s", or_else(make->jti, jti),
		or_else(make->htm, "\"htm\":\"POST\","), or_else(make->htu, "\"htu\":\"" URL "\","),
		or_else(make->iat, iat), or_else(make->nonce, nonce), or_else(make->more, ""));
	close_object(header);
	close_object(payload);
	return join(key, algorithm, header, payload);
}

static const char *make(int64_t now, const struct make *make)
{
	return make_by(key_for(KEY_ES256), KEY_ES256, "ES256", now, make);
}

static const struct make as_usual;

Test(dpop, a_proof_of_each_algorithm_is_good_once_and_binds_to_its_key)
{
	size_t advertised = 0;
	while (dpop_algorithms[advertised])
		advertised++;
	cr_expect_eq(advertised, ALGORITHMS);
	for (size_t i = 0; i < ALGORITHMS; i++) {
		EVP_PKEY *key = key_for(algorithms[i].algorithm);
		const char *proof = make_by(key, algorithms[i].algorithm, algorithms[i].alg, NOW, &as_usual);
		cr_expect_eq(verify(proof, NOW), HM_OK, "%s: %s", algorithms[i].alg, why.detail);
		cr_expect_str_eq(jkt, jwk_of(key).kid);
		expect_refused(proof, NOW, DPOP_INVALID_PROOF, "jti", algorithms[i].alg);
	}
}

Test(dpop, rsa_keys_of_2048_to_4096_bits_are_taken)
{
	static const struct {
		unsigned bits;
		const char *field; /* NULL: good */
	} cases[] = {{2048, NULL}, {4096, NULL}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		EVP_PKEY *key = EVP_RSA_gen(cases[i].bits);
		const char *proof = make_by(key, KEY_RS256, "RS256", NOW, &as_usual);
		cr_expect_eq(verify(proof, NOW), HM_OK, "%u: %s", cases[i].bits, why.detail);
		EVP_PKEY_free(key);
	}
}

/* Each of them signed well, by the key that it names if it names one. */
static const struct {
	const char *what;
	struct make make;
	const char *field; /* NULL: it is good */
} cases[] = {
	{"as usual", {.typ = NULL}, NULL},
	/* header */
	{"no typ", {.typ = ""}, "typ"},
	{"typ JWT", {.typ = "\"typ\":\"JWT\","}, "typ"},
	{"typ in capitals", {.typ = "\"typ\":\"DPOP+JWT\","}, "typ"},
	{"typ with application/", {.typ = "\"typ\":\"application/dpop+jwt\","}, "typ"},
	{"typ at+jwt", {.typ = "\"typ\":\"at+jwt\","}, "typ"},
	{"typ a list", {.typ = "\"typ\":[\"dpop+jwt\"],"}, "typ"},
	{"no alg", {.alg = ""}, "alg"},
	{"alg none", {.alg = "\"alg\":\"none\","}, "alg"},
	{"alg HS256", {.alg = "\"alg\":\"HS256\","}, "alg"},
	{"alg es256", {.alg = "\"alg\":\"es256\","}, "alg"},
	{"alg ES512", {.alg = "\"alg\":\"ES512\","}, "alg"},
	{"alg a number", {.alg = "\"alg\":256,"}, "alg"},
	{"alg of another curve", {.alg = "\"alg\":\"ES384\","}, "jwk"},
	{"alg of another type", {.alg = "\"alg\":\"RS256\","}, "jwk"},
	{"alg of another type of curve", {.alg = "\"alg\":\"EdDSA\","}, "jwk"},
	{"alg twice", {.more_header = "\"alg\":\"ES256\","}, "DPoP"},
	{"typ twice, once escaped", {.more_header = "\"t\\u0079p\":\"dpop+jwt\","}, "DPoP"},
	{"jku", {.more_header = "\"jku\":\"https://a.test/\","}, "jku"},
	{"x5u", {.more_header = "\"x5u\":\"https://a.test/\","}, "x5u"},
	{"x5c", {.more_header = "\"x5c\":[],"}, "x5c"},
	{"x5t", {.more_header = "\"x5t\":\"AAAA\","}, "x5t"},
	{"x5t#S256", {.more_header = "\"x5t#S256\":null,"}, "x5t#S256"},
	{"crit", {.more_header = "\"crit\":[\"exp\"],"}, "crit"},
	{"crit of nothing", {.more_header = "\"crit\":[],"}, "crit"},
	{"b64", {.more_header = "\"b64\":true,"}, "b64"},
	{"enc", {.more_header = "\"enc\":\"A128GCM\","}, "enc"},
	{"zip", {.more_header = "\"zip\":\"DEF\","}, "zip"},
	{"a kid that means nothing", {.more_header = "\"kid\":\"../../etc/passwd\","}, NULL},
	{"a member of a later day", {.more_header = "\"later\":{\"a\":[1]},"}, NULL},
	/* key */
	{"no jwk", {.jwk = ""}, "jwk"},
	{"jwk a string", {.jwk = "\"jwk\":\"{}\","}, "jwk"},
	{"jwk empty", {.jwk = "\"jwk\":{},"}, "jwk"},
	{"jwk a list", {.jwk = "\"jwk\":[],"}, "jwk"},
	{"jwk null", {.jwk = "\"jwk\":null,"}, "jwk"},
	{"jwk symmetric", {.jwk = "\"jwk\":{\"kty\":\"oct\",\"k\":\"AAAA\"},"}, "jwk"},
	/* claims */
	{"no jti", {.jti = ""}, "jti"},
	{"jti empty", {.jti = "\"jti\":\"\","}, "jti"},
	{"jti a number", {.jti = "\"jti\":7,"}, "jti"},
	{"jti a list", {.jti = "\"jti\":[\"a\"],"}, "jti"},
	{"jti twice", {.more = "\"jti\":\"a\","}, "DPoP"},
	{"jti with NUL", {.jti = "\"jti\":\"a\\u0000b\","}, "DPoP"},
	{"no htm", {.htm = ""}, "htm"},
	{"htm GET", {.htm = "\"htm\":\"GET\","}, "htm"},
	{"htm in small letters", {.htm = "\"htm\":\"post\","}, "htm"},
	{"htm a list", {.htm = "\"htm\":[\"POST\"],"}, "htm"},
	{"no htu", {.htu = ""}, "htu"},
	{"htu a list", {.htu = "\"htu\":[\"" URL "\"],"}, "htu"},
	{"htu empty", {.htu = "\"htu\":\"\","}, "htu"},
	{"htu of another host", {.htu = "\"htu\":\"https://mint.test.a.test/issuer/oauth2/token\","}, "htu"},
	{"htu of another issuer", {.htu = "\"htu\":\"https://mint.test/other/oauth2/token\","}, "htu"},
	{"htu of another port", {.htu = "\"htu\":\"https://mint.test:8443/issuer/oauth2/token\","}, "htu"},
	{"htu without TLS", {.htu = "\"htu\":\"http://mint.test/issuer/oauth2/token\","}, "htu"},
	{"htu with a user", {.htu = "\"htu\":\"https://mint.test@mint.test/issuer/oauth2/token\","}, "htu"},
	{"htu with a slash more", {.htu = "\"htu\":\"" URL "/\","}, "htu"},
	{"htu in another case", {.htu = "\"htu\":\"https://mint.test/issuer/OAuth2/token\","}, "htu"},
	{"htu with an escaped slash", {.htu = "\"htu\":\"https://mint.test/issuer%2foauth2/token\","}, "htu"},
	{"htu the path alone", {.htu = "\"htu\":\"/issuer/oauth2/token\","}, "htu"},
	{"htu with a query", {.htu = "\"htu\":\"" URL "?a=b\","}, NULL},
	{"htu with a fragment", {.htu = "\"htu\":\"" URL "#a\","}, NULL},
	{"htu in another form", {.htu = "\"htu\":\"HTTPS://Mint.TEST:443/a/../issuer/%6fauth2/./token?#\","}, NULL},
	{"no iat", {.iat = ""}, "iat"},
	{"iat a string", {.iat = "\"iat\":\"1760000000\","}, "iat"},
	{"iat a fraction", {.iat = "\"iat\":1760000000.0,"}, "iat"},
	{"iat null", {.iat = "\"iat\":null,"}, "iat"},
	{"iat 0", {.iat = "\"iat\":0,"}, "iat"},
	{"iat the least", {.iat = "\"iat\":-9223372036854775808,"}, "iat"},
	{"iat the most", {.iat = "\"iat\":9223372036854775807,"}, "iat"},
	{"iat more than that", {.iat = "\"iat\":9223372036854775808,"}, "DPoP"},
	{"iat in milliseconds", {.iat = "\"iat\":1760000000000,"}, "iat"},
	{"iat a minute ago", {.iat = "\"iat\":1759999940,"}, NULL},
	{"iat before that", {.iat = "\"iat\":1759999939,"}, "iat"},
	{"iat half a minute ahead", {.iat = "\"iat\":1760000030,"}, NULL},
	{"iat beyond that", {.iat = "\"iat\":1760000031,"}, "iat"},
	{"exp to come", {.more = "\"exp\":1760000001,"}, NULL},
	{"exp 29 seconds ago, as clocks differ", {.more = "\"exp\":1759999971,"}, NULL},
	{"exp 30 seconds ago", {.more = "\"exp\":1759999970,"}, "exp"},
	{"exp a string", {.more = "\"exp\":\"1760000100\","}, "exp"},
	{"nbf in half a minute", {.more = "\"nbf\":1760000030,"}, NULL},
	{"nbf beyond that", {.more = "\"nbf\":1760000031,"}, "exp"},
	{"nbf null", {.more = "\"nbf\":null,"}, "exp"},
	{"nonce a number", {.nonce = "\"nonce\":7,"}, "nonce"},
	{"nonce a list", {.nonce = "\"nonce\":[],"}, "nonce"},
	{"nonce twice", {.more = "\"nonce\":\"a\","}, "DPoP"},
	{"claims of others", {.more = "\"iss\":\"me\",\"aud\":[\"a\",\"b\"],\"ath\":\"AAAA\","}, NULL},
	{"a member twice, deep within", {.more = "\"a\":[{\"b\":1,\"b\":1}],"}, "DPoP"},
	{"no JSON", {.more = "\"a\":1.,"}, "DPoP"},
	{"a second object", {.more = "\"a\":1}{,"}, "DPoP"},
	{"no UTF-8", {.more = "\"a\":\"\xff\","}, "DPoP"},
};

Test(dpop, what_is_wrong_is_refused_and_named)
{
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const char *proof = make(NOW, &cases[i].make);
		if (cases[i].field)
			expect_refused(proof, NOW, DPOP_INVALID_PROOF, cases[i].field, cases[i].what);
		else
			cr_expect_eq(verify(proof, NOW), HM_OK, "%s: %s %s", cases[i].what, why.field, why.detail);
	}
}

/* ---- keys ---- */

#define EC_X "\"x\":\"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs\""
#define EC_Y "\"y\":\"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA\""
#define EC   "\"kty\":\"EC\",\"crv\":\"P-256\"," EC_X "," EC_Y
#define OKP  "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\""
/* RFC 7638, section 3.1 */
#define RSA_N                                                                                                      \
	"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_"                  \
	"BJECPebWKRXjBZCiFV4n3ok"                                                                                  \
	"njhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_"                                        \
	"FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu"                                                            \
	"6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-" \
	"kEgU8a"                                                                                                   \
	"wapJzKnqDKgw"
#define RSA_OF(n, e) "\"kty\":\"RSA\",\"n\":\"" n "\",\"e\":\"" e "\""

static const struct {
	const char *alg, *jwk;
	bool is_good;
} keys[] = {
	{"ES256", "{" EC "}", true},
	{"ES256", "{" EC ",\"use\":\"sig\",\"alg\":\"ES256\",\"kid\":\"a\",\"key_ops\":[\"verify\"]}", true},
	{"Ed25519", "{" OKP "}", true}, {"EdDSA", "{" OKP "}", true}, {"RS256", "{" RSA_OF(RSA_N, "AQAB") "}", true},
	{"PS256", "{" RSA_OF(RSA_N, "AQAB") "}", true},
	/* private */
	{"ES256", "{" EC ",\"d\":\"AAAA\"}", false}, {"ES256", "{" EC ",\"d\":null}", false},
	{"Ed25519", "{" OKP ",\"d\":\"\"}", false}, {"RS256", "{" RSA_OF(RSA_N, "AQAB") ",\"p\":\"AA\"}", false},
	{"RS256", "{" RSA_OF(RSA_N, "AQAB") ",\"q\":\"AA\"}", false},
	{"RS256", "{" RSA_OF(RSA_N, "AQAB") ",\"dp\":\"AA\"}", false},
	{"RS256", "{" RSA_OF(RSA_N, "AQAB") ",\"dq\":\"AA\"}", false},
	{"RS256", "{" RSA_OF(RSA_N, "AQAB") ",\"qi\":\"AA\"}", false},
	{"RS256", "{" RSA_OF(RSA_N, "AQAB") ",\"oth\":[]}", false}, {"ES256", "{" EC ",\"k\":\"AA\"}", false},
	{"ES256", "{" EC ",\"priv\":\"AA\"}", false},
	/* for something else */
	{"ES256", "{" EC ",\"use\":\"enc\"}", false}, {"ES256", "{" EC ",\"use\":1}", false},
	{"ES256", "{" EC ",\"alg\":\"ES384\"}", false},
	{"RS256", "{" RSA_OF(RSA_N, "AQAB") ",\"alg\":\"PS256\"}", false}, {"ES384", "{" EC "}", false},
	{"Ed25519", "{" EC "}", false}, {"RS256", "{" EC "}", false}, {"ES256", "{" OKP "}", false},
	{"ES256", "{" RSA_OF(RSA_N, "AQAB") "}", false},
	/* of another kind */
	{"ES256", "{\"kty\":\"ec\",\"crv\":\"P-256\"," EC_X "," EC_Y "}", false},
	{"ES256", "{\"kty\":\"EC\",\"crv\":\"secp256k1\"," EC_X "," EC_Y "}", false},
	{"ES256", "{\"kty\":\"EC\"," EC_X "," EC_Y "}", false},
	{"ES256", "{\"crv\":\"P-256\"," EC_X "," EC_Y "}", false},
	{"Ed25519", "{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}",
		false},
	/* bytes */
	{"ES256", "{\"kty\":\"EC\",\"crv\":\"P-256\"," EC_X "}", false},
	{"ES256", "{\"kty\":\"EC\",\"crv\":\"P-256\"," EC_X ",\"y\":[]}", false},
	{"ES256", /* off the curve */
		"{\"kty\":\"EC\",\"crv\":\"P-256\"," EC_X ",\"y\":\"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDE\"}",
		false},
	{"ES256", /* the same bytes, other text */
		"{\"kty\":\"EC\",\"crv\":\"P-256\"," EC_X ",\"y\":\"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDB\"}",
		false},
	{"ES256", "{\"kty\":\"EC\",\"crv\":\"P-256\"," EC_X ",\"y\":\"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA=\"}",
		false},
	{"ES256", "{\"kty\":\"EC\",\"crv\":\"P-256\"," EC_X ",\"y\":\"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRA\"}",
		false},
	{"ES256", "{\"kty\":\"EC\",\"crv\":\"P-256\"," EC_X ",\"y\":\"AA9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA\"}",
		false},
	{"ES256",
		"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\",\"y\":"
		"\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}",
		false},
	{"Ed25519", "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHUQ\"}",
		false},
	{"RS256", "{" RSA_OF(RSA_N, "AQ") "}", false},      /* 1 */
	{"RS256", "{" RSA_OF(RSA_N, "Aw") "}", false},      /* 3 */
	{"RS256", "{" RSA_OF(RSA_N, "AQAA") "}", false},    /* 65536 */
	{"RS256", "{" RSA_OF(RSA_N, "AAEAAQ") "}", false},  /* a zero in front */
	{"RS256", "{" RSA_OF(RSA_N, "AQAAAAE") "}", false}, /* 5 bytes */
	{"RS256", "{" RSA_OF(RSA_N, "") "}", false}, {"RS256", "{" RSA_OF("", "AQAB") "}", false},
	{"RS256", "{" RSA_OF("AA" RSA_N, "AQAB") "}", false}, {"RS256", "{" RSA_OF("2_s", "AQAB") "}", false},
	{"RS256", "{" RSA_OF(RSA_N RSA_N RSA_N, "AQAB") "}", false}, /* more than 4096 bits */
};

Test(dpop, only_a_public_key_of_the_algorithm_is_one)
{
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		struct dpop_key key;
		size_t algorithm = 0;
		while (strcmp(algorithms[algorithm].alg, keys[i].alg) != 0)
			algorithm++;
		json_t *jwk = json_loads(keys[i].jwk, JSON_REJECT_DUPLICATES, NULL);
		cr_assert_not_null(jwk, "%s", keys[i].jwk);
		hm_result result = dpop_key_read(jwk, algorithms[algorithm].algorithm, keys[i].alg, &key, &why);
		cr_expect_eq(result, keys[i].is_good ? HM_OK : HM_REFUSED, "%s, %s", keys[i].alg, keys[i].jwk);
		if (!keys[i].is_good)
			cr_expect_str_eq(why.field, "jwk");
		json_decref(jwk);
	}
}

Test(dpop, rsa_keys_of_other_sizes_are_refused)
{
	static const unsigned bits[] = {1024, 2047, 4104};
	for (size_t i = 0; i < sizeof bits / sizeof *bits; i++) {
		struct dpop_key key;
		char text[TEXT];
		uint8_t n[600];
		BIGNUM *number = NULL;
		EVP_PKEY *made = EVP_RSA_gen(bits[i]);
		cr_assert_eq(EVP_PKEY_get_bn_param(made, "n", &number), 1);
		encode(n, (size_t)BN_bn2bin(number, n), text);
		json_t *jwk = json_pack("{s:s, s:s, s:s}", "kty", "RSA", "n", text, "e", "AQAB");
		cr_expect_eq(dpop_key_read(jwk, KEY_RS256, "RS256", &key, &why), HM_REFUSED, "%u", bits[i]);
		json_decref(jwk);
		BN_free(number);
		EVP_PKEY_free(made);
	}
}

Test(dpop, another_key_than_the_one_that_signed_is_refused)
{
	char jwk[JSON];
	EVP_PKEY *other = EVP_EC_gen("P-256");
	snprintf(jwk, sizeof jwk, "\"jwk\":{%s},", jwk_of(other).members);
	expect_refused(make(NOW, &(struct make){.jwk = jwk}), NOW, DPOP_INVALID_PROOF, "jwk", "another's key");
	EVP_PKEY_free(other);
}

/* ---- form ---- */

static const char *const not_proofs[] = {"", ".", "..", "...", "a.b", "a.b.c", "e30.e30.", "e30.e30.AA", "W10.W10.AA",
	"bnVsbA.e30.AA", "e30.e30.AA.e30", "e30.e30.AA.AA.AA"};

Test(dpop, what_is_no_proof_is_refused)
{
	for (size_t i = 0; i < sizeof not_proofs / sizeof *not_proofs; i++) {
		cr_expect_eq(verify(not_proofs[i], NOW), HM_REFUSED, "%s", not_proofs[i]);
		cr_expect_eq(error, DPOP_INVALID_PROOF);
	}
}

/* Every character but the last one of the signature, whose other values are no base64url of 64 bytes anyway. */
Test(dpop, no_character_can_be_changed_or_left_out)
{
	char good[TEXT], changed[2 * TEXT + 2];
	strcpy(good, make(NOW, &as_usual));
	size_t length = strlen(good);
	static const char to[] = "AZaz09-_.= \n+/";
	for (size_t i = 0; i < length; i++) {
		strcpy(changed, good);
		for (const char *c = to; *c; c++) {
			changed[i] = *c;
			if (*c != good[i])
				cr_expect_eq(verify(changed, NOW), HM_REFUSED, "%c at %zu", *c, i);
		}
		memmove(changed + i, good + i + 1, length - i);
		cr_expect_eq(verify(changed, NOW), HM_REFUSED, "without %zu", i);
		strcpy(changed, good);
		changed[i] = 0;
		cr_expect_eq(verify(changed, NOW), HM_REFUSED, "%zu characters", i);
	}
	snprintf(changed, sizeof changed, "%sA", good);
	cr_expect_eq(verify(changed, NOW), HM_REFUSED);
	snprintf(changed, sizeof changed, "%s, %s", good, good);
	cr_expect_eq(verify(changed, NOW), HM_REFUSED);
	cr_expect_eq(verify(good, NOW), HM_OK);
}

static const char *make_long(size_t jti_length, size_t more_length)
{
	static char more[TEXT], jti[TEXT];
	memset(jti, 0, sizeof jti);
	memset(more, 0, sizeof more);
	strcpy(jti, "\"jti\":\"");
	memset(jti + strlen(jti), 'j', jti_length);
	strcat(jti, "\",");
	strcpy(more, "\"more\":\"");
	memset(more + strlen(more), 'm', more_length);
	strcat(more, "\",");
	return make(NOW, &(struct make){.jti = jti, .more = more});
}

Test(dpop, sizes_are_bounded)
{
	cr_expect_eq(verify(make_long(HM_DPOP_JTI_MAX, 0), NOW), HM_OK, "%s", why.detail);
	expect_refused(make_long(HM_DPOP_JTI_MAX + 1, 0), NOW, DPOP_INVALID_PROOF, "jti", "jti too long");
	size_t most = 0;
	while (strlen(make_long(1, most + 1)) <= HM_DPOP_PROOF_MAX)
		most++;
	cr_expect_eq(verify(make_long(1, most), NOW), HM_OK, "%s", why.detail);
	expect_refused(make_long(2, most + 4), NOW, DPOP_INVALID_PROOF, "DPoP", "proof too long");
}

/* ---- nonces ---- */

static const char *make_with(const char *nonce, int64_t now)
{
	char member[64];
	snprintf(member, sizeof member, "\"nonce\":\"%s\",", nonce);
	return make(now, &(struct make){.nonce = member});
}

Test(dpop, without_a_nonce_of_this_process_another_proof_is_wanted)
{
	struct dpop *other = dpop_open();
	cr_assert_not_null(other);
	char mine[HM_ID_MAX + 1];
	strcpy(mine, nonce_of(dpop, NOW));
	cr_expect_str_neq(nonce_of(other, NOW), mine);
	expect_refused(make_with(nonce_of(other, NOW), NOW), NOW, DPOP_USE_NONCE, "nonce", "another process's");
	expect_refused(make(NOW, &(struct make){.nonce = ""}), NOW, DPOP_USE_NONCE, "nonce", "none");
	expect_refused(make_with("", NOW), NOW, DPOP_USE_NONCE, "nonce", "empty");
	expect_refused(make_with("AAAAAAAAAAAAAAAAAAAAAA", NOW), NOW, DPOP_USE_NONCE, "nonce", "made up");
	for (size_t i = 0; i < HM_ID_MAX; i++) {
		char changed[HM_ID_MAX + 1];
		strcpy(changed, mine);
		changed[i] = changed[i] == 'A' ? 'Q' : 'A';
		expect_refused(make_with(changed, NOW), NOW, DPOP_USE_NONCE, "nonce", changed);
		changed[i] = 0;
		expect_refused(make_with(changed, NOW), NOW, DPOP_USE_NONCE, "nonce", changed);
	}
	cr_expect_eq(verify(make_with(mine, NOW), NOW), HM_OK);
	dpop_close(other);
}

Test(dpop, whatever_else_is_wrong_is_told_first)
{
	expect_refused(
		make(NOW, &(struct make){.nonce = "", .htm = ""}), NOW, DPOP_INVALID_PROOF, "htm", "no nonce, no htm");
	char changed[TEXT];
	strcpy(changed, make(NOW, &(struct make){.nonce = ""}));
	changed[strlen(changed) - 10] ^= 1;
	expect_refused(changed, NOW, DPOP_INVALID_PROOF, "jwk", "no nonce, no signature");
}

/* A nonce is given out for one period and good for one more, at each second of both. */
Test(dpop, a_nonce_is_good_for_one_period_and_the_next)
{
	enum { PERIOD = HM_DPOP_SECONDS };
	char first[HM_ID_MAX + 1], second[HM_ID_MAX + 1];
	strcpy(first, nonce_of(dpop, NOW));
	for (int64_t i = 0; i < PERIOD; i++)
		cr_expect_str_eq(nonce_of(dpop, NOW + i), first);
	cr_expect_eq(verify(make_with(first, NOW + PERIOD - 1), NOW + PERIOD - 1), HM_OK);
	strcpy(second, nonce_of(dpop, NOW + PERIOD));
	cr_expect_str_neq(second, first);
	cr_expect_eq(verify(make_with(first, NOW + PERIOD), NOW + PERIOD), HM_OK);
	cr_expect_eq(verify(make_with(second, NOW + PERIOD), NOW + PERIOD), HM_OK);
	int64_t last = NOW + 2 * PERIOD - 1;
	cr_expect_eq(verify(make_with(first, last), last), HM_OK);
	expect_refused(make_with(first, last + 1), last + 1, DPOP_USE_NONCE, "nonce", "two periods later");
	cr_expect_eq(verify(make_with(second, last + 1), last + 1), HM_OK);
}

/* However seldom somebody asks. */
Test(dpop, a_nonce_is_never_good_for_more_than_two_periods)
{
	for (int64_t before = 1; before < 2L * HM_DPOP_SECONDS; before += 7) {
		struct dpop *fresh = dpop_open();
		char nonce[HM_ID_MAX + 1];
		strcpy(nonce, nonce_of(fresh, NOW));
		(void)nonce_of(fresh, NOW + before);
		(void)nonce_of(fresh, NOW + 2L * HM_DPOP_SECONDS);
		cr_expect_not(dpop_is_nonce(fresh, nonce), "asked %d s later", (int)before);
		dpop_close(fresh);
	}
}

Test(dpop, a_clock_that_goes_wrong_makes_nothing_good_again)
{
	char proof[TEXT], nonce[HM_ID_MAX + 1];
	strcpy(nonce, nonce_of(dpop, NOW));
	strcpy(proof, make(NOW, &as_usual));
	cr_expect_eq(verify(proof, NOW), HM_OK);
	(void)nonce_of(dpop, NOW + 100000);
	expect_refused(proof, NOW, DPOP_USE_NONCE, "nonce", "there and back");
	expect_refused(make_with(nonce, NOW), NOW, DPOP_USE_NONCE, "nonce", "a new one with that nonce");
	cr_expect_eq(verify(make(NOW, &as_usual), NOW), HM_OK);
	cr_expect_eq(verify(make(NOW - 1, &as_usual), NOW - 1), HM_OK);
}

/* ---- used once ---- */

Test(dpop, a_jti_is_used_once_by_each_key)
{
	static const struct make same = {.jti = "\"jti\":\"the same\","};
	EVP_PKEY *other = EVP_EC_gen("P-256");
	cr_expect_eq(verify(make(NOW, &same), NOW), HM_OK);
	expect_refused(make(NOW, &same), NOW, DPOP_INVALID_PROOF, "jti", "another proof of the same jti");
	cr_expect_eq(verify(make_by(other, KEY_ES256, "ES256", NOW, &same), NOW), HM_OK);
	int64_t next = NOW + HM_DPOP_SECONDS;
	expect_refused(make(next, &same), next, DPOP_INVALID_PROOF, "jti", "the same jti with the next nonce");
	EVP_PKEY_free(other);
}

Test(dpop, a_proof_that_was_refused_is_not_used_up)
{
	static const struct make wrong = {.jti = "\"jti\":\"tried\",", .nonce = ""},
				 right = {.jti = "\"jti\":\"tried\","};
	expect_refused(make(NOW, &wrong), NOW, DPOP_USE_NONCE, "nonce", "no nonce");
	cr_expect_eq(verify(make(NOW, &right), NOW), HM_OK);
}

/* At every second for which its nonce is good, and after many others. */
Test(dpop, none_is_good_again)
{
	char proof[TEXT];
	strcpy(proof, make(NOW, &as_usual));
	cr_expect_eq(verify(proof, NOW), HM_OK);
	for (int i = 0; i < 2000; i++)
		cr_assert_eq(verify(make(NOW, &as_usual), NOW), HM_OK, "%d", i);
	for (int64_t later = 0; later < 4L * HM_DPOP_SECONDS; later++) {
		cr_expect_eq(verify(proof, NOW + later), HM_REFUSED, "%d s later", (int)later);
		cr_expect_eq(error, DPOP_INVALID_PROOF);
	}
}

/* Where the memory ends nothing is forgotten, and others get in again when the nonce is over. */
Test(dpop, a_full_memory_is_overload_until_the_next_nonce)
{
	char nonce[HM_ID_MAX + 1], jti[HM_ID_MAX + 1], last[TEXT];
	static const char key[] = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
	strcpy(nonce, nonce_of(dpop, NOW));
	for (int i = 0; i < HM_DPOP_PROOFS_MAX; i++) {
		snprintf(jti, sizeof jti, "%d", i);
		cr_assert_eq(dpop_use(dpop, nonce, key, jti, &why), HM_OK, "%d", i);
	}
	strcpy(last, make(NOW, &as_usual));
	cr_expect_eq(verify(last, NOW), HM_UNAVAILABLE);
	cr_expect_str_eq(why.code, "overload");
	cr_expect_gt(why.retry_after, 0);
	cr_expect_str_empty(jkt);
	for (int i = 0; i < HM_DPOP_PROOFS_MAX; i++) {
		snprintf(jti, sizeof jti, "%d", i);
		cr_assert_eq(dpop_use(dpop, nonce, key, jti, &why), HM_REFUSED, "%d", i);
	}
	int64_t next = NOW + HM_DPOP_SECONDS;
	cr_expect_eq(verify(make(next, &as_usual), next), HM_OK);
	cr_expect_eq(dpop_use(dpop, nonce, key, "0", &why), HM_REFUSED);
	cr_expect_eq(dpop_use(dpop, nonce, key, "new", &why), HM_UNAVAILABLE);
}
