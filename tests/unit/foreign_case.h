/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the verifier share: those who sign, the set of their keys, rules, and a good JWT to make worse. */
#ifndef HSMINT_TEST_FOREIGN_CASE_H
#define HSMINT_TEST_FOREIGN_CASE_H

#include "foreign_jwt.h"
#include "signer.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NOW = 1700000000 };

#define HEADER_OF(alg, kid) "{\"alg\":\"" alg "\",\"kid\":\"" kid "\",\"typ\":\"JWT\"}"
#define HEADER              HEADER_OF("EdDSA", "ed")
#define WHO                 "\"iss\":\"https://idp.test\",\"sub\":\"ada\",\"jti\":\"1\",\"aud\":\"mint\""
#define TIMES               "\"iat\":1700000000,\"exp\":1700000300"
#define PAYLOAD             "{" WHO "," TIMES "}"
#define WITH(members)       "{\"alg\":\"EdDSA\",\"kid\":\"ed\",\"typ\":\"JWT\"," members "}"

/* What is said of one that is refused. */
#define NOT_THREE   "has not three parts"
#define EMPTY       "a part of the JWT is empty"
#define NO_HEADER   "the header is no JSON object"
#define NO_PAYLOAD  "the payload is no JSON object"
#define NOT_DECODED "is no base64url of"
#define NO_ALG      "alg is none that is expected"
#define NO_KEY      "kid is that of no key, or of one for another alg"
#define NO_TYP      "typ is none that is expected"
#define NO_LENGTH   "the signature is no base64url of its key's length"
#define NO_SIGNER   "the signature is not its key's"

static struct signer es256, es384, rs256, ps256 /* the same pair as rs256's */, ed;
static struct key_set *keys;
static struct jwt_rules rules;
static const char *const audiences[] = {"mint", "https://mint.test"};
static struct hm_problem why;
static char token[64 * 1024];
static size_t token_length;

static void read_keys(void)
{
	char text[8 * 1024];
	int length = snprintf(text, sizeof text,
		"{\"keys\":[{\"kid\":\"es256\",%s},{\"kid\":\"es384\",%s},{\"kid\":\"ed\",%s},{\"kid\":\"rsa\",%s},"
		"{\"kid\":\"rs256\",\"alg\":\"RS256\",%s},{\"kid\":\"ps256\",\"alg\":\"PS256\",%s}]}",
		es256.jwk.members, es384.jwk.members, ed.jwk.members, rs256.jwk.members, rs256.jwk.members,
		rs256.jwk.members);
	cr_assert_eq(key_set_read(text, (size_t)length, KEY_SET_JWKS, &keys, &why), HM_OK, "%s", why.detail);
}

static void begin(void)
{
	signer_open(&es256, KEY_ES256);
	signer_open(&es384, KEY_ES384);
	signer_open(&rs256, KEY_RS256);
	signer_open(&ed, KEY_ED25519);
	ps256 = rs256;
	ps256.algorithm = KEY_PS256;
	read_keys();
	rules = (struct jwt_rules){.algorithms = (1U << KEY_ALGORITHMS) - 1,
		.typs = {"JWT"},
		.issuer = "https://idp.test",
		.audiences = audiences,
		.audience_count = 2,
		.now = NOW,
		.max_lifetime = 300,
		.needs_iat = true,
		.needs_jti = true,
		.needs_sub = true};
}

static void end(void)
{
	key_set_free(keys);
	signer_close(&es256);
	signer_close(&es384);
	signer_close(&rs256);
	signer_close(&ed);
}

static void make_bytes(const struct signer *signer, const char *header, size_t header_length, const char *payload,
	size_t payload_length)
{
	token_length = signer_make_jwt(signer, header, header_length, payload, payload_length, token);
}

static void make(const struct signer *signer, const char *header, const char *payload)
{
	make_bytes(signer, header, strlen(header), payload, strlen(payload));
}

/* In memory of just its length, so that a sanitizer sees a read beyond it. */
static hm_result verify(struct foreign_jwt *jwt)
{
	char *exact = malloc(token_length ? token_length : 1);
	cr_assert_not_null(exact);
	memcpy(exact, token, token_length);
	why = (struct hm_problem){.code = ""};
	hm_result result = foreign_jwt_verify(exact, token_length, &rules, keys, jwt, &why);
	free(exact);
	return result;
}

/* `refusal` NULL: it is accepted. Else what is said of it has this in it: refused for another reason it would show
 * nothing. */
static void expect(const char *refusal, const char *what)
{
	FOREIGN_JWT_AUTO jwt;
	hm_result result = verify(&jwt);
	if (!refusal) {
		cr_expect_eq(result, HM_OK, "%s: %s", what, why.detail);
		return;
	}
	cr_expect_eq(result, HM_REFUSED, "%s: accepted", what);
	cr_expect_str_eq(why.code, result == HM_REFUSED ? FOREIGN_JWT_REFUSED : "");
	cr_expect_not_null(strstr(why.detail, refusal), "%s: %s", what, why.detail);
	cr_expect_null(jwt.payload);
}

/* A header or a payload, and why it is refused; NULL: it is not. */
struct hostile {
	const char *json, *refusal;
};

static inline void expect_headers(const struct hostile *hostile, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		make(&ed, hostile[i].json, PAYLOAD);
		expect(hostile[i].refusal, hostile[i].json);
	}
}

static inline void expect_payloads(const struct hostile *hostile, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		make(&ed, HEADER, hostile[i].json);
		expect(hostile[i].refusal, hostile[i].json);
	}
}

#define EXPECT_HEADERS(table)  expect_headers(table, sizeof(table) / sizeof *(table))
#define EXPECT_PAYLOADS(table) expect_payloads(table, sizeof(table) / sizeof *(table))

#endif
