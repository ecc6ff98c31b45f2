/* SPDX-License-Identifier: Apache-2.0 */
#include "agent_row.h"

#include "base64url.h"
#include "id.h"
#include "pattern.h"
#include "spiffe.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const statuses[AGENT_STATUSES] = {"active", "suspended", "retired"};

const char *agent_status_name(enum agent_status status)
{
	return statuses[status];
}

static void json_cleanup(json_t **json)
{
	json_decref(*json);
}

/* ---- reading ---- */

/* A row as it was read: its texts are those of the key and of the JSON. */
struct parsed {
	const char *issuer;
	size_t issuer_length;
	const char *spiffe_id, *id, *contact, *of, *owner, *purpose;
	enum agent_status status;
	bool is_class;
	int64_t created, review;
	struct limits_read limits;
};

const char *agent_row_name(const char *key, size_t *issuer_length)
{
	const char *space = strchr(key, ' ');
	if (!space)
		return NULL;
	*issuer_length = (size_t)(space - key);
	return space + 1;
}

static hm_result fault(const struct store_row *row, const char *what, struct hm_problem *why)
{
	return hm_broken(why, "the store's row of agent '%.200s': %s", row->key, what);
}

static bool is_id(const char *id)
{
	uint8_t bytes[HM_ID_MAX];
	return strlen(id) == HM_ID_MAX && base64url_decode(id, HM_ID_MAX, bytes, sizeof bytes) != SIZE_MAX;
}

static bool is_class_name(const struct parsed *parsed)
{
	char domain[HM_TRUST_DOMAIN_MAX + 1];
	return !parsed->of && strchr(parsed->spiffe_id, '*') &&
	       sscanf(parsed->spiffe_id, "spiffe://%255[^/]", domain) == 1 &&
	       spiffe_is_pattern(parsed->spiffe_id, domain);
}

static bool is_agent_name(const struct parsed *parsed)
{
	struct spiffe_id id;
	const char *rule;
	size_t length = strlen(parsed->spiffe_id);
	return spiffe_parse(parsed->spiffe_id, length, &id, &rule) &&
	       (!parsed->of || pattern_matches(parsed->of, parsed->spiffe_id, length));
}

static bool find_status(const char *name, enum agent_status *out)
{
	for (*out = 0; *out < AGENT_STATUSES; (*out)++)
		if (strcmp(statuses[*out], name) == 0)
			return true;
	return false;
}

static bool take_text(const json_t *body, const char *name, const char **out)
{
	*out = json_string_value(json_object_get(body, name));
	return *out != NULL;
}

static bool take_time(const json_t *body, const char *name, int64_t *out)
{
	const json_t *value = json_object_get(body, name);
	*out = json_integer_value(value);
	return json_is_integer(value) && *out >= 0;
}

/* json_unpack would do, in twice the time: a hundred thousand rows are read at each start. */
static bool parse_members(const json_t *body, struct parsed *out)
{
	const json_t *class = json_object_get(body, "class");
	const char *status = NULL;
	size_t members = 8;
	out->is_class = json_is_true(class);
	if (json_object_get(body, "limits"))
		members++;
	if (take_text(body, "of", &out->of))
		members++;
	return json_object_size(body) == members && json_is_boolean(class) &&
	       take_text(body, "contact", &out->contact) && take_time(body, "created", &out->created) &&
	       take_text(body, "id", &out->id) && take_text(body, "owner", &out->owner) &&
	       take_text(body, "purpose", &out->purpose) && take_time(body, "review", &out->review) &&
	       take_text(body, "status", &status) && find_status(status, &out->status);
}

static hm_result parse(const struct store_row *row, const json_t *body, struct parsed *out, struct hm_problem *why)
{
	struct hm_problem problem = {0};
	out->issuer = row->key;
	out->spiffe_id = agent_row_name(row->key, &out->issuer_length);
	if (!out->spiffe_id || !out->issuer_length || out->issuer_length > HM_NAME_MAX)
		return fault(row, "its key is not an issuer's name and a SPIFFE ID", why);
	if (!parse_members(body, out))
		return fault(row,
			"its members are not class, contact, created, id, limits, of, owner, purpose, review, "
			"status, or one is not as it must be",
			why);
	if (!(out->is_class ? is_class_name(out) : is_agent_name(out)))
		return fault(row, "its name is not a class's pattern, or a SPIFFE ID that its class has", why);
	if (!is_id(out->id))
		return fault(row, "its id is not 128 bits in base64url", why);
	if (agent_limits_read(json_object_get(body, "limits"), &out->limits, &problem) != HM_OK)
		return fault(row, problem.field, why);
	return HM_OK;
}

/* What a text takes: an empty one nothing. */
static size_t text_size(const char *text)
{
	return text && *text ? strlen(text) + 1 : 0;
}

static size_t list_size(char *const *list, unsigned count)
{
	size_t size = count * sizeof *list;
	for (unsigned i = 0; i < count; i++)
		size += text_size(list[i]);
	return size;
}

/* One allocation has it all: the entry, its limits, pointers of lists, then texts. */
static size_t size_of(const struct parsed *parsed)
{
	const struct agent_limits *limits = &parsed->limits.limits;
	size_t size = sizeof(struct agent_entry) + parsed->issuer_length + 1;
	if (agent_limits_narrow(limits))
		size += sizeof *limits + list_size(limits->audiences, limits->audiences_count) +
			list_size(limits->scopes, limits->scopes_count);
	return size + text_size(parsed->spiffe_id) + text_size(parsed->contact) + text_size(parsed->of) +
	       text_size(parsed->owner) + text_size(parsed->purpose);
}

