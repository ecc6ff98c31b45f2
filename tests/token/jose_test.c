/* SPDX-License-Identifier: Apache-2.0 */
#include "jose.h"

#include "base64url.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define KID    "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s"
#define ISSUER "https://mint.example/one"
#define HEADER "{\"alg\":\"ES256\",\"kid\":\"" KID "\",\"typ\":\"at+jwt\"}"
#define CLAIMS "{\"iss\":\"" ISSUER "\",\"sub\":\"spiffe://example/agent\"}"

static struct token_key_config config;
static struct key key;
static struct jose jose;
static struct token_failure why;
static char tbs[HM_JWT_TBS_MAX + 64];
static size_t length;

static void begin(void)
{
	config = (struct token_key_config){.name = "key", .use = KEY_USE_ACCESS_TOKEN, .issuer = ISSUER};
	key = (struct key){.config = &config, .shown = {.kid = KID}};
	cr_assert_eq(jose_open(&key, &jose, &why), HM_OK);
}

TestSuite(jose, .init = begin);

static void build(const char *header, const char *payload, size_t payload_length)
{
	length = base64url_encode(header, strlen(header), tbs);
	tbs[length++] = '.';
	length += base64url_encode(payload, payload_length, tbs + length);
}

static hm_result check(void)
{
	return jose_check(&jose, (struct hm_bytes){(const uint8_t *)tbs, length}, &why);
}

static void expect_refused(const char *what, const char *said)
{
	why = (struct token_failure){0};
	cr_expect_eq(check(), HM_REFUSED, "%s", what);
	cr_expect_eq(why.class, TOKEN_REFUSED, "%s", what);
	cr_expect_not_null(strstr(why.detail, said), "%s: %s", what, why.detail);
}

Test(jose, what_the_key_is_for_is_accepted)
{
	build(HEADER, CLAIMS, strlen(CLAIMS));
	cr_expect_eq(check(), HM_OK);

	config.use = KEY_USE_JWT_SVID;
	cr_assert_eq(jose_open(&key, &jose, &why), HM_OK);
	expect_refused("an access token by a key for JWT-SVIDs", "JOSE header");
	build("{\"alg\":\"ES256\",\"kid\":\"" KID "\",\"typ\":\"JWT\"}", CLAIMS, strlen(CLAIMS));
	cr_expect_eq(check(), HM_OK);
}

Test(jose, the_longest_payload_is_accepted_and_no_longer_one)
{
	static char payload[HM_JWT_PAYLOAD_MAX + 1];
	memset(payload, ' ', sizeof payload);
	memcpy(payload, CLAIMS, strlen(CLAIMS) - 1);
	payload[HM_JWT_PAYLOAD_MAX - 1] = '}';
	build(HEADER, payload, HM_JWT_PAYLOAD_MAX);
	cr_expect_eq(check(), HM_OK);
	payload[HM_JWT_PAYLOAD_MAX - 1] = ' ';
	payload[HM_JWT_PAYLOAD_MAX] = '}';
	build(HEADER, payload, sizeof payload);
	expect_refused("one byte more", "base64url");
}

static const struct {
	const char *what, *header;
} headers[] = {
	{"another kid",
		"{\"alg\":\"ES256\",\"kid\":\"NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs\",\"typ\":\"at+jwt\"}"},
	{"another alg", "{\"alg\":\"ES384\",\"kid\":\"" KID "\",\"typ\":\"at+jwt\"}"},
	{"alg none", "{\"alg\":\"none\",\"kid\":\"" KID "\",\"typ\":\"at+jwt\"}"},
	{"another typ", "{\"alg\":\"ES256\",\"kid\":\"" KID "\",\"typ\":\"JWT\"}"},
	{"no typ", "{\"alg\":\"ES256\",\"kid\":\"" KID "\"}"},
	{"one member more", "{\"alg\":\"ES256\",\"kid\":\"" KID "\",\"typ\":\"at+jwt\",\"crit\":[]}"},
	{"another order", "{\"kid\":\"" KID "\",\"alg\":\"ES256\",\"typ\":\"at+jwt\"}"},
	{"white space", "{\"alg\": \"ES256\",\"kid\":\"" KID "\",\"typ\":\"at+jwt\"}"},
	{"an empty object", "{}"},
	{"nothing", ""},
};

Test(jose, another_header_is_refused)
{
	for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
		build(headers[i].header, CLAIMS, strlen(CLAIMS));
		expect_refused(headers[i].what, "JOSE header");
	}
}

static const struct {
	const char *what, *payload;
} payloads[] = {
	{"another issuer", "{\"iss\":\"https://mint.example/two\",\"sub\":\"x\"}"},
	{"an issuer that begins alike", "{\"iss\":\"" ISSUER "/more\",\"sub\":\"x\"}"},
	{"an issuer cut short", "{\"iss\":\"https://mint.example/\",\"sub\":\"x\"}"},
	{"the issuer not first", "{\"sub\":\"x\",\"iss\":\"" ISSUER "\"}"},
	{"no issuer", "{\"sub\":\"x\"}"},
	{"white space before the issuer", "{ \"iss\":\"" ISSUER "\",\"sub\":\"x\"}"},
	{"nothing behind the issuer", "{\"iss\":\"" ISSUER "\","},
	{"the issuer alone", "{\"iss\":\"" ISSUER "\"}"},
	{"an array", "[{\"iss\":\"" ISSUER "\",\"sub\":\"x\"}]"},
	{"nothing", ""},
	{"a probe", HM_PROBE_PREFIX "0123456789abcdef"},
};

Test(jose, another_payload_is_refused)
{
	for (size_t i = 0; i < sizeof payloads / sizeof *payloads; i++) {
		build(HEADER, payloads[i].payload, strlen(payloads[i].payload));
		expect_refused(payloads[i].what, "issuer");
	}
}

