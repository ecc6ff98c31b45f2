/* SPDX-License-Identifier: Apache-2.0 */
#include "status_list.h"

#include "base64url.h"
#include "jose.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define KID    "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s"
#define ISSUER "https://mint.example/one"
#define HEADER "{\"alg\":\"ES256\",\"kid\":\"" KID "\",\"typ\":\"statuslist+jwt\"}"
#define BEGIN  "{\"iss\":\"" ISSUER "\",\"sub\":\"" ISSUER "/status/7\","
#define TIMES  "\"iat\":1000,\"exp\":1300,\"ttl\":5,"
#define END    "\"status_list\":{\"bits\":2,\"lst\":\"eNo76fITAAPfAgc\"}}"

static struct token_key_config config = {.name = "key", .use = KEY_USE_STATUS_LIST, .issuer = ISSUER};
static struct key key = {.config = &config, .shown = {.kid = KID}};
static char tbs[HM_JWT_TBS_MAX + 64];
static size_t length;

static void build(const char *header, const char *payload, size_t payload_length)
{
	length = base64url_encode(header, strlen(header), tbs);
	tbs[length++] = '.';
	length += base64url_encode(payload, payload_length, tbs + length);
}

/* As worker.c has it. */
static hm_result check(struct token_failure *why)
{
	struct jose jose;
	struct hm_bytes bytes = {(const uint8_t *)tbs, length};
	cr_assert_eq(jose_open(&key, &jose, why), HM_OK);
	HM_TRY(jose_check(&jose, bytes, why));
	return status_list_check(&key, bytes, why);
}

Test(status_list, the_one_form_is_accepted)
{
	struct token_failure why;
	build(HEADER, BEGIN TIMES END, strlen(BEGIN TIMES END));
	cr_expect_eq(check(&why), HM_OK);
}

Test(status_list, what_lacks_its_end_is_refused)
{
	struct token_failure why;
	for (size_t cut = 0; cut < strlen(BEGIN TIMES END); cut++) {
		build(HEADER, BEGIN TIMES END, cut);
		why = (struct token_failure){0};
		cr_expect_eq(check(&why), HM_REFUSED, "%zu bytes", cut);
		cr_expect_eq(why.class, TOKEN_REFUSED, "%zu bytes", cut);
	}
}

/* A list may have any letters of base64url, and numbers any digits that keep them what they are; all else stands fast.
 */
static bool may_change(size_t at, char to)
{
	static const char payload[] = BEGIN TIMES END;
	const char *list = strstr(payload, "eNo7"), *end = strchr(list, '"');
	bool in_list = payload + at >= list && payload + at < end;
	bool is_digit = to >= '0' && to <= '9';
	bool is_letter = is_digit || (to >= 'a' && to <= 'z') || (to >= 'A' && to <= 'Z') || to == '-' || to == '_';
	const char *numbers = strstr(payload, "/status/7") + 8;
	const char *bits = strstr(payload, "\"status_list\"");
	bool in_number = payload + at >= numbers && payload + at < bits && payload[at] >= '0' && payload[at] <= '9';
	return in_list ? is_letter : in_number && is_digit;
}

Test(status_list, any_other_byte_is_refused)
{
	static const char payload[] = BEGIN TIMES END;
	char changed[sizeof payload];
	struct token_failure why;
	for (size_t at = 0; at < strlen(payload); at++)
		for (int to = 0; to < 256; to++) {
			memcpy(changed, payload, sizeof payload);
			changed[at] = (char)to;
			if (changed[at] == payload[at] || may_change(at, (char)to))
				continue;
			build(HEADER, changed, strlen(payload));
			cr_expect_eq(check(&why), HM_REFUSED, "byte %zu as %d", at, to);
		}
}

Test(status_list, bits_are_two)
{
	static const char before[] = BEGIN TIMES "\"status_list\":{\"bits\":";
	char payload[512];
	struct token_failure why;
	for (int bits = 0; bits < 10; bits++) {
		snprintf(payload, sizeof payload, "%s%d,\"lst\":\"eNo\"}}", before, bits);
		build(HEADER, payload, strlen(payload));
		cr_expect_eq(check(&why), bits == 2 ? HM_OK : HM_REFUSED, "%d bits", bits);
	}
}

Test(status_list, a_list_as_long_as_fits_is_accepted_and_no_longer_one)
{
	static char payload[HM_JWT_PAYLOAD_MAX + 1];
	static const char begin[] = BEGIN TIMES "\"status_list\":{\"bits\":2,\"lst\":\"";
	struct token_failure why;
	for (size_t size = HM_JWT_PAYLOAD_MAX; size <= sizeof payload; size++) {
		memset(payload, 'x', size);
		memcpy(payload, begin, strlen(begin));
		memcpy(payload + size - 3, "\"}}", 3);
		build(HEADER, payload, size);
		cr_expect_eq(check(&why), size == HM_JWT_PAYLOAD_MAX ? HM_OK : HM_REFUSED, "%zu bytes", size);
	}
}