static const char *place(char **room, const char *text, size_t length)
{
	char *placed = *room;
	if (length == 0)
		return "";
	memcpy(placed, text, length);
	placed[length] = 0;
	*room += length + 1;
	return placed;
}

static const char *place_text(char **room, const char *text)
{
	return place(room, text, text ? strlen(text) : 0);
}

static void place_list(char **room, char **list, char *const *texts, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		list[i] = (char *)place_text(room, texts[i]);
}

/* Returns where the texts go on. */
static char *place_limits(struct agent_entry *entry, const struct agent_limits *read)
{
	struct agent_limits *limits = (struct agent_limits *)(entry + 1);
	if (!agent_limits_narrow(read))
		return (char *)(entry + 1);
	*limits = *read;
	limits->audiences = (char **)(limits + 1);
	limits->scopes = limits->audiences + limits->audiences_count;
	char *room = (char *)(limits->scopes + limits->scopes_count);
	place_list(&room, limits->audiences, read->audiences, read->audiences_count);
	place_list(&room, limits->scopes, read->scopes, read->scopes_count);
	entry->agent.limits = limits;
	return room;
}

static void place_all(struct agent_entry *entry, const struct parsed *parsed)
{
	struct agent *agent = &entry->agent;
	char *room = place_limits(entry, &parsed->limits.limits);
	memcpy(agent->id, parsed->id, sizeof agent->id);
	agent->issuer = place(&room, parsed->issuer, parsed->issuer_length);
	agent->spiffe_id = place_text(&room, parsed->spiffe_id);
	agent->contact = place_text(&room, parsed->contact);
	agent->owner = place_text(&room, parsed->owner);
	agent->purpose = place_text(&room, parsed->purpose);
	agent->of = parsed->of ? place_text(&room, parsed->of) : NULL;
	agent->is_class = parsed->is_class;
	agent->status = parsed->status;
	agent->created = parsed->created;
	agent->review = parsed->review;
}

hm_result agent_row_read(const struct store_row *row, struct agent_entry **out, struct hm_problem *why)
{
	struct parsed parsed = {.issuer = row->key, .id = ""};
	json_error_t error;
	__attribute__((cleanup(json_cleanup))) json_t *body =
		json_loadb(row->body, row->length, JSON_REJECT_DUPLICATES, &error);
	if (!body)
		return fault(row, error.text, why);
	HM_TRY(parse(row, body, &parsed, why));
	struct agent_entry *entry = calloc(1, size_of(&parsed));
	if (!entry)
		return hm_broken(why, "no memory");
	place_all(entry, &parsed);
	entry->agent.version = row->version;
	*out = entry;
	return HM_OK;
}

/* ---- writing ---- */

size_t agent_row_write(const struct agent *agent, char body[HM_STORE_BODY_MAX + 1])
{
	struct hm_json json = hm_json(body, HM_STORE_BODY_MAX);
	hm_json_begin(&json, '{');
	hm_json_key(&json, "class");
	hm_json_bool(&json, agent->is_class);
	hm_json_member_string(&json, "contact", agent->contact);
	hm_json_member_number(&json, "created", agent->created);
	hm_json_member_string(&json, "id", agent->id);
	if (agent_limits_narrow(agent->limits)) {
		hm_json_key(&json, "limits");
		agent_limits_write(agent->limits, &json);
	}
	if (agent->of)
		hm_json_member_string(&json, "of", agent->of);
	hm_json_member_string(&json, "owner", agent->owner);
	hm_json_member_string(&json, "purpose", agent->purpose);
	hm_json_member_number(&json, "review", agent->review);
	hm_json_member_string(&json, "status", agent_status_name(agent->status));
	hm_json_end(&json, '}');
	body[json.out.failed ? 0 : json.out.used] = 0;
	return json.out.failed ? 0 : json.out.used;
}

bool agent_row_put(struct changes *changes, const struct agent *agent)
{
	char key[HM_STORE_KEY_MAX + 1], body[HM_STORE_BODY_MAX + 1];
	int key_length = snprintf(key, sizeof key, "%s %s", agent->issuer, agent->spiffe_id);
	size_t length = agent_row_write(agent, body);
	return key_length < (int)sizeof key && length > 0 &&
	       changes_put(changes, RECORD_AGENT, key, agent->version, body, length);
}

bool agents_put_instance(struct changes *changes, const struct agent *class, const char *spiffe_id, int64_t now)
{
	struct agent instance = {.issuer = class->issuer,
		.spiffe_id = spiffe_id,
		.owner = "",
		.contact = "",
		.purpose = "",
		.created = now,
		.of = class->spiffe_id};
	return id_make(instance.id) && agent_row_put(changes, &instance);
}

json_t *agent_json(const struct agent *agent)
{
	char body[HM_STORE_BODY_MAX + 1];
	json_t *json = json_loadb(body, agent_row_write(agent, body), 0, NULL);
	if (!json || json_object_set_new(json, "issuer", json_string(agent->issuer)) != 0 ||
		json_object_set_new(json, "spiffe_id", json_string(agent->spiffe_id)) != 0) {
		json_decref(json);
		return NULL;
	}
	return json;
}
