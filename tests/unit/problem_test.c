/* SPDX-License-Identifier: Apache-2.0 */
#include "problem.h"

#include "limits.h"
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

static json_t *written(const struct hm_problem *why)
{
	char body[HM_PROBLEM_MAX];
	size_t length = problem_write(why, body, sizeof body);
	cr_assert_neq(length, 0, "%s", why->code);
	json_t *read = json_loadb(body, length, JSON_REJECT_DUPLICATES, NULL);
	cr_assert_not_null(read, "%.*s", (int)length, body);
	return read;
}

static const char *text_of(const json_t *problem, const char *member)
{
	const char *text = json_string_value(json_object_get(problem, member));
	return text ? text : "";
}

Test(problem, each_code_is_spelled_as_a_word_and_listed_once)
{
	for (const struct problem_kind *kind = problem_kinds; kind->code; kind++) {
		cr_expect_eq(strspn(kind->code, "abcdefghijklmnopqrstuvwxyz_0123456789"), strlen(kind->code), "%s",
			kind->code);
		for (const struct problem_kind *other = problem_kinds; other < kind; other++)
			cr_expect_str_neq(other->code, kind->code);
		cr_expect(kind->title && *kind->title, "%s", kind->code);
	}
}

/* RFC 9110, section 15: 4xx is the caller's to mend, so the same again is of no use; 5xx is ours. */
Test(problem, whether_to_retry_agrees_with_whose_fault_it_is)
{
	for (const struct problem_kind *kind = problem_kinds; kind->code; kind++) {
		cr_expect(kind->status >= 400 && kind->status <= 599, "%s", kind->code);
		if (kind->status < 500 && kind->status != 429) /* RFC 6585, section 4 */
			cr_expect_str_eq(kind->retry, "no", "%s", kind->code);
		else if (kind->status == 503 || kind->status == 429)
			cr_expect_str_eq(kind->retry, "after", "%s", kind->code);
		else /* what failed for good fails again; what was too late may come in time */
			cr_expect_str_eq(kind->retry, kind->status == 500 ? "no" : "same-key", "%s", kind->code);
	}
}

Test(problem, each_kind_is_written_as_rfc_9457_has_it)
{
	for (const struct problem_kind *kind = problem_kinds; kind->code; kind++) {
		struct hm_problem why = {.code = kind->code, .field = "audience", .detail = "one of \"these\""};
		char type[128];
		snprintf(type, sizeof type, "urn:hsmint:problem:%s", kind->code);
		json_t *problem = written(&why);
		cr_expect_str_eq(text_of(problem, "type"), type);
		cr_expect_str_eq(text_of(problem, "title"), kind->title);
		cr_expect_str_eq(text_of(problem, "code"), kind->code);
		cr_expect_str_eq(text_of(problem, "field"), "audience");
		cr_expect_str_eq(text_of(problem, "retry"), kind->retry);
		cr_expect_eq(json_integer_value(json_object_get(problem, "status")), kind->status, "%s", kind->code);
		json_decref(problem);
	}
}

Test(problem, what_would_be_accepted_is_told_for_faults_of_the_caller_and_never_for_ours)
{
	for (const struct problem_kind *kind = problem_kinds; kind->code; kind++) {
		struct hm_problem why = {.code = kind->code, .detail = "/var/lib/hsmint/state: No space left"};
		json_t *problem = written(&why);
		if (kind->status < 500)
			cr_expect_str_eq(text_of(problem, "accepts"), why.detail, "%s", kind->code);
		else
			cr_expect_null(json_object_get(problem, "accepts"), "%s", kind->code);
		json_decref(problem);
	}
}

Test(problem, without_field_and_detail_neither_member_stands_there)
{
	struct hm_problem why = {.code = "unknown_caller"};
	json_t *problem = written(&why);
	cr_expect_eq(json_object_size(problem), 5);
	cr_expect_null(json_object_get(problem, "field"));
	cr_expect_null(json_object_get(problem, "accepts"));
	json_decref(problem);
}

/* RFC 9110, section 10.2.3, and the same number in the body, since a batch has no header for each of its items. */
Test(problem, when_to_come_again_is_told_for_the_codes_that_say_so_and_no_others)
{
	for (const struct problem_kind *kind = problem_kinds; kind->code; kind++)
		for (unsigned seconds = 0; seconds <= 60; seconds += 30) {
			struct hm_problem why = {.code = kind->code, .retry_after = seconds};
			unsigned told = strcmp(kind->retry, "after") != 0 ? 0 : seconds ? seconds : 1;
			json_t *problem = written(&why);
			const json_t *member = json_object_get(problem, "retry_after");
			cr_expect_eq(problem_retry_after(&why), told, "%s", kind->code);
			cr_expect_eq(member != NULL, told != 0, "%s", kind->code);
			cr_expect_eq(json_integer_value(member), told, "%s", kind->code);
			json_decref(problem);
		}
}

