/* SPDX-License-Identifier: Apache-2.0 */
#include "json_form.h"

#include "json_measure.h"
#include "limits.h"
#include <jansson.h>
#include <stdio.h>
#include <string.h>

static hm_result check_bounds(const char *text, size_t length, unsigned most, struct hm_problem *why)
{
	struct json_measure found = json_measure(text, length);
	if (found.depth > HM_JSON_MAX_DEPTH)
		return hm_refuse(why, "too_deep", NULL, "at most %d levels", HM_JSON_MAX_DEPTH);
	if (found.values > most)
		return hm_refuse(why, "too_deep", NULL, "at most %u values and names", most);
	return HM_OK;
}

/* The parser's message ends with: near '"name"'. Taken only when nothing in it could need an escape. */
static void put_member(const char *message, char *field, size_t size)
{
	static const char before[] = " near '\"";
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
	const char *name = strstr(message, before);
	field[0] = 0;
	if (!name)
		return;
	name += sizeof before - 1;
	size_t length = strspn(name, plain);
	if (strcmp(name + length, "\"'") == 0)
		snprintf(field, size, "%.*s", (int)length, name);
}

static hm_result refuse_parsed(const json_error_t *error, struct hm_problem *why)
{
	char field[sizeof why->field];
	switch (json_error_code(error)) {
	case json_error_invalid_utf8:
		return hm_refuse(why, "invalid_utf8", NULL, "UTF-8; byte %d is not", error->position);
	case json_error_duplicate_key:
		put_member(error->text, field, sizeof field);
		return hm_refuse(why, "duplicate_member", field, "each member once");
	case json_error_null_character:
	case json_error_null_byte_in_key:
		return hm_refuse(why, "malformed_json", NULL, "no NUL characters, escaped or not");
	default:
		return hm_refuse(why, "malformed_json", NULL, "one JSON object; the fault is near line %d, column %d",
			error->line, error->column);
	}
}

static hm_result check(const char *text, size_t length, unsigned most, struct hm_problem *why)
{
	json_error_t error;
	HM_TRY(check_bounds(text, length, most, why));
	json_t *parsed = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
	if (!parsed)
		return refuse_parsed(&error, why);
	json_decref(parsed);
	return HM_OK;
}

hm_result json_form_check(const char *text, size_t length, struct hm_problem *why)
{
	return check(text, length, HM_JSON_MAX_TOKENS, why);
}

hm_result json_form_check_import(const char *text, size_t length, struct hm_problem *why)
{
	return check(text, length, HM_JSON_IMPORT_TOKENS, why);
}
