/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger_credential.h"

#include "base64url.h"
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HASH_BYTES = 32 };

/* ---- reading a JWT ---- */

static hm_result read_text(const char *file, char text[HM_JWT_MAX + 1], struct hm_problem *why)
{
	FILE *in = strcmp(file, "-") == 0 ? stdin : fopen(file, "re");
	if (!in)
		return hm_refuse(why, "ledger", NULL, "%s: %s", file, strerror(errno));
	size_t length = fread(text, 1, HM_JWT_MAX, in);
	bool is_whole = !ferror(in) && (length < HM_JWT_MAX || fgetc(in) == EOF);
	if (in != stdin)
		fclose(in);
	text[length] = 0;
	while (length && (text[length - 1] == '\n' || text[length - 1] == '\r' || text[length - 1] == ' '))
		text[--length] = 0;
	return is_whole ? HM_OK : hm_refuse(why, "ledger", NULL, "%s: cannot be read, or is too long for a JWT", file);
}

static json_t *read_claims(const char *text, size_t length)
{
	uint8_t json[HM_JWT_PAYLOAD_MAX];
	size_t size = base64url_decode(text, length, json, sizeof json);
	return size == SIZE_MAX ? NULL : json_loadb((const char *)json, size, JSON_REJECT_DUPLICATES, NULL);
}

hm_result ledger_credential_read(const char *file, struct ledger_credential *credential, struct hm_problem *why)
{
	credential->claims = NULL;
	HM_TRY(read_text(file, credential->text, why));
	const char *payload = strchr(credential->text, '.');
	const char *signature = payload ? strchr(payload + 1, '.') : NULL;
	if (!signature || strchr(signature + 1, '.'))
		return hm_refuse(why, "ledger", NULL, "%s: is not a JWT: header, payload and signature", file);
	credential->tbs_length = (size_t)(signature - credential->text);
	credential->claims = read_claims(payload + 1, (size_t)(signature - payload - 1));
	credential->id = json_string_value(json_object_get(credential->claims, "jti"));
	if (!credential->id)
		return hm_refuse(why, "ledger", NULL, "%s: its payload has no jti", file);
	return HM_OK;
}

void ledger_credential_free(struct ledger_credential *credential)
{
	json_decref(credential->claims);
	explicit_bzero(credential, sizeof *credential);
}

/* ---- comparing with an entry ---- */

static bool is_base64url(struct hm_bytes value, const uint8_t hash[HASH_BYTES])
{
	char text[64];
	struct hm_bytes found;
	size_t length = base64url_encode(hash, HASH_BYTES, text);
	return entry_string(value, &found) && found.length == length && memcmp(found.data, text, length) == 0;
}

bool ledger_is_human(struct hm_bytes commitment, const struct ledger_human *human)
{
	uint8_t hash[HASH_BYTES];
	return HMAC(EVP_sha256(), human->salt, sizeof human->salt, (const uint8_t *)human->name, strlen(human->name),
		       hash, NULL) &&
	       is_base64url(commitment, hash);
}

static bool is_hmac(
	struct hm_bytes value, const struct ledger_humans *humans, const struct ledger_credential *credential)
{
	uint8_t salts[HM_HUMANS_MAX * sizeof humans->people->salt], hash[HASH_BYTES];
	size_t used = 0;
	for (unsigned i = 0; i < humans->count; i++, used += sizeof humans->people->salt)
		memcpy(salts + used, humans->people[i].salt, sizeof humans->people->salt);
	bool is_made = HMAC(EVP_sha256(), salts, (int)used, (const uint8_t *)credential->text, credential->tbs_length,
			       hash, NULL) != NULL;
	explicit_bzero(salts, sizeof salts);
	return is_made && is_base64url(value, hash);
}

bool ledger_is_about(
	const struct entry *entry, const struct ledger_humans *humans, const struct ledger_credential *credential)
{
	uint8_t hash[HASH_BYTES];
	if (entry->members[ENTRY_TBS_HMAC].data)
		return humans->count && is_hmac(entry->members[ENTRY_TBS_HMAC], humans, credential);
	return EVP_Digest(credential->text, credential->tbs_length, hash, NULL, EVP_sha256(), NULL) == 1 &&
	       is_base64url(entry->members[ENTRY_TBS], hash);
}
