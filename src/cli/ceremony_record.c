/* SPDX-License-Identifier: Apache-2.0 */
#include "ceremony_record.h"

#include "base64url.h"
#include "ceremony_custodians.h"
#include "file.h"
#include "jwk.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void record_free(struct record *record)
{
	json_decref(record->json);
	json_decref(record->import);
	EVP_PKEY_free(record->key);
}

hm_result record_path(const char *directory, const char *file, char path[HM_PATH_MAX], struct hm_problem *why)
{
	if (snprintf(path, HM_PATH_MAX, "%s/%s", directory, file) < HM_PATH_MAX)
		return HM_OK;
	return hm_refuse(why, "config", NULL, "%s: path too long", directory);
}

hm_result record_write_file(
	const char *directory, const char *file, const void *data, size_t length, struct hm_problem *why)
{
	char path[HM_PATH_MAX];
	HM_TRY(record_path(directory, file, path, why));
	return file_replace(path, data, length, 0600, why);
}

char *record_text(const json_t *document)
{
	char *line = NULL;
	char *text = json_dumps(document, JSON_COMPACT);
	if (text && asprintf(&line, "%s\n", text) < 0)
		line = NULL;
	free(text);
	return line;
}

/* ---- evidence ---- */

static bool is_named(const json_t *names, const char *name)
{
	size_t i;
	json_t *entry;
	json_array_foreach(names, i, entry) if (strcmp(json_string_value(entry), name) == 0) return true;
	return false;
}

static bool are_texts(const json_t *array)
{
	size_t i;
	json_t *entry;
	json_array_foreach(array, i, entry) if (!json_is_string(entry)) return false;
	return json_is_array(array);
}

/* What hsmint-ceremony lets no key be without: hsm/custody.c. */
static bool is_as_promised(enum custody_attribute which, const json_t *value, const json_t *waived)
{
	static const uint32_t must_be_false = 1u << CUSTODY_EXTRACTABLE | 1u << CUSTODY_SIGN_RECOVER |
					      1u << CUSTODY_DECRYPT | 1u << CUSTODY_UNWRAP | 1u << CUSTODY_DERIVE |
					      1u << CUSTODY_ALWAYS_AUTHENTICATE;
	if (json_is_null(value))
		return is_named(waived, custody_attribute_name(which));
	if (which == CUSTODY_KEY_GEN_MECHANISM)
		return json_is_string(value);
	return must_be_false & 1u << which ? json_is_false(value) : json_is_true(value);
}

static hm_result check_evidence(const json_t *evidence, struct hm_problem *why)
{
	json_t *attributes, *waived, *mechanisms;
	const char *private_value;
	if (json_unpack_ex((json_t *)evidence, NULL, JSON_STRICT, "{s:o, s:o, s:s, s:o}", "attributes", &attributes,
		    "waived", &waived, "private_value", &private_value, "mechanisms", &mechanisms) < 0 ||
		!are_texts(waived) || !are_texts(mechanisms) || strcmp(private_value, "unreadable") != 0 ||
		json_object_size(attributes) != CUSTODY_ATTRIBUTES)
		return hm_refuse(why, "config", NULL, RECORD_FILE ": evidence is not in its form");
	for (enum custody_attribute i = 0; i < CUSTODY_ATTRIBUTES; i++) {
		const char *name = custody_attribute_name(i);
		if (!is_as_promised(i, json_object_get(attributes, name), waived))
			return hm_refuse(why, "config", NULL, RECORD_FILE ": evidence: %s is not as promised", name);
	}
	return HM_OK;
}

/* ---- signed documents ---- */

static void free_digest(EVP_MD_CTX **context)
{
	EVP_MD_CTX_free(*context);
}

static bool is_signed(const struct record *record, enum ceremony_signed what, const void *data, size_t length,
	const uint8_t *signature, size_t signature_length)
{
	const char *prefix = ceremony_prefix(what);
	const EVP_MD *hash = EVP_get_digestbyname(ceremony_hash(record->algorithm));
	__attribute__((cleanup(free_digest))) EVP_MD_CTX *context = EVP_MD_CTX_new();
	return context && EVP_DigestVerifyInit(context, NULL, hash, NULL, record->key) == 1 &&
	       EVP_DigestVerifyUpdate(context, prefix, strlen(prefix)) == 1 &&
	       EVP_DigestVerifyUpdate(context, data, length) == 1 &&
	       EVP_DigestVerifyFinal(context, signature, signature_length) == 1;
}

