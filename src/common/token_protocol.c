/* SPDX-License-Identifier: Apache-2.0 */
#include "token_protocol.h"

#include <string.h>

const char *key_use_name(enum key_use use)
{
	static const char *const names[KEY_USES] = {"access-token", "jwt-svid", "checkpoint", "status-list"};
	return names[use];
}

const char *key_use_typ(enum key_use use)
{
	static const char *const typs[KEY_USES] = {[KEY_USE_ACCESS_TOKEN] = "at+jwt", /* RFC 9068, section 2.1 */
		[KEY_USE_JWT_SVID] = "JWT",                                           /* JWT-SVID, section 2.3 */
		[KEY_USE_STATUS_LIST] = "statuslist+jwt"};
	return typs[use];
}

const char *key_algorithm_name(enum key_algorithm algorithm)
{
	static const char *const names[KEY_ALGORITHMS] = {"ES256", "ES384", "RS256", "PS256", "Ed25519"};
	return names[algorithm];
}

const char *key_algorithm_jose(enum key_algorithm algorithm)
{
	return algorithm == KEY_ED25519 ? "EdDSA" : key_algorithm_name(algorithm);
}

const char *token_login_name(enum token_login login)
{
	static const char *const names[LOGINS] = {"file", "credential", "custodians", "protected-path", "none"};
	return names[login];
}

bool token_is_attended(const struct token_config *config)
{
	return config->login == LOGIN_CUSTODIANS || config->login == LOGIN_PROTECTED_PATH;
}

const char *token_class_name(enum token_class class)
{
	static const char *const names[TOKEN_CLASSES] = {
		"session", "login", "device", "pressure", "permanent", "latch", "refused", "custody", "absent"};
	return names[class];
}

const char *signed_what_name(enum signed_what what)
{
	static const char *const names[SIGNED_WHATS] = {"credential", "probe", "checkpoint", "status_list"};
	return names[what];
}

const char *custody_attribute_name(enum custody_attribute attribute)
{
	static const char *const names[CUSTODY_ATTRIBUTES] = {"CKA_TOKEN", "CKA_PRIVATE", "CKA_SENSITIVE",
		"CKA_EXTRACTABLE", "CKA_LOCAL", "CKA_ALWAYS_SENSITIVE", "CKA_NEVER_EXTRACTABLE", "CKA_SIGN",
		"CKA_SIGN_RECOVER", "CKA_DECRYPT", "CKA_UNWRAP", "CKA_DERIVE", "CKA_ALWAYS_AUTHENTICATE",
		"CKA_KEY_GEN_MECHANISM"};
	return names[attribute];
}

const char *tpm_attribute_name(enum tpm_attribute attribute)
{
	static const char *const names[TPM_ATTRIBUTES] = {
		"sensitiveDataOrigin", "fixedTPM", "fixedParent", "sign", "decrypt", "restricted"};
	return names[attribute];
}

static void key_put(struct hm_writer *w, const struct token_key_config *key)
{
	hm_put_string(w, key->name);
	hm_put_string(w, key->label);
	hm_put_bytes(w, key->id, key->id_length);
	hm_put_u8(w, key->use);
	hm_put_u8(w, key->algorithm);
	hm_put_u8(w, key->hash);
	hm_put_string(w, key->issuer);
}

static bool key_get(struct hm_reader *r, struct token_key_config *key)
{
	hm_get_string(r, key->name, sizeof key->name);
	hm_get_string(r, key->label, sizeof key->label);
	struct hm_bytes id = hm_get_bytes(r, sizeof key->id);
	memcpy(key->id, id.data, id.length);
	key->id_length = (uint32_t)id.length;
	key->use = hm_get_u8(r);
	key->algorithm = hm_get_u8(r);
	key->hash = hm_get_u8(r);
	hm_get_string(r, key->issuer, sizeof key->issuer);
	bool is_found_by = !key->name[0] || key->label[0] || key->id_length;
	return !r->failed && is_found_by && key->use < KEY_USES && key->algorithm < KEY_ALGORITHMS &&
	       key->hash < KEY_HASHES;
}

