/* SPDX-License-Identifier: Apache-2.0 */
#include "entry.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static struct hm_problem why;
static struct entry entry;

/* Memory of exactly this length, so that a byte read too far is seen. */
static hm_result read_text(const char *text)
{
	static uint8_t *exact;
	size_t length = strlen(text);
	free(exact);
	exact = malloc(length ? length : 1);
	memcpy(exact, text, length);
	return entry_read(exact, length, &entry, &why);
}

/* Members between `time` and the rest, whose names come before. */
static hm_result read_with(const char *members)
{
	char text[1024];
	snprintf(text, sizeof text, "{%s,\"time\":1,\"type\":\"start\",\"v\":1}", members);
	return read_text(text);
}

Test(entry, what_rfc_8785_has_is_taken)
{
	static const char *const members[] = {
		"\"a\":1",
		"\"a\":0,\"b\":-1,\"c\":9007199254740991,\"d\":-9007199254740991",
		"\"a\":true,\"b\":false,\"c\":null",
		"\"a\":[],\"b\":{},\"c\":[1,[2,{\"x\":[]}],\"y\"]",
		"\"a\":[[[[[[[]]]]]]]",
		"\"a\":\"\\b\\t\\n\\f\\r\\\"\\\\\\u0000\\u001f\\u000b/\x7f\"",
		"\"a\":\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x94\x91\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf\"",
		"\"\":1,\"\\u0001\":1,\"\\t\":1,\"\\n\":1,\"\\u000b\":1,\" "
		"\":1,\"\\\"\":1,\"0\":1,\"A\":1,\"\\\\\":1,\"a\":1,"
		"\"aa\":1,\"b\":1",
	};
	for (size_t i = 0; i < sizeof members / sizeof *members; i++)
		cr_expect_eq(read_with(members[i]), HM_OK, "%s: %s", members[i], why.detail);
}

/* U+1F511 is D83D DD11 in UTF-16, and comes before U+E000 and U+FB33, but behind U+D7FF. */
Test(entry, names_are_in_the_order_of_utf_16)
{
	static const char *const names[] = {"\xc2\x80", "\xc3\xb6", "\xe2\x82\xac", "\xed\x9f\xbf", "\xf0\x9f\x94\x91",
		"\xf4\x8f\xbf\xbf", "\xee\x80\x80", "\xef\xac\xb3"};
	enum { NAMES = sizeof names / sizeof *names };
	char text[256];
	for (unsigned i = 0; i < NAMES; i++)
		for (unsigned j = 0; j < NAMES; j++) {
			snprintf(text, sizeof text, "{\"time\":1,\"type\":\"start\",\"v\":1,\"%s\":1,\"%s\":1}",
				names[i], names[j]);
			cr_expect_eq(read_text(text), i < j ? HM_OK : HM_REFUSED, "%u before %u", i, j);
		}
}

