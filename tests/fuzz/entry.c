/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries of the ledger. The scanner must take exactly what is the same when a parser has read it and a writer, made
 * here from RFC 8785, has written it again.
 */
#include "fuzz.h"

#include "entry.h"
#include "limits.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(bool holds)
{
	if (!holds)
		abort();
}

struct text {
	char data[8 * FUZZ_INPUT_MAX];
	size_t used;
};

static void put(struct text *text, const void *data, size_t length)
{
	check(length <= sizeof text->data - text->used);
	memcpy(text->data + text->used, data, length);
	text->used += length;
}

static void put_string(struct text *text, const char *string, size_t length)
{
	static const char letters[] = "\b\t\n\f\r\"\\", escapes[] = "btnfr\"\\";
	put(text, "\"", 1);
	for (size_t i = 0; i < length; i++) {
		const char *letter = string[i] ? strchr(letters, string[i]) : NULL;
		char escape[8];
		if (letter)
			put(text, escape, (size_t)sprintf(escape, "\\%c", escapes[letter - letters]));
		else if ((unsigned char)string[i] < 0x20)
			put(text, escape, (size_t)sprintf(escape, "\\u%04x", (unsigned)string[i]));
		else
			put(text, &string[i], 1);
	}
	put(text, "\"", 1);
}

/* UTF-8 to UTF-16: two code units, the second 0 for most. */
static const char *next_character(const char *at, unsigned units[2])
{
	unsigned c = (unsigned char)*at++;
	unsigned more = c < 0x80 ? 0 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
	c = more ? c & (0x3fU >> more) : c;
	while (more--)
		c = c << 6 | ((unsigned char)*at++ & 0x3fU);
	units[0] = c < 0x10000 ? c : 0xd800 + ((c - 0x10000) >> 10);
	units[1] = c < 0x10000 ? 0 : 0xdc00 + ((c - 0x10000) & 0x3ff);
	return at;
}

static int compare_names(const void *a, const void *b)
{
	const char *one = *(const char *const *)a, *other = *(const char *const *)b;
	while (*one && *other) {
		unsigned x[2], y[2];
		one = next_character(one, x);
		other = next_character(other, y);
		if (x[0] != y[0] || x[1] != y[1])
			return x[0] != y[0] ? (x[0] > y[0] ? 1 : -1) : x[1] > y[1] ? 1 : -1;
	}
	return (*one != 0) - (*other != 0);
}

/* False: something that an entry may not have. */
static bool put_value(struct text *text, const json_t *value, unsigned depth);

static bool put_object(struct text *text, const json_t *object, unsigned depth)
{
	size_t count = 0;
	const char **names = malloc((json_object_size(object) + 1) * sizeof *names), *name;
	json_t *value;
	bool good = true;
	json_object_foreach((json_t *)object, name, value) names[count++] = name;
	qsort(names, count, sizeof *names, compare_names);
	put(text, "{", 1);
	for (size_t i = 0; i < count && good; i++) {
		put(text, ",", i > 0);
		put_string(text, names[i], strlen(names[i]));
		put(text, ":", 1);
		good = put_value(text, json_object_get(object, names[i]), depth);
	}
	put(text, "}", 1);
	free(names);
	return good;
}

static bool put_array(struct text *text, const json_t *array, unsigned depth)
{
	size_t i;
	json_t *value;
	put(text, "[", 1);
	json_array_foreach(array, i, value)
	{
		put(text, ",", i > 0);
		if (!put_value(text, value, depth))
			return false;
	}
	put(text, "]", 1);
	return true;
}

static bool put_value(struct text *text, const json_t *value, unsigned depth)
{
	char number[32];
	json_int_t integer = json_integer_value(value);
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return depth < HM_JSON_MAX_DEPTH && put_object(text, value, depth + 1);
	case JSON_ARRAY:
		return depth < HM_JSON_MAX_DEPTH && put_array(text, value, depth + 1);
	case JSON_STRING:
		put_string(text, json_string_value(value), json_string_length(value));
		return true;
	case JSON_INTEGER:
		put(text, number, (size_t)snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, integer));
		return integer <= HM_INTEGER_MAX && integer >= -HM_INTEGER_MAX;
	case JSON_REAL:
		return false;
	default:
		put(text,
			json_is_true(value)    ? "true"
			: json_is_false(value) ? "false"
					       : "null",
			json_is_false(value) ? 5 : 4);
		return true;
	}
}