static hm_result check_signature(const struct record *record, const char *directory, enum ceremony_signed what,
	const char *file, const char *text, size_t length, struct hm_problem *why)
{
	uint8_t signature[HM_SIGNATURE_MAX];
	char path[HM_PATH_MAX];
	size_t signature_length;
	HM_TRY(record_path(directory, file, path, why));
	HM_TRY(file_read(path, false, signature, sizeof signature, &signature_length, why));
	if (is_signed(record, what, text, length, signature, signature_length))
		return HM_OK;
	return hm_refuse(why, "config", NULL, "%s: not the key's signature of these bytes", file);
}

/* Nothing in it needs another escape than those of '"' and '\\', or does something to a terminal. */
static bool is_plain_document(char *text, size_t length)
{
	if (length < 2 || text[length - 1] != '\n')
		return false;
	text[length - 1] = 0;
	bool plain = is_plain_text(text, HM_CEREMONY_DOCUMENT_MAX);
	text[length - 1] = '\n';
	while (plain && (text = strchr(text, '\\'))) {
		plain = text[1] == '"' || text[1] == '\\';
		text += 2;
	}
	return plain;
}

/* Read a document that record_text has written: in another form than that, nothing is looked at. */
static hm_result read_document(const char *directory, const char *file, char text[HM_CEREMONY_DOCUMENT_MAX + 1],
	size_t *length, json_t **document, struct hm_problem *why)
{
	char path[HM_PATH_MAX];
	HM_TRY(record_path(directory, file, path, why));
	HM_TRY(file_read(path, false, text, HM_CEREMONY_DOCUMENT_MAX, length, why));
	text[*length] = 0;
	*document = json_loadb(text, *length, JSON_REJECT_DUPLICATES, NULL);
	char *again = *document ? record_text(*document) : NULL;
	bool same = again && strlen(again) == *length && memcmp(again, text, *length) == 0;
	free(again);
	if (!json_is_object(*document) || !same || !is_plain_document(text, *length))
		return hm_refuse(why, "config", NULL, "%s: not a document of a ceremony", file);
	return HM_OK;
}

static hm_result refuse_form(struct hm_problem *why, const char *file, const char *member)
{
	return hm_refuse(why, "config", NULL, "%s: %s is not in its form", file, member);
}

/* ---- the key ---- */

static bool find_algorithm(const char *name, enum key_algorithm *algorithm)
{
	for (*algorithm = 0; *algorithm < KEY_ALGORITHMS; ++*algorithm)
		if (ceremony_hash(*algorithm) && strcmp(name, key_algorithm_name(*algorithm)) == 0)
			return true;
	return false;
}

static bool is_hex(const char *text, size_t length)
{
	return strlen(text) == length && strspn(text, "0123456789abcdef") == length;
}

static hm_result read_key(struct record *record, json_t *key, struct hm_problem *why)
{
	const char *algorithm, *spki;
	uint8_t der[HM_SPKI_MAX];
	const uint8_t *in = der;
	char sha256[HEX_SHA256];
	struct jwk jwk;
	if (json_unpack_ex(key, NULL, JSON_STRICT, "{s:s, s:s, s:s, s:s, s:s}", "label", &record->label, "id",
		    &record->id, "algorithm", &algorithm, "spki", &spki, "spki_sha256", &record->spki_sha256) < 0 ||
		!find_algorithm(algorithm, &record->algorithm) || !is_plain_text(record->label, HM_NAME_MAX) ||
		!is_hex(record->id, (size_t)2 * RECORD_KEY_ID))
		return refuse_form(why, RECORD_FILE, "key");
	size_t length = base64url_decode(spki, strlen(spki), der, sizeof der);
	if (length == SIZE_MAX)
		return refuse_form(why, RECORD_FILE, "key.spki");
	HM_TRY(jwk_from_spki(der, length, &jwk, why));
	record->key = d2i_PUBKEY(NULL, &in, (long)length);
	x509_sha256(der, length, sha256);
	if (!record->key || !jwk_is_for(jwk.type, record->algorithm) || strcmp(sha256, record->spki_sha256) != 0)
		return hm_refuse(why, "config", NULL, RECORD_FILE ": key: the fingerprint or algorithm is not its own");
	return HM_OK;
}

static hm_result check_test(const struct record *record, json_t *test, struct hm_problem *why)
{
	const char *data, *signature;
	uint8_t bytes[RECORD_TEST_DATA], made[HM_SIGNATURE_MAX];
	if (json_unpack_ex(test, NULL, JSON_STRICT, "{s:s, s:s}", "data", &data, "signature", &signature) < 0 ||
		base64url_decode(data, strlen(data), bytes, sizeof bytes) != sizeof bytes)
		return refuse_form(why, RECORD_FILE, "test");
	size_t length = base64url_decode(signature, strlen(signature), made, sizeof made);
	if (length == SIZE_MAX || !is_signed(record, CEREMONY_TEST, bytes, sizeof bytes, made, length))
		return hm_refuse(why, "config", NULL, RECORD_FILE ": test: not the key's signature");
	return HM_OK;
}

