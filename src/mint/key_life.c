/* SPDX-License-Identifier: Apache-2.0 */
#include "key_life.h"

#include "clock.h"
#include "clock_watch.h"
#include "json_write.h"
#include "log.h"
#include "record.h"
#include "signing.h"
#include "status_list_token.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	LEEWAY = 60,           /* seconds that verifiers' clocks may be behind */
	REMIND = 24 * 60 * 60, /* seconds between two warnings that the reserve is empty */
	REPLY_MAX = 1024
};

struct key_life {
	struct key_records before; /* what was recorded when a change began */
	struct {
		const struct config_key *key; /* NULL: none is under way */
		struct key_version version;
		struct control_asker asker;
	} adoption;
	int64_t reminded[HM_KEYS_MAX]; /* of each configured key: when its empty reserve was warned of */
};

/* ---- finding ---- */

static const struct config_key *find_key(const struct service *service, const char *name)
{
	for (unsigned i = 0; i < service->config->keys_count; i++)
		if (strcmp(service->config->keys[i].name, name) == 0)
			return &service->config->keys[i];
	return NULL;
}

static struct key_record *record_of(struct service *service, const struct config_key *key)
{
	return key_records_find(&service->records, key->name);
}

const struct key_record *key_life_record(const struct service *service, const struct config_key *key)
{
	for (unsigned i = 0; i < service->records.count; i++)
		if (strcmp(service->records.records[i].name, key->name) == 0)
			return &service->records.records[i];
	return NULL;
}

static bool is_known(const struct service *service, const struct key_version *version)
{
	const struct issuing_key *issuing = issuing_keys_find(&service->keys, version);
	return issuing && issuing->known;
}

/* The next of the reserve that its token has shown. */
static struct key_version *next_in_reserve(struct service *service, struct key_record *record)
{
	for (unsigned i = 0; i < record->count; i++)
		if (record->versions[i].state == KEY_CREATED && is_known(service, &record->versions[i]))
			return &record->versions[i];
	return NULL;
}

/* NULL: `why` says that there is none. */
static struct key_record *find(
	struct service *service, const char *name, const struct config_key **key, struct hm_problem *why)
{
	*key = find_key(service, name);
	if (!*key)
		(void)!hm_refuse(why, "unknown_key", "key", "a key of the configuration");
	return *key ? record_of(service, *key) : NULL;
}

static struct key_version *find_version(struct key_record *record, unsigned number, struct hm_problem *why)
{
	for (unsigned i = 0; i < record->count; i++)
		if (record->versions[i].number == number)
			return &record->versions[i];
	(void)!hm_refuse(why, "unknown_key", "version", "a version of key %s: see hsmint key show", record->name);
	return NULL;
}

/* ---- what is in use ---- */

static void use(struct service *service, const struct config_key *key, struct key_version *version)
{
	struct issuing_keys *keys = &service->keys;
	if (keys->count == HM_KEYS_MAX)
		return; /* those that sign come first */
	struct issuing_key *issuing = &keys->items[keys->count++];
	*issuing = (struct issuing_key){.config = key, .version = version};
	if (version->state == KEY_ACTIVE)
		keys->active[key - service->config->keys] = issuing;
}

static void use_others(struct service *service, const struct config_key *key)
{
	struct key_record *record = record_of(service, key);
	for (unsigned i = 0; i < record->count; i++)
		if (record->versions[i].state != KEY_ACTIVE && record->versions[i].state != KEY_RETIRED)
			use(service, key, &record->versions[i]);
}

static void use_records(struct service *service)
{
	issuing_keys_clear(&service->keys);
	for (unsigned i = 0; i < service->config->keys_count; i++)
		use(service, &service->config->keys[i],
			key_record_find(record_of(service, &service->config->keys[i]), KEY_ACTIVE));
	for (unsigned i = 0; i < service->config->keys_count; i++)
		use_others(service, &service->config->keys[i]);
	if (service->life->adoption.key)
		use(service, service->life->adoption.key, &service->life->adoption.version);
}

static unsigned count_in_use(const struct service *service)
{
	unsigned count = 0;
	for (unsigned i = 0; i < service->config->keys_count; i++) {
		const struct key_record *record = key_life_record(service, &service->config->keys[i]);
		for (unsigned k = 0; k < record->count; k++)
			count += record->versions[k].state != KEY_RETIRED;
	}
	return count;
}

