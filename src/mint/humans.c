/* SPDX-License-Identifier: Apache-2.0 */
#include "humans.h"

#include "base64url.h"
#include "file.h"
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

static hm_result put_path(const char *state, const char *name, char path[HM_PATH_MAX], struct hm_problem *why)
{
	uint8_t hash[32];
	char file[COMMITMENT_MAX + 1];
	if (EVP_Digest(name, strlen(name), hash, NULL, EVP_sha256(), NULL) != 1)
		return hm_broken(why, "SHA-256 failed");
	file[base64url_encode(hash, sizeof hash, file)] = 0;
	if (snprintf(path, HM_PATH_MAX, "%s/salts/%s", state, file) >= HM_PATH_MAX)
		return hm_unavailable(why, "ledger_unavailable", "%s: path too long", state);
	return HM_OK;
}

static hm_result read_salt(const char *path, uint8_t salt[SALT_BYTES], struct hm_problem *why)
{
	struct hm_problem fault;
	size_t length;
	if (file_read(path, true, salt, SALT_BYTES, &length, &fault) != HM_OK)
		return hm_unavailable(why, "ledger_unavailable", "%s", fault.detail);
	if (length != SALT_BYTES)
		return hm_unavailable(why, "ledger_unavailable", "%s: not %d bytes", path, SALT_BYTES);
	return HM_OK;
}

static hm_result make_salt(const char *state, const char *path, uint8_t salt[SALT_BYTES], struct hm_problem *why)
{
	char directory[HM_PATH_MAX];
	struct hm_problem fault;
	if (getrandom(salt, SALT_BYTES, 0) != SALT_BYTES)
		return hm_broken(why, "getrandom gave too little");
	if (snprintf(directory, sizeof directory, "%s/salts", state) >= (int)sizeof directory ||
		file_make_directory(directory, &fault) != HM_OK ||
		file_replace(path, salt, SALT_BYTES, 0600, &fault) != HM_OK)
		return hm_unavailable(why, "ledger_unavailable", "a salt cannot be kept: %s", fault.detail);
	return HM_OK;
}

static hm_result commit(
	const uint8_t salt[SALT_BYTES], const char *name, char text[COMMITMENT_MAX + 1], struct hm_problem *why)
{
	uint8_t hash[32];
	if (!HMAC(EVP_sha256(), salt, SALT_BYTES, (const unsigned char *)name, strlen(name), hash, NULL))
		return hm_broken(why, "HMAC failed");
	text[base64url_encode(hash, sizeof hash, text)] = 0;
	return HM_OK;
}

static hm_result find_or_make(const char *state, const char *name, uint8_t salt[SALT_BYTES],
	char commitment[COMMITMENT_MAX + 1], struct hm_problem *why)
{
	char path[HM_PATH_MAX];
	HM_TRY(put_path(state, name, path, why));
	if (access(path, F_OK) < 0 && errno == ENOENT)
		HM_TRY(make_salt(state, path, salt, why));
	else
		HM_TRY(read_salt(path, salt, why));
	return commit(salt, name, commitment, why);
}

hm_result humans_commit(
	const char *state, const char *name, char commitment[COMMITMENT_MAX + 1], struct hm_problem *why)
{
	uint8_t salt[SALT_BYTES];
	hm_result result = find_or_make(state, name, salt, commitment, why);
	OPENSSL_cleanse(salt, sizeof salt);
	return result;
}

static hm_result add(const char *state, const char *name, struct humans *humans, struct hm_problem *why)
{
	char *commitment = humans->items[humans->count].commitment;
	HM_TRY(find_or_make(state, name, humans->items[humans->count].salt, commitment, why));
	for (unsigned i = 0; i < humans->count; i++)
		if (strcmp(humans->items[i].commitment, commitment) == 0)
			return HM_OK;
	humans->count++;
	return HM_OK;
}

hm_result humans_find(const char *state, const struct config_profile *profile, const struct mint_request *request,
	struct humans *humans, struct hm_problem *why)
{
	*humans = (struct humans){.count = 0};
	if (request->delegation && delegation_is_of_person(request->delegation)) {
		HM_TRY(add(state, request->delegation->sub, humans, why));
		humans->in_claims = true; /* as `sub` */
	}
	for (unsigned i = 0; i < profile->humans_count; i++) {
		const char *context = json_string_value(json_object_get(request->context, profile->humans[i]));
		const char *claim = json_string_value(json_object_get(request->claims, profile->humans[i]));
		if (context)
			HM_TRY(add(state, context, humans, why));
		if (claim)
			HM_TRY(add(state, claim, humans, why));
		humans->in_claims |= claim != NULL;
	}
	return HM_OK;
}

bool humans_name(const struct config_profile *profile, const char *member)
{
	for (unsigned i = 0; i < profile->humans_count; i++)
		if (strcmp(profile->humans[i], member) == 0)
			return true;
	return false;
}

hm_result humans_hash(const struct humans *humans, const void *data, size_t length, char text[COMMITMENT_MAX + 1],
	struct hm_problem *why)
{
	uint8_t key[HM_HUMANS_MAX * SALT_BYTES], hash[32];
	for (unsigned i = 0; i < humans->count; i++)
		memcpy(key + (size_t)i * SALT_BYTES, humans->items[i].salt, SALT_BYTES);
	const void *done = HMAC(EVP_sha256(), key, (int)humans->count * SALT_BYTES, data, length, hash, NULL);
	OPENSSL_cleanse(key, sizeof key);
	if (!done)
		return hm_broken(why, "HMAC failed");
	text[base64url_encode(hash, sizeof hash, text)] = 0;
	return HM_OK;
}

hm_result humans_forget(
	const char *state, const char *name, char commitment[COMMITMENT_MAX + 1], struct hm_problem *why)
{
	char path[HM_PATH_MAX];
	uint8_t salt[SALT_BYTES];
	HM_TRY(put_path(state, name, path, why));
	if (access(path, F_OK) < 0)
		return hm_refuse(why, "unknown_human", "human", "a name as it stood in a request");
	HM_TRY(read_salt(path, salt, why));
	HM_TRY(commit(salt, name, commitment, why));
	OPENSSL_cleanse(salt, sizeof salt);
	return file_remove(path, why);
}
