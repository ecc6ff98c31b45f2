/* SPDX-License-Identifier: Apache-2.0 */
#include "record_token.h"
#include "token_inside.h"
#include <criterion/criterion.h>
#include <string.h>

#define ONE "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s"
#define TWO "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"

static struct token first, second;
static struct service service;
static char text[1024];

static const char *carried(void)
{
	size_t length = record_carried(&service, text, sizeof text);
	cr_assert_eq(length, strlen(text));
	return text;
}

static void begin(void)
{
	memset(&first, 0, sizeof first);
	memset(&second, 0, sizeof second);
	service.tokens[0] = &first;
	service.tokens[1] = &second;
	service.token_count = 2;
}

TestSuite(record_token, .init = begin);

Test(record_token, nothing_is_carried_when_nothing_was_given_to_sign_or_all_of_it_is_counted)
{
	cr_expect_str_eq(carried(), "[]");
	first.sent = (struct token_counts){.count = 1, .keys = {{ONE, {4, 0, 0}}}};
	first.counted = (struct token_counts){.count = 1, .keys = {{ONE, {4, 2, 0}}}};
	cr_expect_str_eq(carried(), "[]");
}

Test(record_token, what_was_given_to_sign_and_is_not_counted_is_carried)
{
	first.sent = (struct token_counts){.count = 2, .keys = {{ONE, {4, 0, 0}}, {TWO, {7, 0, 0}}}};
	cr_expect_str_eq(carried(), "[{\"count\":4,\"kid\":\"" ONE "\"},{\"count\":7,\"kid\":\"" TWO "\"}]");
	first.counted = (struct token_counts){.count = 2, .keys = {{TWO, {5, 9, 9}}, {ONE, {4, 9, 9}}}};
	cr_expect_str_eq(carried(), "[{\"count\":2,\"kid\":\"" TWO "\"}]");
}

Test(record_token, two_tokens_with_one_key_carry_it_once)
{
	first.sent = (struct token_counts){.count = 1, .keys = {{ONE, {4, 0, 0}}}};
	second.sent = (struct token_counts){.count = 2, .keys = {{TWO, {1, 0, 0}}, {ONE, {3, 0, 0}}}};
	second.counted = (struct token_counts){.count = 1, .keys = {{ONE, {2, 0, 0}}}};
	cr_expect_str_eq(carried(), "[{\"count\":5,\"kid\":\"" ONE "\"},{\"count\":1,\"kid\":\"" TWO "\"}]");
}

Test(record_token, a_process_that_ended_carries_nothing)
{
	first.sent = (struct token_counts){.count = 1, .keys = {{ONE, {4, 0, 0}}}};
	token_forget_counts(&first);
	cr_expect_str_eq(carried(), "[]");
}

Test(record_token, status_lists_are_carried_as_credentials_are)
{
	struct pending list = {.key = 3, .what = PENDING_STATUS_LIST};
	strcpy(first.holdings.keys[3].kid, ONE);
	token_count_sent(&first, &list);
	token_count_sent(&first, &list);
	cr_expect_str_eq(carried(), "[{\"count\":2,\"kid\":\"" ONE "\"}]");
	first.counted = (struct token_counts){.count = 1, .keys = {{ONE, {[SIGNED_STATUS_LIST] = 1}}}};
	cr_expect_str_eq(carried(), "[{\"count\":1,\"kid\":\"" ONE "\"}]");
	first.counted.keys[0].counts[SIGNED_STATUS_LIST] = 2;
	cr_expect_str_eq(carried(), "[]");
}

Test(record_token, checkpoints_are_not_carried)
{
	struct pending credential = {.key = 3}, checkpoint = {.key = 4, .what = PENDING_CHECKPOINT};
	strcpy(first.holdings.keys[3].kid, ONE);
	strcpy(first.holdings.keys[4].kid, TWO);
	token_count_sent(&first, &credential);
	token_count_sent(&first, &checkpoint);
	token_count_sent(&first, &credential);
	cr_expect_str_eq(carried(), "[{\"count\":2,\"kid\":\"" ONE "\"}]");
}

Test(record_token, what_has_no_room_is_said)
{
	first.sent = (struct token_counts){.count = 1, .keys = {{ONE, {4, 0, 0}}}};
	size_t length = strlen(carried());
	for (size_t size = 0; size <= length; size++)
		cr_expect_eq(record_carried(&service, text, size), 0);
	cr_expect_eq(record_carried(&service, text, length + 1), length);
}