void token_config_put(struct hm_writer *w, const struct token_config *config)
{
	hm_put_string(w, config->name);
	hm_put_string(w, config->module);
	hm_put_string(w, config->label);
	hm_put_u32(w, config->serial_count);
	for (uint32_t i = 0; i < config->serial_count; i++)
		hm_put_string(w, config->serials[i]);
	hm_put_u8(w, config->login);
	hm_put_string(w, config->pin_file);
	hm_put_u32(w, config->custodian_count);
	for (uint32_t i = 0; i < config->custodian_count; i++)
		hm_put_u32(w, config->custodians[i]);
	hm_put_raw(w, config->unlock, sizeof config->unlock);
	hm_put_string(w, config->state);
	hm_put_string(w, config->origin);
	hm_put_u32(w, config->threads);
	hm_put_u8(w, config->self_check);
	hm_put_u8(w, config->unlatch);
	hm_put_u8(w, config->read_write);
	hm_put_u64(w, config->user_type);
	hm_put_u32(w, config->waived);
	hm_put_u8(w, config->tpm_unasked);
	hm_put_u32(w, config->tpm_parent);
	hm_put_u8(w, config->confine_at_best);
	hm_put_u32(w, config->path_count);
	for (uint32_t i = 0; i < config->path_count; i++) {
		hm_put_string(w, config->paths[i].path);
		hm_put_u8(w, config->paths[i].write);
	}
	hm_put_u32(w, config->environment_count);
	for (uint32_t i = 0; i < config->environment_count; i++)
		hm_put_string(w, config->environment[i]);
	hm_put_u32(w, config->key_count);
	for (uint32_t i = 0; i < config->key_count; i++)
		key_put(w, &config->keys[i]);
}

static bool get_paths(struct hm_reader *r, struct token_config *config)
{
	bool is_whole = true;
	config->confine_at_best = hm_get_u8(r);
	config->path_count = hm_get_u32(r);
	if (config->path_count > HM_TOKEN_PATHS_MAX || config->confine_at_best > 1)
		return false;
	for (uint32_t i = 0; i < config->path_count; i++) {
		hm_get_string(r, config->paths[i].path, sizeof config->paths[i].path);
		config->paths[i].write = hm_get_u8(r);
		is_whole = is_whole && config->paths[i].write <= 1;
	}
	return is_whole;
}

bool token_config_get(struct hm_reader *r, struct token_config *config)
{
	memset(config, 0, sizeof *config);
	hm_get_string(r, config->name, sizeof config->name);
	hm_get_string(r, config->module, sizeof config->module);
	hm_get_string(r, config->label, sizeof config->label);
	config->serial_count = hm_get_u32(r);
	if (config->serial_count > HM_TOKEN_SERIALS_MAX)
		return false;
	for (uint32_t i = 0; i < config->serial_count; i++)
		hm_get_string(r, config->serials[i], sizeof config->serials[i]);
	config->login = hm_get_u8(r);
	hm_get_string(r, config->pin_file, sizeof config->pin_file);
	config->custodian_count = hm_get_u32(r);
	if (config->custodian_count > HM_PIN_PARTS_MAX)
		return false;
	for (uint32_t i = 0; i < config->custodian_count; i++)
		config->custodians[i] = hm_get_u32(r);
	hm_get_raw(r, config->unlock, sizeof config->unlock);
	hm_get_string(r, config->state, sizeof config->state);
	hm_get_string(r, config->origin, sizeof config->origin);
	config->threads = hm_get_u32(r);
	config->self_check = hm_get_u8(r);
	config->unlatch = hm_get_u8(r);
	config->read_write = hm_get_u8(r);
	config->user_type = hm_get_u64(r);
	config->waived = hm_get_u32(r);
	config->tpm_unasked = hm_get_u8(r);
	config->tpm_parent = hm_get_u32(r);
	if (!get_paths(r, config))
		return false;
	config->environment_count = hm_get_u32(r);
	if (config->environment_count > HM_TOKEN_ENVIRONMENT_MAX)
		return false;
	for (uint32_t i = 0; i < config->environment_count; i++)
		hm_get_string(r, config->environment[i], sizeof config->environment[i]);
	config->key_count = hm_get_u32(r);
	if (config->key_count > HM_KEYS_MAX)
		return false;
	for (uint32_t i = 0; i < config->key_count; i++)
		if (!key_get(r, &config->keys[i]))
			return false;
	return hm_reader_done(r) && config->threads >= 1 && config->threads <= HM_TOKEN_THREADS_MAX &&
	       config->login < LOGINS && !config->custodian_count == (config->login != LOGIN_CUSTODIANS) &&
	       config->self_check <= SELF_CHECK_SAMPLED && config->unlatch <= 1 && config->read_write <= 1 &&
	       config->tpm_unasked <= 1 && config->waived < 1u << CUSTODY_ATTRIBUTES;
}