/* ---- where and what ---- */

static hm_result check_place(struct record *record, json_t *token, json_t *module, struct hm_problem *why)
{
	const char *text[9], *sha256;
	if (json_unpack_ex(token, NULL, JSON_STRICT, "{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "name", &record->token,
		    "label", &text[0], "manufacturer", &text[1], "model", &text[2], "serial", &text[3], "hardware",
		    &text[4], "firmware", &text[5]) < 0)
		return refuse_form(why, RECORD_FILE, "token");
	if (json_unpack_ex(module, NULL, JSON_STRICT, "{s:s, s:s, s:s, s:s}", "path", &text[6], "sha256", &sha256,
		    "library", &text[7], "version", &text[8]) < 0 ||
		!is_hex(sha256, HEX_SHA256 - 1))
		return refuse_form(why, RECORD_FILE, "module");
	return HM_OK;
}

/* The file beside is the PEM of the DER that the record has the hash of, byte for byte. */
static hm_result read_pem(
	const char *directory, const char *file, const char *name, uint8_t *der, size_t *length, struct hm_problem *why)
{
	static char text[PEM_MAX], again[PEM_MAX];
	static uint8_t decoded[PEM_MAX];
	char path[HM_PATH_MAX];
	size_t size, used = 0;
	HM_TRY(record_path(directory, file, path, why));
	HM_TRY(file_read(path, false, text, sizeof text, &size, why));
	if (!x509_pem_first(text, size, decoded, length) || *length > HM_CERTIFICATE_MAX ||
		!x509_pem_append(name, decoded, *length, again, &used) || used != size ||
		memcmp(text, again, size) != 0)
		return hm_refuse(why, "config", NULL, "%s: not the PEM that the ceremony wrote", file);
	memcpy(der, decoded, *length);
	return HM_OK;
}

static hm_result check_document(struct record *record, const char *directory, json_t *document, struct hm_problem *why)
{
	static uint8_t der[HM_CERTIFICATE_MAX];
	const char *file, *sha256, *wanted = record->is_request ? REQUEST_FILE : CERTIFICATE_FILE;
	char found[HEX_SHA256];
	json_t *trust_domain;
	int path_length;
	size_t length;
	if (json_unpack_ex(document, NULL, JSON_STRICT, "{s:s, s:s, s:s, s:i, s:o}", "file", &file, "sha256", &sha256,
		    "subject", &record->ca.subject, "path_length", &path_length, "trust_domain", &trust_domain) < 0 ||
		strcmp(file, wanted) != 0 || path_length < 0 ||
		!(json_is_null(trust_domain) || json_is_string(trust_domain)))
		return refuse_form(why, RECORD_FILE, "document");
	record->ca.key = record->key;
	record->ca.path_length = (unsigned)path_length;
	record->ca.trust_domain = json_string_value(trust_domain);
	HM_TRY(read_pem(
		directory, wanted, record->is_request ? "CERTIFICATE REQUEST" : "CERTIFICATE", der, &length, why));
	x509_sha256(der, length, found);
	if (strcmp(found, sha256) != 0)
		return hm_refuse(why, "config", NULL, "%s: not the one of which the record has the SHA-256", wanted);
	return record->is_request ? x509_check_request(der, length, &record->ca, why)
				  : x509_check_self_signed(der, length, &record->ca, why);
}

/* ---- the whole ---- */

struct parts {
	json_t *custodians, *token, *module, *key, *evidence, *test, *document;
};

static hm_result unpack(struct record *record, struct parts *parts, struct hm_problem *why)
{
	int version;
	const char *made_by, *kind, *begun, *ended;
	if (json_unpack_ex(record->json, NULL, JSON_STRICT,
		    "{s:i, s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "hsmint_ceremony", &version,
		    "made_by", &made_by, "kind", &kind, "begun", &begun, "ended", &ended, "custodians",
		    &parts->custodians, "token", &parts->token, "module", &parts->module, "key", &parts->key,
		    "evidence", &parts->evidence, "test", &parts->test, "document", &parts->document) < 0 ||
		version != 1)
		return hm_refuse(why, "config", NULL, RECORD_FILE ": not a record of version 1");
	record->is_request = strcmp(kind, "request") == 0;
	if (!record->is_request && strcmp(kind, "self-signed") != 0)
		return refuse_form(why, RECORD_FILE, "kind");
	if (!time_read(begun, &record->begun) || !time_read(ended, &record->ended) || record->begun > record->ended)
		return refuse_form(why, RECORD_FILE, "begun or ended");
	if (!custodians_are_sound(parts->custodians, record->begun, record->ended))
		return refuse_form(why, RECORD_FILE, "custodians");
	return HM_OK;
}

