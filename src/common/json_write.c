/* SPDX-License-Identifier: Apache-2.0 */
#include "json_write.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void put(struct hm_json *json, const char *text, size_t length)
{
	hm_put_raw(&json->out, text, length);
}

static void before_value(struct hm_json *json)
{
	if (json->comma)
		put(json, ",", 1);
	json->comma = true;
}

void hm_json_begin(struct hm_json *json, char bracket)
{
	before_value(json);
	put(json, &bracket, 1);
	json->comma = false;
}

void hm_json_end(struct hm_json *json, char bracket)
{
	put(json, &bracket, 1);
	json->comma = true;
}

/* RFC 8259, section 7: what must be escaped, by its short form where there is one. */
static void put_escaped(struct hm_json *json, unsigned char c)
{
	char text[8];
	const char *const short_forms = "\"\"\\\\\bb\ff\nn\rr\tt";
	for (const char *pair = short_forms; *pair; pair += 2)
		if (c == (unsigned char)pair[0]) {
			put(json, (char[]){'\\', pair[1]}, 2);
			return;
		}
	snprintf(text, sizeof text, "\\u%04x", c);
	put(json, text, 6);
}

static void put_quoted(struct hm_json *json, const char *text, size_t length)
{
	size_t start = 0;
	put(json, "\"", 1);
	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)text[i];
		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		put(json, text + start, i - start);
		put_escaped(json, c);
		start = i + 1;
	}
	put(json, text + start, length - start);
	put(json, "\"", 1);
}

void hm_json_key(struct hm_json *json, const char *name)
{
	before_value(json);
	put_quoted(json, name, strlen(name));
	put(json, ":", 1);
	json->comma = false;
}

void hm_json_text(struct hm_json *json, const char *text, size_t length)
{
	before_value(json);
	put_quoted(json, text, length);
}

void hm_json_string(struct hm_json *json, const char *text)
{
	hm_json_text(json, text, strlen(text));
}

void hm_json_number(struct hm_json *json, int64_t value)
{
	char text[24];
	before_value(json);
	put(json, text, (size_t)snprintf(text, sizeof text, "%" PRId64, value));
}

void hm_json_bool(struct hm_json *json, bool value)
{
	before_value(json);
	put(json, value ? "true" : "false", value ? 4 : 5);
}

void hm_json_raw(struct hm_json *json, const char *text, size_t length)
{
	before_value(json);
	put(json, text, length);
}

void hm_json_member_string(struct hm_json *json, const char *name, const char *text)
{
	hm_json_key(json, name);
	hm_json_string(json, text);
}

void hm_json_member_number(struct hm_json *json, const char *name, int64_t value)
{
	hm_json_key(json, name);
	hm_json_number(json, value);
}