/* ---- changes ---- */

static void begin(struct service *service)
{
	service->life->before = service->records;
}

static hm_result record(struct service *service, struct hm_problem *why)
{
	hm_result result = key_records_write(service->config->state, &service->records, why);
	if (result != HM_OK)
		service->records = service->life->before;
	return result;
}

static void log_error(const struct hm_problem *why)
{
	hm_log(HM_ERROR, "key", "detail=\"%s\"", why->detail);
}

/* What cannot be held or learned now is not signed with; that is no reason for the others not to. */
static void use_and_hold(struct service *service)
{
	struct hm_problem why;
	use_records(service);
	if (signing_hold(service, &why) != HM_OK)
		log_error(&why);
}

/* What was changed is recorded, then it holds: what fails behind that is tried again. */
static hm_result commit(struct service *service, struct hm_problem *why)
{
	struct hm_problem unpublished;
	HM_TRY(record(service, why));
	use_and_hold(service);
	if (service_publish_documents(service, &unpublished) != HM_OK)
		log_error(&unpublished);
	if (service->gate) /* who hears that a version is retired may ask for the key set at once */
		(void)gate_flush(service->gate);
	return HM_OK;
}

static void tell_change(struct service *service, const struct config_key *key, const struct key_version *version)
{
	record_key(service, key, version);
	hm_log(HM_INFO, "key", "key=%s version=%u state=%s kid=%s activates=%" PRId64 " until=%" PRId64, key->name,
		version->number, key_state_name(version->state), version->kid, version->activates, version->until);
}

/* Commit, and tell of up to two versions; their places in the record do not change meanwhile. */
static hm_result commit_and_log(struct service *service, const struct config_key *key,
	const struct key_version *version, const struct key_version *other, struct hm_problem *why)
{
	HM_TRY(commit(service, why));
	tell_change(service, key, version);
	if (other)
		tell_change(service, key, other);
	return HM_OK;
}

/* The longest that a credential of any profile that signs with this key may live now, or a status list. */
static unsigned longest_lifetime(const struct config *config, const struct config_key *key)
{
	unsigned longest = key->use == KEY_USE_STATUS_LIST ? STATUS_LIFE_SECONDS : 0;
	for (unsigned i = 0; i < config->profiles_count; i++)
		for (unsigned k = 0; k < config->profiles[i].key_count; k++)
			if (&config->keys[config->profiles[i].key_indexes[k]] == key &&
				config->profiles[i].lifetime.maximum > longest)
				longest = config->profiles[i].lifetime.maximum;
	return longest;
}

static hm_result publish(struct service *service, const struct config_key *key, struct key_version *version,
	int64_t activates, struct hm_problem *why)
{
	begin(service);
	version->state = KEY_PUBLISHED;
	version->published = hm_time();
	version->activates = activates;
	return commit_and_log(service, key, version, NULL, why);
}

static hm_result activate(
	struct service *service, const struct config_key *key, struct key_version *version, struct hm_problem *why)
{
	struct key_version *old = key_record_find(record_of(service, key), KEY_ACTIVE);
	begin(service);
	old->state = KEY_RETIRING;
	old->retiring = hm_time();
	old->until = old->retiring + old->lifetime + LEEWAY;
	version->state = KEY_ACTIVE;
	version->published = version->published ? version->published : hm_time();
	version->activates = 0;
	version->active = hm_time();
	version->lifetime = longest_lifetime(service->config, key);
	return commit_and_log(service, key, version, old, why);
}

static hm_result retire(
	struct service *service, const struct config_key *key, struct key_version *version, struct hm_problem *why)
{
	begin(service);
	version->state = KEY_RETIRED;
	version->activates = 0;
	version->until = hm_time();
	return commit_and_log(service, key, version, NULL, why);
}

/* ---- the configuration ---- */

static void put_of(const struct config_key *key, char of[HM_KEY_OF_MAX])
{
	snprintf(of, HM_KEY_OF_MAX, "issuer=%s token=%s label=%s id=%s use=%s algorithm=%s",
		key->issuer ? key->issuer : "", key->token, key->label, key->id ? key->id : "", key_use_name(key->use),
		key_algorithm_name(key->algorithm));
}

