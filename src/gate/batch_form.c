/* SPDX-License-Identifier: Apache-2.0 */
#include "batch_form.h"

#include "json_form.h"
#include <stdio.h>
#include <string.h>

/* A text and how much of it was read. Only what lies around the requests is read here; the parser judges each of them.
 */
struct cursor {
	const char *text;
	size_t length, at;
};

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void skip_space(struct cursor *cursor)
{
	while (cursor->at < cursor->length && is_space(cursor->text[cursor->at]))
		cursor->at++;
}

/* Is this what comes next, after white space? */
static bool takes(struct cursor *cursor, const char *wanted)
{
	size_t length = strlen(wanted);
	skip_space(cursor);
	if (length > cursor->length - cursor->at || memcmp(cursor->text + cursor->at, wanted, length) != 0)
		return false;
	cursor->at += length;
	return true;
}

static hm_result malformed(const struct cursor *cursor, struct hm_problem *why)
{
	return hm_refuse(why, "malformed_json", NULL, "{\"requests\":[…]}; the fault is near byte %zu", cursor->at);
}

/* To the end of a string whose opening quote was read. */
static void skip_string(struct cursor *cursor)
{
	for (; cursor->at < cursor->length; cursor->at++) {
		char c = cursor->text[cursor->at];
		if (c == '\\')
			cursor->at++;
		else if (c == '"') {
			cursor->at++;
			return;
		}
	}
	cursor->at = cursor->length;
}

/* To the comma or bracket that ends the value, which is not read. */
static void skip_value(struct cursor *cursor)
{
	size_t depth = 0;
	while (cursor->at < cursor->length) {
		char c = cursor->text[cursor->at];
		if (depth == 0 && (c == ',' || c == ']' || c == '}'))
			return;
		cursor->at++;
		if (c == '"')
			skip_string(cursor);
		else if (c == '{' || c == '[')
			depth++;
		else if (c == '}' || c == ']')
			depth--;
	}
}

/* A name that is not the one there may be; told when nothing in it could need an escape. */
static hm_result refuse_member(struct cursor *cursor, struct hm_problem *why)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
	char name[sizeof why->field] = "";
	if (!takes(cursor, "\""))
		return malformed(cursor, why);
	size_t begin = cursor->at;
	while (cursor->at < cursor->length && cursor->text[cursor->at] && strchr(plain, cursor->text[cursor->at]))
		cursor->at++;
	size_t length = cursor->at - begin;
	if (length < sizeof name && takes(cursor, "\""))
		memcpy(name, cursor->text + begin, length);
	if (strcmp(name, "requests") == 0)
		return hm_refuse(why, "duplicate_member", name, "each member once");
	return hm_refuse(why, "unknown_member", name, "requests alone");
}

static hm_result open_list(struct cursor *cursor, struct hm_problem *why)
{
	if (!takes(cursor, "{"))
		return malformed(cursor, why);
	if (takes(cursor, "}"))
		return hm_refuse(why, "missing_member", "requests", "an array of requests");
	if (!takes(cursor, "\"requests\""))
		return refuse_member(cursor, why);
	if (!takes(cursor, ":"))
		return malformed(cursor, why);
	if (!takes(cursor, "["))
		return hm_refuse(why, "wrong_type", "requests", "an array of requests");
	return HM_OK;
}

static hm_result close_list(struct cursor *cursor, struct hm_problem *why)
{
	if (takes(cursor, ","))
		return refuse_member(cursor, why);
	if (!takes(cursor, "}"))
		return malformed(cursor, why);
	skip_space(cursor);
	return cursor->at == cursor->length ? HM_OK : malformed(cursor, why);
}

static hm_result check_item(unsigned index, const struct hm_bytes *item, struct hm_problem *why)
{
	char field[32];
	snprintf(field, sizeof field, "requests[%u]", index);
	if (item->length > HM_HTTP_MAX_BODY)
		return hm_refuse(why, "body_too_large", field, "requests of at most %d bytes", HM_HTTP_MAX_BODY);
	hm_result result = json_form_check((const char *)item->data, item->length, why);
	if (result != HM_OK)
		snprintf(why->field, sizeof why->field, "%s", field);
	else if (item->data[0] != '{')
		return hm_refuse(why, "wrong_type", field, "an object");
	return result;
}

static hm_result take_item(struct cursor *cursor, struct hm_bytes *items, unsigned *count, struct hm_problem *why)
{
	if (*count == HM_BATCH_MAX)
		return hm_refuse(why, "invalid_batch", "requests", "1 to %d requests", HM_BATCH_MAX);
	skip_space(cursor);
	size_t begin = cursor->at;
	skip_value(cursor);
	size_t end = cursor->at;
	while (end > begin && is_space(cursor->text[end - 1]))
		end--;
	items[*count] = (struct hm_bytes){(const uint8_t *)cursor->text + begin, end - begin};
	HM_TRY(check_item(*count, &items[*count], why));
	++*count;
	return HM_OK;
}

hm_result batch_form_read(
	const char *text, size_t length, struct hm_bytes *items, unsigned *count, struct hm_problem *why)
{
	struct cursor cursor = {.text = text, .length = length};
	*count = 0;
	HM_TRY(open_list(&cursor, why));
	if (takes(&cursor, "]"))
		return hm_refuse(why, "invalid_batch", "requests", "1 to %d requests", HM_BATCH_MAX);
	do {
		HM_TRY(take_item(&cursor, items, count, why));
	} while (takes(&cursor, ","));
	if (!takes(&cursor, "]"))
		return malformed(&cursor, why);
	return close_list(&cursor, why);
}