static hm_result read_record(const char *directory, struct record *record, struct hm_problem *why)
{
	static char text[HM_CEREMONY_DOCUMENT_MAX + 1];
	struct parts parts;
	size_t length;
	HM_TRY(read_document(directory, RECORD_FILE, text, &length, &record->json, why));
	HM_TRY(unpack(record, &parts, why));
	HM_TRY(read_key(record, parts.key, why));
	HM_TRY(check_signature(record, directory, CEREMONY_RECORD, RECORD_SIGNATURE, text, length, why));
	x509_sha256(text, length, record->sha256);
	HM_TRY(check_place(record, parts.token, parts.module, why));
	HM_TRY(check_evidence(parts.evidence, why));
	HM_TRY(check_test(record, parts.test, why));
	return check_document(record, directory, parts.document, why);
}

/* ---- what was imported ---- */

static hm_result check_chain_file(
	struct record *record, const char *directory, const char *sha256, int64_t at, struct hm_problem *why)
{
	static char text[PEM_MAX], again[PEM_MAX];
	CHAIN_AUTO *chain = NULL;
	CHAIN_AUTO *whole = NULL;
	char path[HM_PATH_MAX], found[HEX_SHA256];
	size_t length, used;
	HM_TRY(record_path(directory, CHAIN_FILE, path, why));
	HM_TRY(file_read(path, false, text, sizeof text, &length, why));
	x509_sha256(text, length, found);
	if (strcmp(found, sha256) != 0)
		return hm_refuse(why, "config", NULL, CHAIN_FILE ": not the one of which the import has the SHA-256");
	HM_TRY(x509_chain_read(path, &chain, why));
	X509 *root = sk_X509_value(chain, sk_X509_num(chain) - 1);
	HM_TRY(x509_check_chain(chain, root, at, &record->ca, &whole, why));
	if (!x509_chain_pem(whole, again, &used) || used != length || memcmp(text, again, length) != 0)
		return hm_refuse(why, "config", NULL, CHAIN_FILE ": not as the import wrote it");
	return x509_fingerprint(root, record->root_sha256) ? HM_OK : hm_broken(why, "no SHA-256");
}

static hm_result check_import(struct record *record, const char *directory, struct hm_problem *why)
{
	int version;
	int64_t begun, ended;
	json_t *custodians;
	const char *made_by, *of, *text_begun, *text_ended, *sha256;
	if (json_unpack_ex(record->import, NULL, JSON_STRICT, "{s:i, s:s, s:s, s:s, s:s, s:o, s:s}",
		    "hsmint_ceremony_import", &version, "made_by", &made_by, "record_sha256", &of, "begun", &text_begun,
		    "ended", &text_ended, "custodians", &custodians, "chain_sha256", &sha256) < 0 ||
		version != 1)
		return hm_refuse(why, "config", NULL, IMPORT_FILE ": not an import of version 1");
	if (strcmp(of, record->sha256) != 0)
		return hm_refuse(why, "config", NULL, IMPORT_FILE ": it belongs to another record");
	if (!time_read(text_begun, &begun) || !time_read(text_ended, &ended) || begun < record->ended ||
		!custodians_are_sound(custodians, begun, ended))
		return refuse_form(why, IMPORT_FILE, "a time, or custodians,");
	return check_chain_file(record, directory, sha256, ended, why);
}

static bool exists(const char *directory, const char *file)
{
	char path[HM_PATH_MAX];
	struct hm_problem unused;
	return record_path(directory, file, path, &unused) == HM_OK && access(path, F_OK) == 0;
}

static hm_result read_import(const char *directory, struct record *record, struct hm_problem *why)
{
	static char text[HM_CEREMONY_DOCUMENT_MAX + 1];
	size_t length;
	if (!exists(directory, IMPORT_FILE) && !exists(directory, IMPORT_SIGNATURE) && !exists(directory, CHAIN_FILE))
		return HM_OK;
	HM_TRY(read_document(directory, IMPORT_FILE, text, &length, &record->import, why));
	HM_TRY(check_signature(record, directory, CEREMONY_IMPORT, IMPORT_SIGNATURE, text, length, why));
	return check_import(record, directory, why);
}

hm_result record_read(const char *directory, struct record *record, struct hm_problem *why)
{
	*record = (struct record){.json = NULL};
	HM_TRY(read_record(directory, record, why));
	return read_import(directory, record, why);
}
