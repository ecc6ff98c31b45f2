/* SPDX-License-Identifier: Apache-2.0 */
#include "ceremony_held.h"

#include "base64url.h"
#include "ceremony_record.h"
#include "hsmint/client.h"
#include <inttypes.h>
#include <stdio.h>

enum { NUMBER_TEXT = 20 };

static json_t *base64url_json(const uint8_t *data, size_t length)
{
	char text[2 * HM_SPKI_MAX];
	return json_stringn(text, base64url_encode(data, length, text));
}

static json_t *hex_json(const uint8_t *data, size_t length)
{
	char text[HEX_SHA256];
	for (size_t i = 0; i < length; i++)
		snprintf(text + 2 * i, 3, "%02x", data[i]);
	return json_string(text);
}

/* Each attribute's value; CKA_KEY_GEN_MECHANISM is a number of PKCS#11, written as its headers do. */
static json_t *attribute_value(const struct token_key_ready *key, enum custody_attribute which)
{
	char number[NUMBER_TEXT];
	if (key->custody[which] == CUSTODY_NOT_TOLD)
		return json_null();
	if (which != CUSTODY_KEY_GEN_MECHANISM)
		return json_boolean(key->custody[which] == CUSTODY_TRUE);
	snprintf(number, sizeof number, "0x%" PRIx64, key->generated_by);
	return json_string(number);
}

static json_t *evidence_json(const struct token_ready *shown, uint32_t waived)
{
	char number[NUMBER_TEXT];
	json_t *attributes = json_object(), *names = json_array(), *mechanisms = json_array();
	for (enum custody_attribute i = 0; i < CUSTODY_ATTRIBUTES; i++) {
		json_object_set_new(attributes, custody_attribute_name(i), attribute_value(&shown->keys[0], i));
		if (waived & 1u << i)
			json_array_append_new(names, json_string(custody_attribute_name(i)));
	}
	for (uint32_t i = 0; i < shown->mechanism_count; i++) {
		snprintf(number, sizeof number, "0x%" PRIx64, shown->mechanisms[i]);
		json_array_append_new(mechanisms, json_string(number));
	}
	return json_pack("{s:o, s:o, s:s, s:o}", "attributes", attributes, "waived", names, "private_value",
		"unreadable", "mechanisms", mechanisms);
}

static json_t *token_json(const struct ceremony_held *held)
{
	const struct token_ready *shown = &held->shown;
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "name", held->config.name, "label", held->config.label,
		"manufacturer", shown->manufacturer, "model", shown->model, "serial", shown->serial, "hardware",
		shown->hardware, "firmware", shown->firmware);
}

static json_t *module_json(const struct ceremony_held *held)
{
	const struct token_ready *shown = &held->shown;
	return json_pack("{s:s, s:o, s:s, s:s}", "path", held->config.module, "sha256",
		hex_json(shown->module_sha256, sizeof shown->module_sha256), "library", shown->library, "version",
		shown->library_version);
}

static json_t *key_json(const struct ceremony_held *held)
{
	const struct token_key_ready *key = &held->shown.keys[0];
	return json_pack("{s:s, s:o, s:s, s:o, s:s}", "label", held->place.label, "id",
		hex_json(held->place.id, held->place.id_length), "algorithm", key_algorithm_name(held->place.algorithm),
		"spki", base64url_json(key->spki, key->spki_length), "spki_sha256", held->spki_sha256);
}

static json_t *document_json(const struct ceremony_held *held)
{
	const struct ceremony_certificate *wanted = &held->wanted;
	const uint8_t *in = wanted->subject.data;
	char subject[NAME_TEXT];
	X509_NAME *name = d2i_X509_NAME(NULL, &in, (long)wanted->subject.length);
	bool told = name && name_text(name, subject);
	X509_NAME_free(name);
	return told ? json_pack("{s:s, s:s, s:s, s:i, s:s?}", "file", wanted->request ? REQUEST_FILE : CERTIFICATE_FILE,
			      "sha256", held->document_sha256, "subject", subject, "path_length",
			      (int)wanted->path_length, "trust_domain",
			      *wanted->trust_domain ? wanted->trust_domain : NULL)
		    : NULL;
}

json_t *record_make(const struct ceremony_held *held, const uint8_t *test_data, struct hm_bytes test_signature)
{
	char ended[TIME_TEXT];
	time_now(ended);
	json_t *test = json_pack("{s:o, s:o}", "data", base64url_json(test_data, RECORD_TEST_DATA), "signature",
		base64url_json(test_signature.data, test_signature.length));
	return json_pack("{s:i, s:s+, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "hsmint_ceremony", 1,
		"made_by", "hsmint ", hsmint_version(), "kind", held->wanted.request ? "request" : "self-signed",
		"begun", held->begun, "ended", ended, "custodians", custodians_json(&held->custodians), "token",
		token_json(held), "module", module_json(held), "key", key_json(held), "evidence",
		evidence_json(&held->shown, held->config.waived), "test", test, "document", document_json(held));
}