/* The configured label is the first version. It signs at once: there is none before it. */
static void begin_record(struct key_record *record, const struct config_key *key, const char *of)
{
	unsigned last = record->last;
	char name[sizeof record->name];
	snprintf(name, sizeof name, "%s", record->name);
	*record = (struct key_record){.last = last};
	snprintf(record->name, sizeof record->name, "%s", name);
	snprintf(record->of, sizeof record->of, "%s", of);
	struct key_version *version = key_record_add(record);
	snprintf(version->label, sizeof version->label, "%s", key->label);
	snprintf(version->id, sizeof version->id, "%s", key->id ? key->id : "");
	version->state = KEY_ACTIVE;
	version->created = version->published = version->active = hm_time();
}

static bool configure_key(struct service *service, const struct config_key *key)
{
	char of[HM_KEY_OF_MAX];
	bool changed = false;
	struct key_record *record = record_of(service, key);
	if (!record) /* there are places for as many as can be configured */
		record = key_records_add(&service->records, service->config, key->name);
	put_of(key, of);
	if (strcmp(record->of, of) != 0) {
		begin_record(record, key, of);
		changed = true;
	}
	struct key_version *active = key_record_find(record, KEY_ACTIVE);
	unsigned lifetime = longest_lifetime(service->config, key);
	if (active->lifetime < lifetime) {
		active->lifetime = lifetime;
		changed = true;
	}
	return changed;
}

static void end_adoption(struct service *service)
{
	struct hm_problem why;
	if (!service->life->adoption.key)
		return;
	service->life->adoption.key = NULL;
	(void)!hm_refuse(&why, "key_state", NULL, "the configuration has changed meanwhile: try again");
	control_refuse(service->control, &service->life->adoption.asker, &why);
}

hm_result key_life_configure(struct service *service, struct hm_problem *why)
{
	bool changed = false;
	end_adoption(service);
	memset(service->life->reminded, 0, sizeof service->life->reminded);
	for (unsigned i = 0; i < service->config->keys_count; i++)
		changed |= configure_key(service, &service->config->keys[i]);
	use_records(service);
	return changed ? key_records_write(service->config->state, &service->records, why) : HM_OK;
}

/* Every key that this process knows is in its part of the ledger, with what its token said of it. */
static void tell_known(struct service *service)
{
	for (unsigned i = 0; i < service->keys.count; i++) {
		const struct issuing_key *issuing = &service->keys.items[i];
		if (!issuing->known || issuing->version->told || issuing->version == &service->life->adoption.version)
			continue;
		record_key(service, issuing->config, issuing->version);
		issuing->version->told = true;
	}
}

hm_result key_life_note(struct service *service, struct hm_problem *why)
{
	bool changed = false;
	begin(service);
	for (unsigned i = 0; i < service->keys.count; i++) {
		struct issuing_key *issuing = &service->keys.items[i];
		if (!issuing->known || issuing->version->kid[0])
			continue;
		memcpy(issuing->version->kid, issuing->jwk.kid, sizeof issuing->version->kid);
		changed |= issuing->version != &service->life->adoption.version;
	}
	tell_known(service);
	return changed ? record(service, why) : HM_OK;
}

/* ---- adoption ---- */

static bool is_text(const char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			return false;
	return true;
}

static bool is_hex(const char *text)
{
	size_t length = strspn(text, "0123456789abcdefABCDEF");
	return !text[length] && length % 2 == 0;
}

static bool has_retired(const struct key_record *record)
{
	for (unsigned i = 0; i < record->count; i++)
		if (record->versions[i].state == KEY_RETIRED)
			return true;
	return false;
}

static hm_result check_address(const struct service *service, const struct config_key *key,
	const struct key_address *address, struct hm_problem *why)
{
	const struct config_token *config = &service->config->tokens[key->token_index];
	const struct token_ready *holdings = token_holdings(service->tokens[key->token_index]);
	if (!address->label[0] && !address->id[0])
		return hm_refuse(why, "missing_member", "label", "a label, an id, or both");
	if (strlen(address->label) > HM_LABEL_MAX || !is_text(address->label))
		return hm_refuse(why, "wrong_type", "label", "at most %d printable ASCII characters", HM_LABEL_MAX);
	if (strlen(address->id) > 2 * HM_KEY_ID_MAX || !is_hex(address->id))
		return hm_refuse(why, "wrong_type", "id", "at most %d bytes in hexadecimal", HM_KEY_ID_MAX);
	if (address->token[0] && strcmp(address->token, config->label) != 0)
		return hm_refuse(why, "key_refused", "token", "a key on the token labelled '%s'", config->label);
	if (address->serial[0] && (!holdings || strcmp(address->serial, holdings->serial) != 0))
		return hm_refuse(why, "key_refused", "serial", "a key on token %s, whose serial is '%s'", config->name,
			holdings ? holdings->serial : "not known yet");
	return HM_OK;
}

