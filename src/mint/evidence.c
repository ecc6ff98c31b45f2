/* SPDX-License-Identifier: Apache-2.0 */
#include "evidence.h"

#include "base64url.h"
#include "json_write.h"
#include "key_life.h"
#include "policy.h"
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>

enum { SHA256 = 32 };

static void put_hex(struct hm_json *json, const char *name, const uint8_t *bytes, size_t length)
{
	char text[2 * HM_TPM_NAME_MAX + 1];
	for (size_t i = 0; i < length && i < HM_TPM_NAME_MAX; i++)
		snprintf(text + 2 * i, 3, "%02x", bytes[i]);
	hm_json_member_string(json, name, text);
}

/* Numbers of PKCS#11 as its headers write them: they are names, not quantities. */
static void put_number(struct hm_json *json, uint64_t number)
{
	char text[20];
	snprintf(text, sizeof text, "0x%" PRIx64, number);
	hm_json_string(json, text);
}

static void put_null(struct hm_json *json)
{
	hm_json_raw(json, "null", 4);
}

/* ---- the token ---- */

static void put_serials(struct hm_json *json, const struct config_token *config)
{
	hm_json_key(json, "allowed_serials");
	hm_json_begin(json, '[');
	for (unsigned i = 0; i < config->serials_count; i++)
		hm_json_string(json, config->serials[i]);
	hm_json_end(json, ']');
}

static void put_token(struct hm_json *json, const struct config_token *config, const struct token_ready *shown)
{
	hm_json_key(json, "token");
	hm_json_begin(json, '{');
	hm_json_member_string(json, "name", config->name);
	hm_json_member_string(json, "label", config->label);
	hm_json_member_string(json, "serial", shown->serial);
	put_serials(json, config);
	hm_json_member_string(json, "manufacturer", shown->manufacturer);
	hm_json_member_string(json, "model", shown->model);
	hm_json_member_string(json, "hardware", shown->hardware);
	hm_json_member_string(json, "firmware", shown->firmware);
	hm_json_key(json, "approved_only");
	hm_json_bool(json, config->approved_only);
	if (config->fips_certificate)
		hm_json_member_string(json, "fips_certificate", config->fips_certificate);
	hm_json_key(json, "mechanisms");
	hm_json_begin(json, '[');
	for (uint32_t i = 0; i < shown->mechanism_count; i++)
		put_number(json, shown->mechanisms[i]);
	hm_json_end(json, ']');
	hm_json_end(json, '}');
}

static void put_module(struct hm_json *json, const struct config_token *config, const struct token_ready *shown)
{
	hm_json_key(json, "module");
	hm_json_begin(json, '{');
	hm_json_member_string(json, "path", config->module);
	put_hex(json, "sha256", shown->module_sha256, sizeof shown->module_sha256);
	hm_json_member_string(json, "library", shown->library);
	hm_json_member_string(json, "version", shown->library_version);
	hm_json_end(json, '}');
}

/* ---- the key ---- */

static void put_attributes(struct hm_json *json, const struct token_key_ready *shown)
{
	hm_json_key(json, "attributes"); /* null: the module does not tell, and it is waived */
	hm_json_begin(json, '{');
	for (enum custody_attribute i = 0; i < CUSTODY_KEY_GEN_MECHANISM; i++) {
		hm_json_key(json, custody_attribute_name(i));
		if (shown->custody[i] == CUSTODY_NOT_TOLD)
			put_null(json);
		else
			hm_json_bool(json, shown->custody[i] == CUSTODY_TRUE);
	}
	hm_json_key(json, custody_attribute_name(CUSTODY_KEY_GEN_MECHANISM));
	if (shown->custody[CUSTODY_KEY_GEN_MECHANISM] == CUSTODY_TRUE)
		put_number(json, shown->generated_by);
	else
		put_null(json);
	hm_json_end(json, '}');
}

static void put_tpm(struct hm_json *json, const struct config_token *config, const struct token_key_ready *shown)
{
	if (!config->written_tpm_parent || !shown->tpm_name_length)
		return;
	hm_json_key(json, "tpm");
	hm_json_begin(json, '{');
	hm_json_key(json, "parent");
	put_number(json, *config->written_tpm_parent);
	put_hex(json, "name", shown->tpm_name, shown->tpm_name_length);
	hm_json_key(json, "attributes");
	hm_json_begin(json, '{');
	for (enum tpm_attribute i = 0; i < TPM_ATTRIBUTES; i++) {
		hm_json_key(json, tpm_attribute_name(i));
		hm_json_bool(json, shown->tpm[i]);
	}
	hm_json_end(json, '}');
	hm_json_end(json, '}');
}

static void put_waivers(struct hm_json *json, const struct config_token *config)
{
	hm_json_key(json, "waived");
	hm_json_begin(json, '[');
	for (unsigned i = 0; i < config->waivers_count; i++)
		hm_json_string(json, custody_attribute_name(config->waivers[i].attribute));
	hm_json_end(json, ']');
}