#define OWN "{\"iss\":\"" ISSUER "\","

/* RFC 8259, section 4: of two members with one name readers take either. So there is one, spelled plainly. */
static const struct {
	const char *what, *payload;
	bool good;
} members[] = {
	{"members further in", OWN "\"act\":{\"iss\":\"https://other.example\",\"iss\":1},\"a\":[{\"iss\":2}]}", true},
	{"text that looks like a member", OWN "\"sub\":\"x\\\",\\\"iss\\\":\\\"y\"}", true},
	{"brackets in text", OWN "\"sub\":\"]}{[\"}", true},
	{"numbers and words", OWN "\"exp\":1,\"a\":true,\"b\":null,\"c\":-1e3}", true},
	{"a second issuer", OWN "\"iss\":\"https://other.example\"}", false},
	{"the same issuer twice", OWN "\"iss\":\"" ISSUER "\"}", false},
	{"a second issuer at the end", OWN "\"sub\":{\"a\":[1,2]},\"iss\":3}", false},
	{"a second issuer, escaped", OWN "\"\\u0069ss\":\"https://other.example\"}", false},
	{"a member's name with an escape", OWN "\"a\\n\":1}", false},
	{"two objects", OWN "\"sub\":1}{\"iss\":2}", false},
	{"an object within, unclosed", OWN "\"sub\":{}", false},
	{"closed by the wrong bracket", OWN "\"sub\":[}}", false},
	{"a text that does not end", OWN "\"sub\":\"x}", false},
	{"nothing behind a comma", OWN "}", false},
	{"too deep", OWN "\"a\":[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}", false},
};

Test(jose, a_payload_names_one_issuer_and_no_reader_can_find_another)
{
	for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
		build(HEADER, members[i].payload, strlen(members[i].payload));
		if (members[i].good)
			cr_expect_eq(check(), HM_OK, "%s: %s", members[i].what, why.detail);
		else
			expect_refused(members[i].what, "one issuer");
	}
}

Test(jose, a_payload_that_is_no_object_in_one_piece_is_refused)
{
	build(HEADER, CLAIMS "\n", strlen(CLAIMS) + 1);
	expect_refused("a byte behind the object", "JSON object");
	build(HEADER, CLAIMS "\0}", strlen(CLAIMS) + 2);
	expect_refused("a NUL within", "JSON object");
}

/* The unencoded payload has a length that leaves unused bits in its last character. */
Test(jose, the_encoding_is_strict)
{
	char good[HM_JWT_TBS_MAX];
	_Static_assert((sizeof CLAIMS - 1) % 3 != 0, "no unused bits in the last character");
	build(HEADER, CLAIMS, strlen(CLAIMS));
	cr_assert_eq(check(), HM_OK);
	size_t good_length = length;
	memcpy(good, tbs, length);

	static const char *const behind[] = {"=", "==", ".", ".AAAA", "\n", " ", "\0"};
	for (size_t i = 0; i < sizeof behind / sizeof *behind; i++) {
		size_t more = behind[i][0] ? strlen(behind[i]) : 1;
		memcpy(tbs, good, good_length);
		memcpy(tbs + good_length, behind[i], more);
		length = good_length + more;
		expect_refused(behind[i], "base64url");
	}
	static const char within[] = "+/ .=\n%\x80";
	for (size_t i = 0; i < sizeof within; i++) {
		memcpy(tbs, good, good_length);
		length = good_length;
		tbs[length - 8] = within[i];
		expect_refused("a character that is not of the alphabet", "base64url");
	}
	memcpy(tbs, good, good_length);
	length = good_length;
	tbs[length - 1]++;
	expect_refused("an unused bit set", "base64url");
}

Test(jose, what_was_not_built_like_a_jwt_is_refused)
{
	static const char *const others[] = {
		"", ".", "..", HM_PROBE_PREFIX "0123456789abcdef", CLAIMS, HEADER "." CLAIMS};
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		length = strlen(others[i]);
		memcpy(tbs, others[i], length);
		expect_refused(others[i], "JOSE header");
	}
	build(HEADER, "", 0);
	length--; /* the header without its dot */
	expect_refused("half a JWT", "JOSE header");
}

Test(jose, every_single_byte_of_header_and_issuer_counts)
{
	build(HEADER, CLAIMS, strlen(CLAIMS));
	size_t counts = jose.header_length + base64url_length(jose.start_length) - 1;
	for (size_t i = 0; i < counts; i++) {
		char saved = tbs[i];
		tbs[i] = saved == 'A' ? 'B' : 'A';
		cr_expect_eq(check(), HM_REFUSED, "byte %zu", i);
		tbs[i] = saved;
	}
	cr_expect_eq(check(), HM_OK);
}

Test(jose, an_issuer_is_written_as_json_writes_it)
{
	strcpy(config.issuer, "https://mint.example/\"q\\");
	cr_assert_eq(jose_open(&key, &jose, &why), HM_OK);
	static const char payload[] = "{\"iss\":\"https://mint.example/\\\"q\\\\\",\"a\":1}";
	build(HEADER, payload, strlen(payload));
	cr_expect_eq(check(), HM_OK);
}

Test(jose, the_longest_issuer_fits)
{
	memset(config.issuer, 'i', HM_URL_MAX);
	config.issuer[HM_URL_MAX] = 0;
	cr_expect_eq(jose_open(&key, &jose, &why), HM_OK);
	memset(config.issuer, '"', HM_URL_MAX); /* twice as long as JSON */
	cr_expect_eq(jose_open(&key, &jose, &why), HM_REFUSED);
	cr_expect_eq(why.class, TOKEN_PERMANENT);
}