static hm_result check_room(const struct service *service, const struct config_key *key,
	const struct key_record *record, const struct key_address *address, struct hm_problem *why)
{
	struct token_facts facts = token_facts(service->tokens[key->token_index]);
	if (service->life->adoption.key)
		return hm_refuse(why, "key_state", NULL, "another key is being looked at: try again");
	for (unsigned i = 0; i < record->count; i++)
		if (strcmp(record->versions[i].label, address->label) == 0 &&
			strcasecmp(record->versions[i].id, address->id) == 0)
			return hm_refuse(
				why, "key_state", NULL, "another key: this is version %u", record->versions[i].number);
	if (count_in_use(service) >= HM_KEYS_MAX)
		return hm_refuse(why, "key_state", NULL, "at most %d versions of keys in use", HM_KEYS_MAX);
	if (record->count == HM_KEY_VERSIONS_MAX && !has_retired(record))
		return hm_refuse(why, "key_state", NULL, "at most %d versions of one key", HM_KEY_VERSIONS_MAX);
	if (facts.state != TOKEN_READY)
		return hm_unavailable(
			why, "token_unavailable", "token %s is %s", key->token, token_state_name(facts.state));
	return HM_OK;
}

static void forget_adoption(struct service *service)
{
	service->life->adoption.key = NULL;
	use_and_hold(service);
}

hm_result key_life_adopt(struct service *service, const char *name, const struct key_address *address,
	const struct control_asker *asker, struct hm_problem *why)
{
	const struct config_key *key;
	struct key_record *record = find(service, name, &key, why);
	struct key_version *version = &service->life->adoption.version;
	if (!record)
		return HM_REFUSED;
	HM_TRY(check_address(service, key, address, why));
	HM_TRY(check_room(service, key, record, address, why));
	*version = (struct key_version){.number = record->last + 1, .state = KEY_CREATED, .created = hm_time()};
	snprintf(version->label, sizeof version->label, "%s", address->label);
	snprintf(version->id, sizeof version->id, "%s", address->id);
	service->life->adoption.key = key;
	service->life->adoption.asker = *asker;
	use_and_hold(service);
	const struct issuing_key *adopted = issuing_keys_find(&service->keys, version);
	if (adopted && adopted->place < HM_KEYS_MAX)
		return HM_OK;
	forget_adoption(service);
	return hm_unavailable(
		why, "token_unavailable", "token %s: its process has looked at as many keys as it can", key->token);
}

/* The key of another name that this one is, on the same token: retired or destroyed for the one it would go on signing,
 * or be missing, for the other. On another token it may be the same: a copy that does the same (key_choice.h). */
static const struct issuing_key *same_key(const struct service *service, const struct issuing_key *adopted)
{
	for (unsigned i = 0; i < service->keys.count; i++) {
		const struct issuing_key *other = &service->keys.items[i];
		if (other->config != adopted->config && other->token == adopted->token && other->known &&
			strcmp(other->jwk.kid, adopted->jwk.kid) == 0)
			return other;
	}
	return NULL;
}

/* Its token has shown it: is it one that may be taken? */
static hm_result check_adopted(const struct service *service, const struct issuing_key *adopted, struct hm_problem *why)
{
	const struct key_record *record = key_life_record(service, adopted->config);
	if (!adopted->known || same_key(service, adopted))
		return hm_refuse(why, "key_refused", NULL, "a key of its own: it is another configured key's");
	for (unsigned i = 0; i < record->count; i++)
		if (strcmp(record->versions[i].kid, adopted->jwk.kid) == 0)
			return hm_refuse(why, "key_refused", NULL, "a new key: this one is version %u, %s",
				record->versions[i].number, key_state_name(record->versions[i].state));
	return HM_OK;
}