Test(entry, what_is_not_canonical_is_refused_with_its_place)
{
	static const struct {
		const char *members, *fault;
	} cases[] = {
		{"\"a\": 1", "byte 5 "},
		{" \"a\":1", "byte 1 "},
		{"\"a\":1 ", "byte 6 is neither a comma nor the end of the object"},
		{"\"a\":01", "byte 7 is not an integer"},
		{"\"a\":-0", "not an integer"},
		{"\"a\":1.0", "byte 6 "},
		{"\"a\":1e3", "byte 6 "},
		{"\"a\":9007199254740992", "not an integer"},
		{"\"a\":-9007199254740992", "not an integer"},
		{"\"a\":99999999999999999999999", "not an integer"},
		{"\"a\":-", "byte 6 "},
		{"\"a\":+1", "byte 5 "},
		{"\"a\":tru", "byte 5 "},
		{"\"a\":[1,]", "byte 8 "},
		{"\"a\":[1 2]", "neither a comma nor the end of the array"},
		{"\"a\":{\"x\":1,}", "not the beginning of a string"},
		{"\"a\":{x:1}", "not the beginning of a string"},
		{"\"a\"1", "not a colon"},
		{"\"a\":", "not the beginning of a value"},
		{"\"a\":1,\"a\":2", "byte 8 begins a member that is not in order, or is there twice"},
		{"\"b\":1,\"a\":2", "not in order"},
		{"\"aa\":1,\"a\":2", "not in order"},
		{"\"a\":{\"c\":1,\"b\":1}", "not in order"},
		{"\"0\":1,\"\\\"\":1", "not in order"},
		{"\"\\\\\":1,\"A\":1", "not in order"},
		{"\" \":1,\"\\n\":1", "not in order"},
		{"\"\\n\":1,\"\\t\":1", "not in order"},
		{"\"\\u000b\":1,\"\\n\":1", "not in order"},
		{"\"\\u001f\":1,\"\\u001f\":1", "there twice"},
		{"\"a\":\"\\/\"", "byte 6 is an escape"},
		{"\"a\":\"\\u0041\"", "an escape that nothing needs"},
		{"\"a\":\"\\u001F\"", "an escape that nothing needs"},
		{"\"a\":\"\\u000a\"", "an escape that nothing needs"},
		{"\"a\":\"\\u0008\"", "an escape that nothing needs"},
		{"\"a\":\"\\u0020\"", "an escape that nothing needs"},
		{"\"a\":\"\\u00e9\"", "an escape that nothing needs"},
		{"\"a\":\"\\ud83d\\udd11\"", "an escape that nothing needs"},
		{"\"a\":\"\\x\"", "an escape that nothing needs"},
		{"\"a\":\"123456789\x1f\"", "byte 15 is a control character"},
		{"\"a\":\"\n\"", "a control character"},
		{"\"a\":\"\x80\"", "not UTF-8"},
		{"\"a\":\"\xc1\xbf\"", "not UTF-8"},
		{"\"a\":\"\xc3\"", "not UTF-8"},
		{"\"a\":\"\xe0\x9f\xbf\"", "not UTF-8"},
		{"\"a\":\"\xed\xa0\x80\"", "not UTF-8"},
		{"\"a\":\"\xf0\x8f\xbf\xbf\"", "not UTF-8"},
		{"\"a\":\"\xf4\x90\x80\x80\"", "not UTF-8"},
		{"\"a\":\"\xf5\x80\x80\x80\"", "not UTF-8"},
		{"\"a\":\"\xe2\x82(\"", "not UTF-8"},
		{"\"a\":[[[[[[[[]]]]]]]]", "nested too deeply"},
		{"\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":1}}}}}}}}", "nested too deeply"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		cr_expect_eq(read_with(cases[i].members), HM_REFUSED, "%s", cases[i].members);
		cr_expect(strstr(why.detail, cases[i].fault), "%s: %s", cases[i].members, why.detail);
	}
}

