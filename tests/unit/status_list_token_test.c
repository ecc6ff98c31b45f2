/* SPDX-License-Identifier: Apache-2.0 */
#include "status_list_token.h"

#include "base64url.h"
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { LIST = 8192 }; /* bytes of a list that mint builds */

#define HEADER "eyJhbGciOiJFUzI1NiJ9"
#define ISSUER "https://mint.example/one"

static struct hm_problem why;
static char tbs[HM_JWT_TBS_MAX];
static size_t length;

static void expect_compressed(const uint8_t *bits, size_t size, const char *hexadecimal)
{
	char text[256], found[256];
	uint8_t bytes[sizeof text];
	size_t used = status_list_compress(bits, size, text, sizeof text);
	size_t count = base64url_decode(text, used, bytes, sizeof bytes);
	cr_assert_leq(count, sizeof bytes);
	for (size_t i = 0; i < count; i++)
		snprintf(found + 2 * i, 3, "%02x", bytes[i]);
	cr_expect_str_eq(found, hexadecimal);
}

/* draft-ietf-oauth-status-list-21, sections 4.1 and 4.2: a list of one bit a place, and one of two. */
Test(status_list_token, lists_are_compressed_as_the_draft_shows)
{
	expect_compressed((const uint8_t[]){0xb9, 0xa3}, 2, "78dadbb918000217015d");
	expect_compressed((const uint8_t[]){0xc9, 0x44, 0xf9}, 3, "78da3be9f2130003df0207");
}

static hm_result build(const uint8_t *bits)
{
	return status_list_build(HEADER, ISSUER, 7, bits, LIST, 1760000000, tbs, &length, &why);
}

static json_t *payload_of(void)
{
	static char payload[HM_JWT_TBS_MAX];
	json_error_t error;
	cr_assert_eq(strncmp(tbs, HEADER ".", strlen(HEADER ".")), 0);
	const char *text = tbs + strlen(HEADER ".");
	size_t used = base64url_decode(text, length - strlen(HEADER "."), payload, sizeof payload);
	cr_assert_leq(used, (size_t)HM_JWT_PAYLOAD_MAX);
	json_t *json = json_loadb(payload, used, JSON_REJECT_DUPLICATES, &error);
	cr_assert_not_null(json, "%s", error.text);
	return json;
}

/* What is in `lst`, as a reader of the list finds it. */
static void expect_bits(const json_t *json, const uint8_t *bits)
{
	static uint8_t compressed[HM_JWT_PAYLOAD_MAX], found[LIST + 1];
	uLongf found_length = sizeof found;
	const json_t *list = json_object_get(json_object_get(json, "status_list"), "lst");
	size_t used =
		base64url_decode(json_string_value(list), json_string_length(list), compressed, sizeof compressed);
	cr_assert_leq(used, sizeof compressed);
	cr_assert_eq(uncompress(found, &found_length, compressed, used), Z_OK);
	cr_expect_eq(found_length, LIST);
	cr_expect_arr_eq(found, bits, LIST);
}

Test(status_list_token, a_list_has_the_members_of_the_draft)
{
	static uint8_t bits[LIST];
	bits[5] = 0x24;
	cr_assert_eq(build(bits), HM_OK, "%s", why.detail);
	json_t *json = payload_of();
	const json_t *list = json_object_get(json, "status_list");
	cr_expect_eq(json_object_size(json), 6);
	cr_expect_str_eq(json_string_value(json_object_get(json, "iss")), ISSUER);
	cr_expect_str_eq(json_string_value(json_object_get(json, "sub")), ISSUER "/status/7");
	cr_expect_eq(json_integer_value(json_object_get(json, "iat")), 1760000000);
	cr_expect_eq(json_integer_value(json_object_get(json, "exp")), 1760000300);
	cr_expect_eq(json_integer_value(json_object_get(json, "ttl")), 5);
	cr_expect_eq(json_object_size(list), 2);
	cr_expect_eq(json_integer_value(json_object_get(list, "bits")), 2);
	expect_bits(json, bits);
	json_decref(json);
}

Test(status_list_token, a_list_that_does_not_compress_fits)
{
	static uint8_t bits[LIST];
	uint32_t state = 1;
	for (size_t i = 0; i < sizeof bits; i++) {
		state = state * 1664525 + 1013904223;
		bits[i] = (uint8_t)(state >> 24);
	}
	cr_assert_eq(build(bits), HM_OK, "%s", why.detail);
	json_t *json = payload_of();
	expect_bits(json, bits);
	json_decref(json);
}

Test(status_list_token, what_has_no_room_is_said)
{
	static uint8_t bits[LIST];
	char header[HM_JWT_TBS_MAX];
	char text[32];
	cr_expect_eq(status_list_compress(bits, sizeof bits, text, 8), 0);
	memset(header, 'x', sizeof header);
	header[sizeof header - 1] = 0;
	cr_expect_eq(status_list_build(header, ISSUER, 7, bits, LIST, 1, tbs, &length, &why), HM_BROKEN);
}