static hm_result take(struct service *service, const struct key_version **taken, struct hm_problem *why)
{
	const struct config_key *key = service->life->adoption.key;
	HM_TRY(check_adopted(service, issuing_keys_find(&service->keys, &service->life->adoption.version), why));
	begin(service);
	struct key_version *version = key_record_add(record_of(service, key));
	if (!version)
		return hm_broken(why, "no place for a version");
	*version = service->life->adoption.version;
	service->life->adoption.key = NULL;
	*taken = version;
	return commit_and_log(service, key, version, NULL, why);
}

static void answer(struct service *service, const struct control_asker *asker, const struct key_version *version)
{
	char text[REPLY_MAX];
	struct hm_json json = hm_json(text, sizeof text);
	key_version_reply(&json, version);
	control_answer(service->control, asker, text, json.out.used);
}

static void finish_adoption(struct service *service, const struct token_failure *failure)
{
	const struct key_version *taken = NULL;
	struct control_asker asker = service->life->adoption.asker;
	struct hm_problem why;
	hm_result result =
		failure ? hm_refuse(&why, "key_refused", NULL, "%s", failure->detail) : take(service, &taken, &why);
	if (result == HM_OK) {
		answer(service, &asker, taken);
		return;
	}
	forget_adoption(service);
	control_refuse(service->control, &asker, &why);
}

void key_life_learned(struct service *service, struct token *token, uint16_t place, const struct token_failure *failure)
{
	const struct issuing_key *adopted =
		service->life->adoption.key ? issuing_keys_find(&service->keys, &service->life->adoption.version)
					    : NULL;
	if (adopted && adopted->token == token && adopted->place == place)
		finish_adoption(service, failure);
}

/* ---- commands ---- */

static hm_result check_activation(struct service *service, const struct config_key *key,
	const struct key_version *version, bool now, struct hm_problem *why)
{
	const struct key_version *next = key_record_find(record_of(service, key), KEY_PUBLISHED);
	if (version->state != KEY_CREATED && version->state != KEY_PUBLISHED)
		return hm_refuse(why, "key_state", "version", "one that is created or published: version %u is %s",
			version->number, key_state_name(version->state));
	if (!is_known(service, version))
		return hm_refuse(why, "key_state", "version", "one that its token has shown: version %u is not known",
			version->number);
	if (!now && next && next != version)
		return hm_refuse(why, "key_state", "version", "none: version %u signs next", next->number);
	if (!now && version->state == KEY_PUBLISHED)
		return hm_refuse(why, "key_state", "version",
			"another: version %u is published already, and signs %u seconds after that", version->number,
			key->publish_ahead);
	return HM_OK;
}

static struct key_version *choose(
	struct service *service, struct key_record *record, unsigned number, struct hm_problem *why)
{
	if (number)
		return find_version(record, number, why);
	struct key_version *version = key_record_find(record, KEY_PUBLISHED);
	if (!version)
		version = next_in_reserve(service, record);
	if (!version)
		(void)!hm_refuse(why, "key_state", NULL,
			"a key %s in reserve: there is none. Make one (hsmint key create), or adopt one (hsmint key "
			"adopt)",
			record->name);
	return version;
}

hm_result key_life_activate(struct service *service, const char *name, unsigned number, bool now,
	const struct key_version **changed, struct hm_problem *why)
{
	const struct config_key *key;
	struct key_record *record = find(service, name, &key, why);
	struct key_version *version = record ? choose(service, record, number, why) : NULL;
	if (!version)
		return HM_REFUSED;
	HM_TRY(check_activation(service, key, version, now, why));
	*changed = version;
	return now ? activate(service, key, version, why)
		   : publish(service, key, version, hm_time() + key->publish_ahead, why);
}

hm_result key_life_retire(struct service *service, const char *name, unsigned number,
	const struct key_version **changed, struct hm_problem *why)
{
	const struct config_key *key;
	struct key_record *record = find(service, name, &key, why);
	struct key_version *version = record ? find_version(record, number, why) : NULL;
	if (!version)
		return HM_REFUSED;
	if (version->state == KEY_ACTIVE || version->state == KEY_RETIRED)
		return hm_refuse(why, "key_state", "version",
			"one that does not sign and is not retired: version %u is %s", version->number,
			key_state_name(version->state));
	*changed = version;
	return retire(service, key, version, why);
}