bool token_key_equals(const struct token_key_config *a, const struct token_key_config *b)
{
	return strcmp(a->name, b->name) == 0 && strcmp(a->label, b->label) == 0 && strcmp(a->issuer, b->issuer) == 0 &&
	       a->id_length == b->id_length && memcmp(a->id, b->id, a->id_length) == 0 && a->use == b->use &&
	       a->algorithm == b->algorithm && a->hash == b->hash;
}

void token_learn_put(struct hm_writer *w, uint16_t place, const struct token_key_config *key)
{
	hm_put_u16(w, place);
	key_put(w, key);
}

bool token_learn_get(struct hm_reader *r, struct token_learn *learn)
{
	memset(learn, 0, sizeof *learn);
	learn->place = hm_get_u16(r);
	return key_get(r, &learn->key) && hm_reader_done(r) && learn->place < HM_KEYS_MAX && learn->key.name[0];
}

void token_sign_put(struct hm_writer *w, uint16_t key, const void *tbs, size_t length)
{
	hm_put_u16(w, key);
	hm_put_bytes(w, tbs, length);
}

bool token_sign_get(struct hm_reader *r, struct token_sign *sign)
{
	sign->key = hm_get_u16(r);
	sign->tbs = hm_get_bytes(r, HM_JWT_TBS_MAX);
	return hm_reader_done(r);
}

bool token_slow_get(struct hm_reader *r, uint32_t *ms)
{
	*ms = hm_get_u32(r);
	return hm_reader_done(r) && *ms <= HM_TOKEN_SLOW_MAX_MS;
}

static void key_ready_put(struct hm_writer *w, const struct token_key_ready *key)
{
	hm_put_string(w, key->kid);
	hm_put_bytes(w, key->spki, key->spki_length);
	hm_put_raw(w, key->custody, sizeof key->custody);
	hm_put_u64(w, key->generated_by);
	hm_put_u64(w, key->mechanism);
	hm_put_u8(w, key->by_token);
	hm_put_bytes(w, key->tpm_name, key->tpm_name_length);
	hm_put_raw(w, key->tpm, sizeof key->tpm);
}

static bool key_ready_get(struct hm_reader *r, struct token_key_ready *key)
{
	hm_get_string(r, key->kid, sizeof key->kid);
	struct hm_bytes spki = hm_get_bytes(r, sizeof key->spki);
	memcpy(key->spki, spki.data, spki.length);
	key->spki_length = (uint32_t)spki.length;
	hm_get_raw(r, key->custody, sizeof key->custody);
	key->generated_by = hm_get_u64(r);
	key->mechanism = hm_get_u64(r);
	key->by_token = hm_get_u8(r);
	struct hm_bytes tpm_name = hm_get_bytes(r, sizeof key->tpm_name);
	memcpy(key->tpm_name, tpm_name.data, tpm_name.length);
	key->tpm_name_length = (uint32_t)tpm_name.length;
	hm_get_raw(r, key->tpm, sizeof key->tpm);
	for (int i = 0; i < CUSTODY_ATTRIBUTES; i++)
		if (key->custody[i] >= CUSTODY_VALUES)
			return false;
	for (int i = 0; i < TPM_ATTRIBUTES; i++)
		if (key->tpm[i] > 1)
			return false;
	return key->by_token <= 1;
}

void token_ready_put(struct hm_writer *w, const struct token_ready *ready)
{
	hm_put_string(w, ready->manufacturer);
	hm_put_string(w, ready->model);
	hm_put_string(w, ready->serial);
	hm_put_string(w, ready->firmware);
	hm_put_string(w, ready->hardware);
	hm_put_string(w, ready->library);
	hm_put_string(w, ready->library_version);
	hm_put_raw(w, ready->module_sha256, sizeof ready->module_sha256);
	hm_put_raw(w, ready->epoch, sizeof ready->epoch);
	hm_put_u32(w, ready->mechanism_count);
	for (uint32_t i = 0; i < ready->mechanism_count; i++)
		hm_put_u64(w, ready->mechanisms[i]);
	hm_put_u32(w, ready->threads);
	hm_put_u32(w, ready->probe_us);
	hm_put_u32(w, ready->key_count);
	for (uint32_t i = 0; i < ready->key_count; i++)
		key_ready_put(w, &ready->keys[i]);
}