static bool is_entry(const json_t *parsed)
{
	enum entry_type type;
	const char *name = json_string_value(json_object_get(parsed, "type"));
	const json_t *time = json_object_get(parsed, "time"), *v = json_object_get(parsed, "v");
	return json_is_integer(time) && json_integer_value(time) >= 0 && json_integer_value(v) == 1 && name &&
	       entry_type_read(name, &type);
}

static bool should_be_taken(const json_t *parsed, const uint8_t *data, size_t size)
{
	static struct text text;
	text.used = 0;
	return json_is_object(parsed) && put_value(&text, parsed, 0) && text.used == size &&
	       memcmp(text.data, data, size) == 0 && is_entry(parsed);
}

/* All spans lie within the entry, and what is walked in them is as the parser sees it. */
static void check_members(const struct entry *entry, const uint8_t *data, size_t size, const json_t *parsed)
{
	struct hm_bytes at = entry->members[ENTRY_SIGNED], element, value;
	const json_t *signed_counts = json_object_get(parsed, "signed");
	size_t count = 0;
	for (unsigned i = 0; i < ENTRY_MEMBERS; i++) {
		const struct hm_bytes *member = &entry->members[i];
		check(!member->data ||
			(member->data > data && member->data + member->length < data + size && member->length));
	}
	check((entry->members[ENTRY_KID].data != NULL) == (json_object_get(parsed, "kid") != NULL));
	check(entry->time == json_integer_value(json_object_get(parsed, "time")));
	while (entry_next(&at, &element)) {
		const json_t *same = json_array_get(signed_counts, count++);
		check(entry_find(element, "kid", &value) == (json_object_get(same, "kid") != NULL));
	}
	check(count == json_array_size(signed_counts));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hm_problem why = {0};
	struct entry entry;
	json_error_t error;
	bool taken = entry_read(data, size, &entry, &why) == HM_OK;
	json_t *parsed = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
	if (parsed || json_error_code(&error) != json_error_null_byte_in_key) /* the parser cannot have that in names */
		check(taken == should_be_taken(parsed, data, size));
	if (taken && parsed)
		check_members(&entry, data, size, parsed);
	json_decref(parsed);
	return 0;
}

size_t fuzz_seed(unsigned number, uint8_t *data)
{
	static const char *const entries[] = {
		"{\"time\":1,\"type\":\"stop\",\"v\":1}",
		"{\"audience\":[\"https://a.test\"],\"caller\":\"shop\",\"claims\":[\"level\"],\"context\":{\"trace\":"
		"\"00-1\"},\"expires\":1700000300,\"humans\":[\"abc\"],\"id\":\"AAAAAAAAAAAAAAAAAAAAAA\",\"issued\":"
		"1700000000,\"kid\":\"k1\",\"kind\":\"jwt\",\"profile\":\"p\",\"subject\":\"spiffe://t/a\",\"tbs\":"
		"\"T\",\"time\":1700000000,\"type\":\"credential\",\"v\":1}",
		"{\"epoch\":\"E\",\"final\":true,\"signed\":[{\"count\":3,\"kid\":\"k1\",\"what\":\"credential\"},"
		"{\"count\":0,\"kid\":\"k2\",\"what\":\"probe\"}],\"time\":1,\"token\":\"hsm\",\"type\":\"counts\","
		"\"v\":1}",
		"{\"\":null,\"\\n\":[-1,{\"a\":{\"b\":[[[[]]]]}}],\"\\\"\\\\\":\"\\u0000\\u001f\\b\",\"time\":0,"
		"\"type\":\"open\",\"v\":1,\"\xc3\xa9\":true,\"\xf0\x9f\x94\x91\":false,\"\xef\xac\xb3\":{}}",
		"{\"a\":9007199254740991,\"b\":-9007199254740991,\"time\":2,\"type\":\"void\",\"v\":1}",
	};
	if (number >= sizeof entries / sizeof *entries)
		return 0;
	size_t length = strlen(entries[number]);
	struct entry entry;
	struct hm_problem why;
	check(entry_read((const uint8_t *)entries[number], length, &entry, &why) == HM_OK);
	memcpy(data, entries[number], length);
	return length;
}