Test(entry, an_entry_is_one_object_with_a_version_a_time_and_a_type)
{
	static const struct {
		const char *text, *fault;
	} cases[] = {
		{"", "byte 0 is not the beginning of an object"},
		{"{}", "not canonical"},
		{"[]", "not the beginning of an object"},
		{"{\"time\":1,\"type\":\"stop\",\"v\":1}\n", "byte 30 stands behind the end"},
		{"{\"time\":1,\"type\":\"stop\",\"v\":2}", "`v`"},
		{"{\"time\":1,\"type\":\"stop\",\"v\":\"1\"}", "`v`"},
		{"{\"time\":1,\"type\":\"stop\"}", "`v`"},
		{"{\"type\":\"stop\",\"v\":1}", "`time`"},
		{"{\"time\":-1,\"type\":\"stop\",\"v\":1}", "`time`"},
		{"{\"time\":\"1\",\"type\":\"stop\",\"v\":1}", "`time`"},
		{"{\"time\":1,\"v\":1}", "`type`"},
		{"{\"time\":1,\"type\":\"stopp\",\"v\":1}", "`type`"},
		{"{\"time\":1,\"type\":\"sto\",\"v\":1}", "`type`"},
		{"{\"time\":1,\"type\":1,\"v\":1}", "`type`"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		cr_expect_eq(read_text(cases[i].text), HM_REFUSED, "%s", cases[i].text);
		cr_expect(strstr(why.detail, cases[i].fault), "%s: %s", cases[i].text, why.detail);
	}
	cr_expect_eq(read_text("{\"time\":0,\"type\":\"stop\",\"v\":1}"), HM_OK);
}

Test(entry, an_entry_that_is_cut_off_anywhere_is_refused)
{
	static const char whole[] = "{\"a\":\"\xf0\x9f\x94\x91\\u0001\\n\",\"b\":[{\"c\":-12},true,false,null],"
				    "\"time\":1,\"type\":\"stop\",\"v\":1}";
	char text[sizeof whole];
	cr_assert_eq(read_text(whole), HM_OK, "%s", why.detail);
	for (size_t length = 0; length < sizeof whole - 1; length++) {
		snprintf(text, sizeof text, "%.*s", (int)length, whole);
		cr_expect_eq(read_text(text), HM_REFUSED, "%s", text);
	}
}

static void expect_member(enum entry_member member, const char *json)
{
	cr_expect(entry_is(entry.members[member], json), "%s", json);
}

Test(entry, members_are_given_as_they_stand)
{
	cr_assert_eq(
		read_text("{\"audience\":[\"x\"],\"context\":{\"a\":\"b\"},\"id\":\"ID\",\"idempotency_key\":\"k\","
			  "\"kid\":\"KID\",\"off\":3,\"subject\":\"s\",\"tbs\":\"T\",\"time\":77,"
			  "\"type\":\"credential\",\"v\":1,\"zz\":0}"),
		HM_OK, "%s", why.detail);
	cr_expect_eq(entry.time, 77);
	cr_expect_eq(entry.type, ENTRY_CREDENTIAL);
	expect_member(ENTRY_CONTEXT, "{\"a\":\"b\"}");
	expect_member(ENTRY_ID, "\"ID\"");
	expect_member(ENTRY_KID, "\"KID\"");
	expect_member(ENTRY_SUBJECT, "\"s\"");
	expect_member(ENTRY_TBS, "\"T\"");
	expect_member(ENTRY_V, "1");
	cr_expect_null(entry.members[ENTRY_OF].data);
	cr_expect_null(entry.members[ENTRY_TBS_HMAC].data);
}

Test(entry, every_known_member_is_found)
{
	cr_assert_eq(read_text("{\"approval\":1,\"carried\":2,\"context\":3,\"epoch\":4,\"event\":5,\"final\":6,"
			       "\"from\":7,\"humans\":8,\"id\":9,\"kid\":10,\"name\":11,\"of\":12,\"origin\":13,"
			       "\"previous\":14,\"restored\":15,\"signed\":16,\"subject\":17,\"task\":18,"
			       "\"tbs\":19,\"tbs_hmac\":20,\"time\":21,\"token\":22,\"type\":\"void\",\"v\":1}"),
		HM_OK, "%s", why.detail);
	for (unsigned i = 0; i < ENTRY_TYPE; i++) {
		int64_t number;
		cr_expect(entry_number(entry.members[i], &number) && number == (int64_t)i + 1, "member %u", i);
	}
	cr_expect_eq(entry.type, ENTRY_VOID);
}

Test(entry, a_member_within_another_is_not_one_of_the_entry)
{
	cr_assert_eq(read_with("\"context\":{\"kid\":\"x\",\"of\":1}"), HM_OK);
	cr_expect_null(entry.members[ENTRY_KID].data);
	cr_expect_null(entry.members[ENTRY_OF].data);
}

Test(entry, arrays_and_objects_are_walked)
{
	struct hm_bytes at, element, value, text;
	int64_t number;
	cr_assert_eq(
		read_with("\"carried\":[],\"signed\":[{\"count\":-5,\"kid\":\"A\\\"B\",\"what\":\"probe\"},[1,[2]],"
			  "\"x\",7]"),
		HM_OK, "%s", why.detail);
	at = entry.members[ENTRY_CARRIED];
	cr_expect_not(entry_next(&at, &element));

	at = entry.members[ENTRY_SIGNED];
	cr_assert(entry_next(&at, &element));
	cr_assert(entry_find(element, "what", &value));
	cr_expect(entry_is(value, "\"probe\""));
	cr_assert(entry_find(element, "count", &value));
	cr_expect(entry_number(value, &number) && number == -5);
	cr_expect_not(entry_string(value, &text));
	cr_assert(entry_find(element, "kid", &value));
	cr_expect(entry_string(value, &text));
	cr_expect_eq(text.length, 4);
	cr_expect_not(entry_number(value, &number));
	cr_expect_not(entry_find(element, "wha", &value));
	cr_expect_not(entry_find(element, "whatever", &value));
	cr_assert(entry_next(&at, &element));
	cr_expect(entry_is(element, "[1,[2]]"));
	cr_expect_not(entry_find(element, "x", &value));
	cr_assert(entry_next(&at, &element));
	cr_expect(entry_is(element, "\"x\""));
	cr_assert(entry_next(&at, &element));
	cr_expect(entry_is(element, "7"));
	cr_expect_not(entry_next(&at, &element));
	at = (struct hm_bytes){.data = NULL};
	cr_expect_not(entry_next(&at, &element));
	cr_expect_not(entry_find(at, "x", &value));
}

Test(entry, types_have_names)
{
	for (unsigned i = 0; i < ENTRY_TYPES; i++) {
		char text[128];
		enum entry_type type;
		snprintf(text, sizeof text, "{\"time\":1,\"type\":\"%s\",\"v\":1}", entry_type_name(i));
		cr_expect_eq(read_text(text), HM_OK);
		cr_expect_eq(entry.type, (enum entry_type)i);
		cr_expect(entry_type_read(entry_type_name(i), &type) && type == (enum entry_type)i);
	}
}