bool token_ready_get(struct hm_reader *r, struct token_ready *ready)
{
	memset(ready, 0, sizeof *ready);
	hm_get_printable(r, ready->manufacturer, sizeof ready->manufacturer);
	hm_get_printable(r, ready->model, sizeof ready->model);
	hm_get_printable(r, ready->serial, sizeof ready->serial);
	hm_get_printable(r, ready->firmware, sizeof ready->firmware);
	hm_get_printable(r, ready->hardware, sizeof ready->hardware);
	hm_get_printable(r, ready->library, sizeof ready->library);
	hm_get_printable(r, ready->library_version, sizeof ready->library_version);
	hm_get_raw(r, ready->module_sha256, sizeof ready->module_sha256);
	hm_get_raw(r, ready->epoch, sizeof ready->epoch);
	ready->mechanism_count = hm_get_u32(r);
	if (ready->mechanism_count > HM_MECHANISMS_MAX)
		return false;
	for (uint32_t i = 0; i < ready->mechanism_count; i++)
		ready->mechanisms[i] = hm_get_u64(r);
	ready->threads = hm_get_u32(r);
	ready->probe_us = hm_get_u32(r);
	ready->key_count = hm_get_u32(r);
	if (ready->key_count > HM_KEYS_MAX || ready->threads > HM_TOKEN_THREADS_MAX)
		return false;
	bool sound = true;
	for (uint32_t i = 0; i < ready->key_count; i++)
		sound = key_ready_get(r, &ready->keys[i]) && sound;
	return hm_reader_done(r) && sound;
}

void token_counts_put(struct hm_writer *w, const struct token_counts *counts)
{
	hm_put_raw(w, counts->epoch, sizeof counts->epoch);
	hm_put_u32(w, counts->count);
	for (uint32_t i = 0; i < counts->count; i++) {
		hm_put_string(w, counts->keys[i].kid);
		for (int what = 0; what < SIGNED_WHATS; what++)
			hm_put_u64(w, counts->keys[i].counts[what]);
	}
}

bool token_counts_get(struct hm_reader *r, struct token_counts *counts)
{
	memset(counts, 0, sizeof *counts);
	hm_get_raw(r, counts->epoch, sizeof counts->epoch);
	counts->count = hm_get_u32(r);
	if (counts->count > HM_TALLIES_MAX)
		return false;
	bool sound = true;
	for (uint32_t i = 0; i < counts->count; i++) {
		struct token_signed *key = &counts->keys[i];
		hm_get_printable(r, key->kid, sizeof key->kid);
		sound = sound && strlen(key->kid) == HM_KID_MAX;
		for (int what = 0; what < SIGNED_WHATS; what++) {
			key->counts[what] = hm_get_u64(r);
			sound = sound && key->counts[what] <= HM_INTEGER_MAX;
		}
	}
	return hm_reader_done(r) && sound;
}

bool token_note_get(struct hm_reader *r, struct hm_bytes *note)
{
	*note = hm_get_bytes(r, HM_ANCHOR_MAX);
	return hm_reader_done(r);
}

void token_failure_put(struct hm_writer *w, const struct token_failure *failure)
{
	hm_put_u8(w, failure->class);
	hm_put_u64(w, failure->ckr);
	hm_put_string(w, failure->detail);
}

bool token_failure_get(struct hm_reader *r, struct token_failure *failure)
{
	failure->class = hm_get_u8(r);
	failure->ckr = hm_get_u64(r);
	hm_get_printable(r, failure->detail, sizeof failure->detail);
	return hm_reader_done(r) && failure->class < TOKEN_CLASSES;
}

void token_learned_put(struct hm_writer *w, uint16_t place, const struct token_key_ready *key)
{
	hm_put_u16(w, place);
	key_ready_put(w, key);
}

bool token_learned_get(struct hm_reader *r, uint16_t *place, struct token_key_ready *key)
{
	memset(key, 0, sizeof *key);
	*place = hm_get_u16(r);
	return key_ready_get(r, key) && hm_reader_done(r) && *place < HM_KEYS_MAX;
}

void token_not_learned_put(struct hm_writer *w, uint16_t place, const struct token_failure *failure)
{
	hm_put_u16(w, place);
	token_failure_put(w, failure);
}

bool token_not_learned_get(struct hm_reader *r, uint16_t *place, struct token_failure *failure)
{
	*place = hm_get_u16(r);
	return token_failure_get(r, failure) && *place < HM_KEYS_MAX;
}
