/* SPDX-License-Identifier: Apache-2.0 */
#include "identity.h"

#include <openssl/evp.h>
#include <string.h>

enum { PARTS_MAX = HM_SPIFFE_ID_MAX + 4 * HM_TENANT_MAX + 4 * HM_NAME_MAX + 64 };

/* What is hashed has a length before each part, so that no two lists of parts read alike. */
static hm_result hash(const struct hm_writer *parts, struct identity *out, struct hm_problem *why)
{
	if (parts->failed || EVP_Digest(parts->data, parts->used, out->bytes, NULL, EVP_sha256(), NULL) != 1)
		return hm_broken(why, "no hash of %zu bytes", parts->used);
	return HM_OK;
}

hm_result identity_of_caller(const struct gate_caller *caller, struct identity *out, struct hm_problem *why)
{
	uint8_t room[PARTS_MAX];
	struct hm_writer parts = hm_writer(room, sizeof room);
	hm_put_u8(&parts, caller->kind);
	if (caller->kind == CALLER_UNIX)
		hm_put_u32(&parts, caller->uid);
	else if (caller->uri[0]) /* it outlasts the key, which is renewed */
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

uint64_t identity_number(const struct identity *identity)
{
	uint64_t number;
	memcpy(&number, identity->bytes, sizeof number);
	return number;
}
