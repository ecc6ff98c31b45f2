/* SPDX-License-Identifier: Apache-2.0 */
#include "canonical_json.h"

#include "limits.h"
#include <stdlib.h>

/* Those of U+E000 and above come behind the surrogates of what UTF-8 writes with four bytes. */
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

static void write_object(const json_t *object, struct hm_json *json)
{
	size_t size = json_object_size(object), count = 0;
	const char *name;
	json_t *value;
	const char **names = size <= HM_JSON_MAX_TOKENS ? malloc((size + 1) * sizeof *names) : NULL;
	if (!names) {
		json->out.failed = true;
		return;
	}
	json_object_foreach((json_t *)object, name, value) names[count++] = name;
	qsort(names, count, sizeof *names, canonical_compare);
	hm_json_begin(json, '{');
	for (size_t i = 0; i < count; i++) {
		hm_json_key(json, names[i]);
		canonical_write(json_object_get(object, names[i]), json);
	}
	hm_json_end(json, '}');
	free(names);
}

static void write_array(const json_t *array, struct hm_json *json)
{
	hm_json_begin(json, '[');
	for (size_t i = 0; i < json_array_size(array); i++)
		canonical_write(json_array_get(array, i), json);
	hm_json_end(json, ']');
}

void canonical_write(const json_t *value, struct hm_json *json)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		write_object(value, json);
		break;
	case JSON_ARRAY:
		write_array(value, json);
		break;
	case JSON_STRING:
		hm_json_text(json, json_string_value(value), json_string_length(value));
		break;
	case JSON_INTEGER:
		hm_json_number(json, json_integer_value(value));
		break;
	case JSON_TRUE:
	case JSON_FALSE:
		hm_json_bool(json, json_is_true(value));
		break;
	case JSON_NULL:
		hm_json_raw(json, "null", 4);
		break;
	case JSON_REAL:
		json->out.failed = true;
		break;
	}
}