hm_result key_life_forget(struct service *service, const char *name, unsigned number, struct hm_problem *why)
{
	const struct config_key *key;
	struct key_record *record = find(service, name, &key, why);
	struct key_version *version = record ? find_version(record, number, why) : NULL;
	if (!version)
		return HM_REFUSED;
	if (version->state != KEY_RETIRED)
		return hm_refuse(why, "key_state", "version", "a retired one: version %u is %s", version->number,
			key_state_name(version->state));
	begin(service);
	key_record_remove(record, version);
	return commit(service, why);
}

/* ---- time ---- */

static void remind(struct service *service, const struct config_key *key)
{
	int64_t *reminded = &service->life->reminded[key - service->config->keys];
	if (*reminded && hm_time() < *reminded + REMIND)
		return;
	*reminded = hm_time();
	hm_log(HM_WARNING, "key_reserve_empty",
		"key=%s detail=\"it is to be rotated, and none is in reserve: hsmint key create or adopt\"", key->name);
}

/* Publish the next one so that it can sign when this one's time is over. */
static hm_result look_ahead(
	struct service *service, const struct config_key *key, struct key_record *record, struct hm_problem *why)
{
	const struct key_version *active = key_record_find(record, KEY_ACTIVE);
	int64_t due = active->active + key->rotate, soonest = hm_time() + key->publish_ahead;
	if (!key->rotate || key_record_find(record, KEY_PUBLISHED))
		return HM_OK;
	struct key_version *next = next_in_reserve(service, record);
	if (!next && is_known(service, active))
		remind(service, key);
	if (!next || soonest < due)
		return HM_OK;
	return publish(service, key, next, due > soonest ? due : soonest, why);
}

/* Whether verifiers that keep a key set for as long as they may have it as it is. A key for checkpoints is in none. */
static bool is_seen(const struct service *service, const struct config_key *key)
{
	if (key->use == KEY_USE_CHECKPOINT)
		return true;
	int64_t since = service->published_since[key->issuer_index];
	return since && hm_time() >= since + HM_JWKS_AGE;
}

/* One that cannot sign now, or that nobody could see, does not take the place of one that can. */
static hm_result change_over(
	struct service *service, const struct config_key *key, struct key_record *record, struct hm_problem *why)
{
	struct key_version *next = key_record_find(record, KEY_PUBLISHED);
	if (!next || !next->activates || hm_time() < next->activates || !is_seen(service, key))
		return HM_OK;
	const struct issuing_key *issuing = issuing_keys_find(&service->keys, next);
	return issuing && issuing_key_can_sign(issuing) ? activate(service, key, next, why) : HM_OK;
}

static hm_result let_go(
	struct service *service, const struct config_key *key, struct key_record *record, struct hm_problem *why)
{
	for (unsigned i = 0; i < record->count; i++)
		if (record->versions[i].state == KEY_RETIRING && hm_time() >= record->versions[i].until)
			return retire(service, key, &record->versions[i], why);
	return HM_OK;
}

static hm_result attend(struct service *service, const struct config_key *key, struct hm_problem *why)
{
	struct key_record *record = record_of(service, key);
	HM_TRY(look_ahead(service, key, record, why));
	HM_TRY(change_over(service, key, record, why));
	return let_go(service, key, record, why);
}

void key_life_tick(struct service *service)
{
	struct hm_problem why;
	if (clock_watch_is_stepped(service))
		return; /* a key that was let go before its time does not come back */
	for (unsigned i = 0; i < service->config->keys_count && !service->stopping; i++)
		if (attend(service, &service->config->keys[i], &why) != HM_OK)
			hm_log(HM_ERROR, "key", "key=%s detail=\"%s\"", service->config->keys[i].name, why.detail);
}

/* ---- beginning and end ---- */

hm_result key_life_open(struct service *service, struct hm_problem *why)
{
	service->life = calloc(1, sizeof *service->life);
	if (!service->life)
		return hm_unavailable(why, "system", "no memory");
	return key_records_read(service->config->state, &service->records, why);
}

void key_life_close(struct service *service)
{
	issuing_keys_clear(&service->keys);
	free(service->life);
}