static void put_public(struct hm_json *json, const struct jwk *jwk, const struct token_key_ready *shown)
{
	uint8_t digest[SHA256];
	char text[JWK_MEMBERS_MAX + 2], spki[HM_SPKI_MAX * 4 / 3 + 4];
	int length = snprintf(text, sizeof text, "{%s}", jwk->members);
	hm_json_key(json, "jwk");
	hm_json_raw(json, text, (size_t)length);
	spki[base64url_encode(shown->spki, shown->spki_length, spki)] = 0;
	hm_json_member_string(json, "spki", spki);
	if (EVP_Digest(shown->spki, shown->spki_length, digest, NULL, EVP_sha256(), NULL) == 1)
		put_hex(json, "spki_sha256", digest, sizeof digest);
}

static void put_mechanism(struct hm_json *json, const struct token_key_ready *shown)
{
	hm_json_key(json, "signs_with");
	hm_json_begin(json, '{');
	hm_json_key(json, "mechanism");
	put_number(json, shown->mechanism);
	hm_json_member_string(json, "hash", shown->by_token ? "token" : "host");
	hm_json_end(json, '}');
}

static void put_shown(struct hm_json *json, const struct config_token *config, const struct issuing_key *issuing)
{
	const struct token_ready *holdings = token_holdings(issuing->token);
	const struct token_key_ready *shown = token_shown(issuing->token, issuing->place);
	put_public(json, &issuing->jwk, shown);
	put_mechanism(json, shown);
	put_attributes(json, shown);
	put_waivers(json, config);
	put_tpm(json, config, shown);
	hm_json_member_string(json, "private_value", "unreadable"); /* or custody.c had refused the key */
	put_token(json, config, holdings);
	put_module(json, config, holdings);
}

size_t evidence_write_key(const struct service *service, const struct issuing_key *issuing, char *text, size_t size)
{
	struct hm_json json = hm_json(text, size);
	hm_json_begin(&json, '{');
	put_shown(&json, &service->config->tokens[issuing->config->token_index], issuing);
	hm_json_end(&json, '}');
	return json.out.failed ? 0 : json.out.used;
}

static void put_digest(struct hm_json *json, const struct service *service, const struct issuing_key *issuing)
{
	static char text[EVIDENCE_KEY_MAX];
	uint8_t digest[SHA256];
	char name[64];
	size_t length = evidence_write_key(service, issuing, text, sizeof text);
	if (!length || EVP_Digest(text, length, digest, NULL, EVP_sha256(), NULL) != 1)
		return;
	name[base64url_encode(digest, sizeof digest, name)] = 0;
	hm_json_member_string(json, "evidence", name);
}

/* `issuing`: NULL for a version that is not in use any more. */
static void put_key(struct hm_json *json, const struct service *service, const struct config_key *key,
	const struct key_version *version, const struct issuing_key *issuing)
{
	hm_json_begin(json, '{');
	hm_json_member_string(json, "name", key->name);
	if (key->use == KEY_USE_CHECKPOINT)
		hm_json_member_string(json, "origin", service->config->ledger.origin);
	else
		hm_json_member_string(json, "issuer", key->issuer);
	hm_json_member_string(json, "use", key_use_name(key->use));
	hm_json_member_string(json, "algorithm", key_algorithm_name(key->algorithm));
	key_version_put(json, version);
	if (key->attestation)
		put_hex(json, "attestation_sha256", key->attestation_sha256, sizeof key->attestation_sha256);
	hm_json_key(json, "known");
	hm_json_bool(json, issuing && issuing->known);
	if (issuing && issuing->known) {
		hm_json_member_number(json, "shown_at", token_facts(issuing->token).shown_at);
		put_shown(json, &service->config->tokens[key->token_index], issuing);
		put_digest(json, service, issuing);
	}
	hm_json_end(json, '}');
}

static void put_versions(struct hm_json *json, const struct service *service, const struct config_key *key)
{
	const struct key_record *record = key_life_record(service, key);
	for (unsigned i = 0; i < record->count; i++) {
		const struct key_version *version = &record->versions[i];
		put_key(json, service, key, version, issuing_keys_find(&service->keys, version));
	}
}

/* Callers of any issuer see a key for checkpoints: it is the ledger's, which is of them all. */
static bool may_see(const struct service *service, const struct gate_caller *caller, const struct config_key *key)
{
	if (!caller || key->use == KEY_USE_CHECKPOINT)
		return true;
	const struct config_caller *known = policy_find_caller(service->config, key->issuer_index, caller);
	return known && (known->roles & (ROLE_AUDIT | ROLE_OPERATE));
}

size_t evidence_write(const struct service *service, const struct gate_caller *caller, char *text, size_t size)
{
	struct hm_json json = hm_json(text, size);
	hm_json_begin(&json, '{');
	hm_json_key(&json, "ok");
	hm_json_bool(&json, true);
	hm_json_key(&json, "keys");
	hm_json_begin(&json, '[');
	for (unsigned i = 0; i < service->config->keys_count; i++)
		if (may_see(service, caller, &service->config->keys[i]))
			put_versions(&json, service, &service->config->keys[i]);
	hm_json_end(&json, ']');
	hm_json_end(&json, '}');
	return json.out.failed ? 0 : json.out.used;
}
