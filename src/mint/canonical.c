/* SPDX-License-Identifier: Apache-2.0 */
#include "canonical.h"

#include "limits.h"
#include <stdlib.h>

/* RFC 8785, section 3.2.3: by UTF-16 code units. Those of U+E000 and above come behind the surrogates of what UTF-8
 * writes with four bytes. */
int canonical_compare(const void *a, const void *b)
{
	const unsigned char *one = *(const unsigned char *const *)a, *other = *(const unsigned char *const *)b;
	while (*one && *one == *other) {
		one++;
		other++;
	}
	if (*one >= 0xee && *other >= 0xee && (*one >= 0xf0) != (*other >= 0xf0))
		return *one >= 0xf0 ? -1 : 1;
	return *one - *other;
}

static void write_value(struct hm_json *json, const json_t *value, unsigned levels);

static void write_members(struct hm_json *json, json_t *object, const char **names, unsigned levels)
{
	size_t count = 0;
	const char *name;
	json_t *value;
	json_object_foreach(object, name, value) names[count++] = name;
	qsort(names, count, sizeof *names, canonical_compare);
	hm_json_begin(json, '{');
	for (size_t i = 0; i < count; i++) {
		hm_json_key(json, names[i]);
		write_value(json, json_object_get(object, names[i]), levels);
	}
	hm_json_end(json, '}');
}

static void write_object(struct hm_json *json, const json_t *object, unsigned levels)
{
	const char **names = calloc(json_object_size(object) + 1, sizeof *names);
	if (names)
		write_members(json, (json_t *)object, names, levels);
	else
		json->out.failed = true;
	free(names);
}

static void write_array(struct hm_json *json, const json_t *array, unsigned levels)
{
	hm_json_begin(json, '[');
	for (size_t i = 0; i < json_array_size(array); i++)
		write_value(json, json_array_get(array, i), levels);
	hm_json_end(json, ']');
}

static void write_number(struct hm_json *json, json_int_t number)
{
	if (number < -HM_INTEGER_MAX || number > HM_INTEGER_MAX)
		json->out.failed = true;
	hm_json_number(json, number);
}

static void write_value(struct hm_json *json, const json_t *value, unsigned levels)
{
	if (json_is_string(value))
		hm_json_text(json, json_string_value(value), json_string_length(value));
	else if (json_is_integer(value))
		write_number(json, json_integer_value(value));
	else if (json_is_boolean(value))
		hm_json_bool(json, json_is_true(value));
	else if (json_is_null(value))
		hm_json_raw(json, "null", 4);
	else if (json_is_object(value) && levels)
		write_object(json, value, levels - 1);
	else if (json_is_array(value) && levels)
		write_array(json, value, levels - 1);
	else
		json->out.failed = true;
}

void canonical_write(struct hm_json *json, const json_t *value)
{
	write_value(json, value, HM_JSON_MAX_DEPTH);
}
