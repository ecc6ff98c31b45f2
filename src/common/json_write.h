/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing JSON into a fixed buffer, members in the order written, no white space. Commas are set by the writer. Text
 * must be UTF-8 already (it came through a parser that checks it). What does not fit fails the writer, once for all.
 */
#ifndef HSMINT_JSON_WRITE_H
#define HSMINT_JSON_WRITE_H

#include "buffer.h"

struct hm_json {
	struct hm_writer out;
	bool comma; /* a value was written before at this level */
};

static inline struct hm_json hm_json(void *data, size_t size)
{
	return (struct hm_json){.out = hm_writer(data, size)};
}

void hm_json_begin(struct hm_json *json, char bracket); /* '{' or '[' */
void hm_json_end(struct hm_json *json, char bracket);   /* '}' or ']' */
void hm_json_key(struct hm_json *json, const char *name);
void hm_json_text(struct hm_json *json, const char *text, size_t length);
void hm_json_string(struct hm_json *json, const char *text);
void hm_json_number(struct hm_json *json, int64_t value);
void hm_json_bool(struct hm_json *json, bool value);
void hm_json_raw(struct hm_json *json, const char *text, size_t length); /* a whole value, already JSON */

/* A member in one call. */
void hm_json_member_string(struct hm_json *json, const char *name, const char *text);
void hm_json_member_number(struct hm_json *json, const char *name, int64_t value);

#endif