Test(problem, a_time_to_wait_is_rounded_up_and_bounded)
{
	static const struct {
		double seconds;
		unsigned told;
	} cases[] = {{-1e300, 1}, {-1, 1}, {0, 1}, {0.001, 1}, {1, 1}, {1.0001, 2}, {2, 2}, {2.5, 3}, {118.5, 119},
		{119, 119}, {119.001, HM_RETRY_AFTER_MAX}, {120, HM_RETRY_AFTER_MAX}, {1e300, HM_RETRY_AFTER_MAX},
		{1 / 0.0, HM_RETRY_AFTER_MAX}, {-1 / 0.0, 1}, {0 / 0.0, HM_RETRY_AFTER_MAX}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		cr_expect_eq(hm_retry_after(cases[i].seconds), cases[i].told, "%g: %u", cases[i].seconds,
			hm_retry_after(cases[i].seconds));
}

Test(problem, overload_says_when_and_a_problem_filled_anew_forgets_it)
{
	struct hm_problem why;
	memset(&why, 0xff, sizeof why);
	cr_expect_eq(hm_overload(&why, 6.5, "100 % of the places are taken"), HM_UNAVAILABLE);
	cr_expect_str_eq(why.code, "overload");
	cr_expect_str_eq(why.field, "");
	cr_expect_str_eq(why.detail, "100 % of the places are taken", "no format");
	cr_expect_eq(why.retry_after, 7);
	cr_expect_eq(hm_unavailable(&why, "token_unavailable", "x"), HM_UNAVAILABLE);
	cr_expect_eq(why.retry_after, 0);
}

/* "system", "token" and "config" are for an operator's eyes: a caller who meets one sees a fault of ours. */
Test(problem, a_code_that_is_not_in_the_table_reads_as_internal_and_tells_nothing)
{
	static const char *const codes[] = {"system", "token", "config", "", "no_such_code"};
	for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
		struct hm_problem why = {.code = codes[i], .detail = "/etc/hsmint/pin: others can read it"};
		json_t *problem = written(&why);
		cr_expect_str_eq(text_of(problem, "code"), "internal");
		cr_expect_eq(json_integer_value(json_object_get(problem, "status")), 500);
		cr_expect_null(json_object_get(problem, "accepts"));
		json_decref(problem);
	}
}

Test(problem, the_longest_problem_fits_and_a_smaller_buffer_gets_nothing)
{
	struct hm_problem why = {.code = "claim_not_allowed"};
	char body[HM_PROBLEM_MAX];
	memset(why.field, '\x01', sizeof why.field - 1); /* six characters each, as JSON */
	memset(why.detail, '\x01', sizeof why.detail - 1);
	size_t length = problem_write(&why, body, sizeof body);
	cr_expect_neq(length, 0);
	cr_expect_eq(problem_write(&why, body, length), length);
	cr_expect_eq(problem_write(&why, body, length - 1), 0);
	cr_expect_eq(problem_write(&why, body, 0), 0);
}

/* A member's name comes from the caller; cut anywhere, it must still be UTF-8. */
Test(problem, a_name_too_long_for_the_field_is_cut_between_characters)
{
	static const char *const characters[] = {"a", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x94\x91"};
	for (size_t i = 0; i < sizeof characters / sizeof *characters; i++)
		for (size_t shift = 0; shift < 4; shift++) {
			char name[1024] = "xxx";
			name[shift] = 0;
			while (strlen(name) < 600)
				strcat(name, characters[i]);
			struct hm_problem why;
			(void)!hm_refuse(&why, "unknown_member", name, "%s", name);
			json_t *problem = written(&why);
			cr_expect_geq(strlen(text_of(problem, "field")), sizeof why.field - 1 - 4);
			cr_expect_geq(strlen(text_of(problem, "accepts")), sizeof why.detail - 1 - 4);
			cr_expect_arr_eq(text_of(problem, "field"), name, strlen(text_of(problem, "field")));
			json_decref(problem);
		}
}

Test(problem, who_fills_a_problem_says_whose_fault_it_is)
{
	struct hm_problem why;
	cr_expect_eq(hm_refuse(&why, "wrong_type", "scope", "a %s", "string"), HM_REFUSED);
	cr_expect_str_eq(why.field, "scope");
	cr_expect_str_eq(why.detail, "a string");
	cr_expect_eq(hm_unavailable(&why, "overload", "%d wait", 7), HM_UNAVAILABLE);
	cr_expect_str_eq(why.code, "overload");
	cr_expect_str_eq(why.field, "");
	cr_expect_eq(hm_broken(&why, "no entropy"), HM_BROKEN);
	cr_expect_str_eq(why.code, "internal");
}
