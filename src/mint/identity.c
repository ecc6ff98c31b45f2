/* SPDX-License-Identifier: Apache-2.0 */
#include "identity.h"

#include "base64url.h"
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

enum { PARTS_MAX = HM_SPIFFE_ID_MAX + 4 * HM_TENANT_MAX + 4 * HM_NAME_MAX + 64 };

/* What is hashed has a length before each part, so that no two lists of parts read alike. */
static hm_result hash(const struct hm_writer *parts, struct identity *out, struct hm_problem *why)
{
	if (parts->failed || EVP_Digest(parts->data, parts->used, out->bytes, NULL, EVP_sha256(), NULL) != 1)
		return hm_broken(why, "no hash of %zu bytes", parts->used);
	return HM_OK;
}

/* Callers that are known by their keys may well have one URI name in their certificates. */
static bool is_known_by_uri(const struct config *config, const char *uri)
{
	for (unsigned i = 0; i < config->callers_count; i++)
		if (config->callers[i].uri && strcmp(config->callers[i].uri, uri) == 0)
			return true;
	return false;
}

hm_result identity_of_caller(
	const struct config *config, const struct gate_caller *caller, struct identity *out, struct hm_problem *why)
{
	uint8_t room[PARTS_MAX];
	struct hm_writer parts = hm_writer(room, sizeof room);
	hm_put_u8(&parts, caller->kind);
	if (caller->kind == CALLER_UNIX)
		hm_put_u32(&parts, caller->uid);
	else if (is_known_by_uri(config, caller->uri)) /* it outlasts the key, which is renewed */
		hm_put_string(&parts, caller->uri);
	else
		hm_put_raw(&parts, caller->spki_sha256, sizeof caller->spki_sha256);
	return hash(&parts, out, why);
}

hm_result identity_of_key(const struct identity *caller, const char *key, struct identity *out, struct hm_problem *why)
{
	uint8_t room[PARTS_MAX];
	struct hm_writer parts = hm_writer(room, sizeof room);
	hm_put_raw(&parts, caller->bytes, sizeof caller->bytes);
	hm_put_string(&parts, key);
	return hash(&parts, out, why);
}

/* The hash of what was there before and of one text more. */
static hm_result add(struct identity *identity, const char *text, struct hm_problem *why)
{
	uint8_t room[PARTS_MAX];
	struct hm_writer parts = hm_writer(room, sizeof room);
	hm_put_raw(&parts, identity->bytes, sizeof identity->bytes);
	hm_put_string(&parts, text ? text : "");
	return hash(&parts, identity, why);
}

hm_result identity_of_terms(const struct decision *decision, struct identity *out, struct hm_problem *why)
{
	const struct config_profile *profile = decision->profile;
	char numbers[64];
	*out = (struct identity){{0}};
	snprintf(numbers, sizeof numbers, "%d %u", (int)profile->kind, decision->backdate);
	const char *const texts[] = {decision->issuer->url, decision->caller->name, profile->name, numbers};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		HM_TRY(add(out, texts[i], why));
	for (unsigned i = 0; i < profile->claims_count; i++) {
		if (!profile->claims[i].constant)
			continue;
		snprintf(numbers, sizeof numbers, "%d", (int)profile->claims[i].type);
		HM_TRY(add(out, profile->claims[i].name, why));
		HM_TRY(add(out, numbers, why));
		HM_TRY(add(out, profile->claims[i].constant, why));
	}
	return HM_OK;
}

hm_result identity_of_words(const char *kind, const char *first, const char *second, const char *third,
	struct identity *out, struct hm_problem *why)
{
	uint8_t room[PARTS_MAX];
	struct hm_writer parts = hm_writer(room, sizeof room);
	const char *const words[] = {kind, first, second, third};
	for (size_t i = 0; i < sizeof words / sizeof *words && words[i]; i++)
		hm_put_string(&parts, words[i]);
	return hash(&parts, out, why);
}

void identity_text(const struct identity *identity, char text[IDENTITY_TEXT_MAX + 1])
{
	text[base64url_encode(identity->bytes, sizeof identity->bytes, text)] = 0;
}

uint64_t identity_number(const struct identity *identity)
{
	uint64_t number;
	memcpy(&number, identity->bytes, sizeof number);
	return number;
}
