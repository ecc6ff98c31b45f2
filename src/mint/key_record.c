/* SPDX-License-Identifier: Apache-2.0 */
#include "key_record.h"

#include "file.h"
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FORMAT = 1, FILE_MAX = 1024 * 1024 };

static const char *const state_names[KEY_STATES] = {"created", "published", "active", "retiring", "retired"};

const char *key_state_name(enum key_state state)
{
	return state_names[state];
}

static void free_json(json_t **json)
{
	json_decref(*json);
}

static void free_text(char **text)
{
	free(*text);
}

#define JSON_AUTO __attribute__((cleanup(free_json))) json_t
#define TEXT_AUTO __attribute__((cleanup(free_text))) char

static hm_result put_path(const char *state, char path[HM_PATH_MAX], struct hm_problem *why)
{
	if (snprintf(path, HM_PATH_MAX, "%s/keys", state) < HM_PATH_MAX)
		return HM_OK;
	return hm_unavailable(why, "system", "%s: path too long", state);
}

/* ---- reading ---- */

/* A member's text, which must fit. */
static bool get_text(const json_t *object, const char *name, char *text, size_t size)
{
	const json_t *value = json_object_get(object, name);
	if (!json_is_string(value) || json_string_length(value) >= size)
		return false;
	memcpy(text, json_string_value(value), json_string_length(value) + 1);
	return strlen(text) == json_string_length(value);
}

static bool get_number(const json_t *object, const char *name, int64_t most, int64_t *number)
{
	const json_t *value = json_object_get(object, name);
	*number = json_integer_value(value);
	return json_is_integer(value) && *number >= 0 && *number <= most;
}

static bool get_state(const json_t *object, enum key_state *state)
{
	const char *name = json_string_value(json_object_get(object, "state"));
	for (*state = 0; name && *state < KEY_STATES; ++*state)
		if (strcmp(name, state_names[*state]) == 0)
			return true;
	return false;
}

/* As the configuration may name it (config_check.c). */
static bool is_id(const char *id)
{
	size_t length = strspn(id, "0123456789abcdefABCDEF");
	return !id[length] && length % 2 == 0;
}

static bool get_version(const json_t *object, struct key_version *version)
{
	int64_t number = 0, lifetime = 0;
	bool is_whole = get_number(object, "version", UINT32_MAX, &number) &&
			get_number(object, "lifetime", HM_LIFETIME_MAX, &lifetime) &&
			get_state(object, &version->state) &&
			get_text(object, "label", version->label, sizeof version->label) &&
			get_text(object, "id", version->id, sizeof version->id) &&
			get_text(object, "kid", version->kid, sizeof version->kid) &&
			get_number(object, "created", HM_INTEGER_MAX, &version->created) &&
			get_number(object, "published", HM_INTEGER_MAX, &version->published) &&
			get_number(object, "activates", HM_INTEGER_MAX, &version->activates) &&
			get_number(object, "active", HM_INTEGER_MAX, &version->active) &&
			get_number(object, "retiring", HM_INTEGER_MAX, &version->retiring) &&
			get_number(object, "until", HM_INTEGER_MAX, &version->until);
	version->number = (unsigned)number;
	version->lifetime = (unsigned)lifetime;
	return is_whole && (version->label[0] || version->id[0]) && is_id(version->id);
}

static bool get_record(const json_t *object, struct key_record *record)
{
	const json_t *versions = json_object_get(object, "versions");
	int64_t last = 0;
	unsigned active = 0, before = 0;
	*record = (struct key_record){.count = 0};
	if (!get_text(object, "name", record->name, sizeof record->name) || !record->name[0] ||
		!get_text(object, "of", record->of, sizeof record->of) ||
		!get_number(object, "last", UINT32_MAX, &last) || json_array_size(versions) > HM_KEY_VERSIONS_MAX)
		return false;
	record->last = (unsigned)last;
	for (size_t i = 0; i < json_array_size(versions); i++) {
		struct key_version *version = &record->versions[record->count++];
		if (!get_version(json_array_get(versions, i), version) || version->number <= before ||
			version->number > record->last)
			return false;
		before = version->number;
		active += version->state == KEY_ACTIVE;
	}
	return active == 1;
}

static bool get_records(const json_t *object, struct key_records *records)
{
	const json_t *keys = json_object_get(object, "keys");
	int64_t format = 0;
	if (!get_number(object, "format", FORMAT, &format) || format != FORMAT || !json_is_array(keys) ||
		json_array_size(keys) > HM_KEYS_MAX)
		return false;
	for (size_t i = 0; i < json_array_size(keys); i++)
		if (!get_record(json_array_get(keys, i), &records->records[records->count++]) ||
			key_records_find(records, records->records[i].name) != &records->records[i])
			return false;
	return true;
}

hm_result key_records_read(const char *state, struct key_records *records, struct hm_problem *why)
{
	static char text[FILE_MAX];
	char path[HM_PATH_MAX];
	size_t length = 0;
	records->count = 0;
	HM_TRY(put_path(state, path, why));
	if (access(path, F_OK) < 0 && errno == ENOENT)
		return HM_OK;
	HM_TRY(file_read(path, false, text, sizeof text, &length, why));
	JSON_AUTO *object = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
	if (get_records(object, records))
		return HM_OK;
	return hm_refuse(why, "config", NULL,
		"%s: the record of keys is damaged: put back a copy, or remove it, and the configured labels count",
		path);
}

/* ---- writing ---- */

static json_t *version_json(const struct key_version *version)
{
	return json_pack("{s:I, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "version",
		(json_int_t)version->number, "state", state_names[version->state], "label", version->label, "id",
		version->id, "kid", version->kid, "created", (json_int_t)version->created, "published",
		(json_int_t)version->published, "activates", (json_int_t)version->activates, "active",
		(json_int_t)version->active, "retiring", (json_int_t)version->retiring, "until",
		(json_int_t)version->until, "lifetime", (json_int_t)version->lifetime);
}

static json_t *record_json(const struct key_record *record)
{
	json_t *versions = json_array();
	for (unsigned i = 0; i < record->count; i++)
		(void)json_array_append_new(versions, version_json(&record->versions[i]));
	return json_pack("{s:s, s:s, s:I, s:o}", "name", record->name, "of", record->of, "last",
		(json_int_t)record->last, "versions", versions);
}

/* Nothing was left out on the way, for want of memory or as no text. */
static bool has_all(const struct key_records *written, const struct key_records *records)
{
	bool same = written->count == records->count;
	for (unsigned i = 0; same && i < records->count; i++)
		same = written->records[i].count == records->records[i].count;
	return same;
}

hm_result key_records_write(const char *state, const struct key_records *records, struct hm_problem *why)
{
	static struct key_records again;
	char path[HM_PATH_MAX];
	json_t *keys = json_array();
	for (unsigned i = 0; i < records->count; i++)
		(void)json_array_append_new(keys, record_json(&records->records[i]));
	JSON_AUTO *object = json_pack("{s:I, s:o}", "format", (json_int_t)FORMAT, "keys", keys);
	TEXT_AUTO *text = json_dumps(object, JSON_INDENT(1));
	again.count = 0;
	if (!text || strlen(text) > FILE_MAX || !get_records(object, &again) || !has_all(&again, records))
		return hm_broken(why, "the record of keys cannot be written so that it could be read");
	HM_TRY(put_path(state, path, why));
	return file_replace(path, text, strlen(text), 0600, why);
}

/* ---- records and versions ---- */

struct key_record *key_records_find(struct key_records *records, const char *name)
{
	for (unsigned i = 0; i < records->count; i++)
		if (strcmp(records->records[i].name, name) == 0)
			return &records->records[i];
	return NULL;
}

static bool is_configured(const struct config *config, const char *name)
{
	for (unsigned i = 0; i < config->keys_count; i++)
		if (strcmp(config->keys[i].name, name) == 0)
			return true;
	return false;
}

struct key_record *key_records_add(struct key_records *records, const struct config *config, const char *name)
{
	struct key_record *record = NULL;
	if (records->count < HM_KEYS_MAX)
		record = &records->records[records->count++];
	for (unsigned i = 0; i < records->count && !record; i++)
		if (!is_configured(config, records->records[i].name))
			record = &records->records[i];
	if (record) {
		*record = (struct key_record){.count = 0};
		snprintf(record->name, sizeof record->name, "%s", name);
	}
	return record;
}

void key_record_remove(struct key_record *record, struct key_version *version)
{
	size_t after = (size_t)(&record->versions[record->count] - version) - 1;
	memmove(version, version + 1, after * sizeof *version);
	record->count--;
}

struct key_version *key_record_find(struct key_record *record, enum key_state state)
{
	for (unsigned i = 0; i < record->count; i++)
		if (record->versions[i].state == state)
			return &record->versions[i];
	return NULL;
}

struct key_version *key_record_add(struct key_record *record)
{
	struct key_version *retired = key_record_find(record, KEY_RETIRED);
	if (record->count == HM_KEY_VERSIONS_MAX && retired)
		key_record_remove(record, retired);
	if (record->count == HM_KEY_VERSIONS_MAX)
		return NULL;
	struct key_version *version = &record->versions[record->count++];
	*version = (struct key_version){.number = ++record->last};
	return version;
}

/* ---- telling ---- */

static void put_time(struct hm_json *json, const char *name, int64_t time)
{
	if (time)
		hm_json_member_number(json, name, time);
}

void key_version_put(struct hm_json *json, const struct key_version *version)
{
	hm_json_member_number(json, "version", version->number);
	hm_json_member_string(json, "state", state_names[version->state]);
	if (version->label[0])
		hm_json_member_string(json, "label", version->label);
	if (version->id[0])
		hm_json_member_string(json, "id", version->id);
	if (version->kid[0])
		hm_json_member_string(json, "kid", version->kid);
	put_time(json, "created_at", version->created);
	put_time(json, "published_at", version->published);
	put_time(json, "activates_at", version->activates);
	put_time(json, "active_at", version->active);
	put_time(json, "retiring_at", version->retiring);
	put_time(json, version->state == KEY_RETIRED ? "retired_at" : "retires_at", version->until);
}

void key_version_reply(struct hm_json *json, const struct key_version *version)
{
	hm_json_begin(json, '{');
	hm_json_key(json, "ok");
	hm_json_bool(json, true);
	key_version_put(json, version);
	hm_json_end(json, '}');
}
