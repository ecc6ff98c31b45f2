/* SPDX-License-Identifier: Apache-2.0 */
#include "module.h"

#include <dlfcn.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS_MAX = 256 };

static size_t trimmed(const CK_UTF8CHAR *padded, size_t length)
{
	while (length && (padded[length - 1] == ' ' || padded[length - 1] == 0))
		length--;
	return length;
}

hm_result module_attribute(const struct module *module, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
	CK_ATTRIBUTE_TYPE type, void *value, CK_ULONG *length, struct token_failure *why)
{
	CK_ATTRIBUTE attribute = {type, value, *length};
	TRY_CALL(why, module->calls, C_GetAttributeValue, session, object, &attribute, 1);
	if (attribute.ulValueLen > *length) /* some modules say so of what they do not tell, with CKR_OK */
		return fail_call(why, "C_GetAttributeValue", CKR_ATTRIBUTE_TYPE_INVALID);
	*length = attribute.ulValueLen;
	return HM_OK;
}

static bool is_text(const CK_UTF8CHAR *padded, size_t length, const char *text)
{
	length = trimmed(padded, length);
	return length == strlen(text) && memcmp(padded, text, length) == 0;
}

static hm_result set_environment(const struct token_config *config, struct token_failure *why)
{
	for (uint32_t i = 0; i < config->environment_count; i++) {
		char variable[HM_PATH_MAX];
		snprintf(variable, sizeof variable, "%s", config->environment[i]);
		char *equals = strchr(variable, '=');
		if (!equals)
			return fail(why, TOKEN_PERMANENT, "environment: '%s' is not NAME=value", variable);
		*equals = 0;
		if (setenv(variable, equals + 1, 1) < 0)
			return fail(why, TOKEN_PERMANENT, "environment: %s cannot be set", variable);
	}
	return HM_OK;
}

static void close_file(FILE **file)
{
	if (*file)
		fclose(*file);
}

static void free_digest(EVP_MD_CTX **context)
{
	EVP_MD_CTX_free(*context);
}

/* Evidence of what is loaded next, not a guard: who can write the file can also replace it between the two. */
static hm_result hash_file(const char *path, uint8_t sha256[32], struct token_failure *why)
{
	uint8_t part[16 * 1024];
	size_t length;
	__attribute__((cleanup(close_file))) FILE *file = fopen(path, "re");
	__attribute__((cleanup(free_digest))) EVP_MD_CTX *context = EVP_MD_CTX_new();
	if (!file)
		return fail(why, TOKEN_PERMANENT, "module %s: %s", path, strerror(errno));
	bool good = context && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1;
	while (good && (length = fread(part, 1, sizeof part, file)) > 0)
		good = EVP_DigestUpdate(context, part, length) == 1;
	if (!good || ferror(file) || EVP_DigestFinal_ex(context, sha256, NULL) != 1)
		return fail(why, TOKEN_PERMANENT, "module %s cannot be read", path);
	return HM_OK;
}

hm_result module_load(const struct token_config *config, struct module *module, struct token_failure *why)
{
	CK_C_INITIALIZE_ARGS threads = {.flags = CKF_OS_LOCKING_OK};

	HM_TRY(set_environment(config, why));
	HM_TRY(hash_file(config->module, module->sha256, why));
	void *library = dlopen(config->module, RTLD_NOW | RTLD_LOCAL);
	if (!library)
		return fail(why, TOKEN_PERMANENT, "%s", dlerror());
	CK_C_GetFunctionList get_list = (CK_C_GetFunctionList)dlsym(library, "C_GetFunctionList");
	if (!get_list)
		return fail(why, TOKEN_PERMANENT, "%s is not a PKCS#11 module", config->module);
	CK_RV ckr = get_list(&module->calls);
	if (ckr != CKR_OK)
		return fail_call(why, "C_GetFunctionList", ckr);
	TRY_CALL(why, module->calls, C_Initialize, &threads);
	TRY_CALL(why, module->calls, C_GetInfo, &module->library);
	return HM_OK;
}

/* Every slot that holds a token. Asking for the number first makes modules look at their slots anew. */
static hm_result list_slots(
	const struct module *module, CK_SLOT_ID slots[SLOTS_MAX], CK_ULONG *count, struct token_failure *why)
{
	CK_ULONG announced = 0;
	TRY_CALL(why, module->calls, C_GetSlotList, CK_TRUE, NULL, &announced);
	*count = SLOTS_MAX;
	TRY_CALL(why, module->calls, C_GetSlotList, CK_TRUE, slots, count);
	if (*count > SLOTS_MAX)
		return fail(why, TOKEN_PERMANENT, "C_GetSlotList: %lu slots, at most %d", *count, SLOTS_MAX);
	return HM_OK;
}

static bool has_allowed_serial(const CK_TOKEN_INFO *info, const struct token_config *config)
{
	for (uint32_t i = 0; i < config->serial_count; i++)
		if (is_text(info->serialNumber, sizeof info->serialNumber, config->serials[i]))
			return true;
	return config->serial_count == 0;
}

struct search {
	unsigned labelled, found;
};

static void look_at(const struct token_config *config, CK_SLOT_ID slot, struct module *module, struct search *search)
{
	CK_TOKEN_INFO info;
	if (module->calls->C_GetTokenInfo(slot, &info) != CKR_OK)
		return; /* the token went away between the two calls */
	if (!(info.flags & CKF_TOKEN_INITIALIZED) || !is_text(info.label, sizeof info.label, config->label))
		return;
	search->labelled++;
	if (!has_allowed_serial(&info, config))
		return;
	search->found++;
	module->slot = slot;
	module->info = info;
}

static hm_result search_slots(
	const struct token_config *config, struct module *module, struct search *search, struct token_failure *why)
{
	CK_SLOT_ID slots[SLOTS_MAX] = {0};
	CK_ULONG count = 0;
	HM_TRY(list_slots(module, slots, &count, why));
	for (CK_ULONG i = 0; i < count; i++)
		look_at(config, slots[i], module, search);
	return HM_OK;
}

hm_result module_find_token(const struct token_config *config, struct module *module, struct token_failure *why)
{
	struct search search = {0};
	HM_TRY(search_slots(config, module, &search, why));
	if (search.found == 1)
		return HM_OK;
	if (search.found > 1)
		return fail(why, TOKEN_CUSTODY, "%u tokens are labelled '%s': list the serial of the right one",
			search.found, config->label);
	if (search.labelled)
		return fail(
			why, TOKEN_CUSTODY, "the token labelled '%s' has none of the allowed serials", config->label);
	return fail(why, TOKEN_DEVICE, "no token is labelled '%s'", config->label);
}

hm_result module_find_blank(const struct token_config *config, struct module *module, struct token_failure *why)
{
	CK_SLOT_ID slots[SLOTS_MAX] = {0};
	CK_ULONG count = 0;
	struct search search = {0};
	HM_TRY(search_slots(config, module, &search, why));
	if (search.labelled)
		return fail(why, TOKEN_PERMANENT, "a token labelled '%s' exists already", config->label);
	HM_TRY(list_slots(module, slots, &count, why));
	for (CK_ULONG i = 0; i < count; i++) {
		module->slot = slots[i];
		if (module->calls->C_GetTokenInfo(slots[i], &module->info) == CKR_OK &&
			!(module->info.flags & CKF_TOKEN_INITIALIZED))
			return HM_OK;
	}
	return fail(why, TOKEN_PERMANENT, "every slot's token is initialised already");
}

/* ---- what it says of itself ---- */

/* Without the blanks behind it, '?' for what is not printable ASCII; `text` has room for `length` bytes and a NUL. */
static void put_text(const CK_UTF8CHAR *padded, size_t length, char *text)
{
	length = trimmed(padded, length);
	for (size_t i = 0; i < length; i++)
		text[i] = padded[i] >= ' ' && padded[i] <= '~' && padded[i] != '"' ? (char)padded[i] : '?';
	text[length] = 0;
}

static void put_version(const CK_VERSION *version, char *text, size_t size)
{
	snprintf(text, size, "%u.%u", version->major, version->minor);
}

/* At most HM_MECHANISMS_MAX, more are left out. */
static hm_result put_mechanisms(const struct module *module, struct token_ready *ready, struct token_failure *why)
{
	static CK_MECHANISM_TYPE all[4 * HM_MECHANISMS_MAX];
	CK_ULONG length = sizeof all / sizeof *all;
	uint32_t *count = &ready->mechanism_count;
	TRY_CALL(why, module->calls, C_GetMechanismList, module->slot, all, &length);
	for (*count = 0; *count < length && *count < HM_MECHANISMS_MAX; ++*count)
		ready->mechanisms[*count] = all[*count];
	return HM_OK;
}

hm_result module_describe(const struct module *module, struct token_ready *ready, struct token_failure *why)
{
	const CK_TOKEN_INFO *info = &module->info;
	const CK_INFO *library = &module->library;
	put_text(info->manufacturerID, sizeof info->manufacturerID, ready->manufacturer);
	put_text(info->model, sizeof info->model, ready->model);
	put_text(info->serialNumber, sizeof info->serialNumber, ready->serial);
	put_text(library->libraryDescription, sizeof library->libraryDescription, ready->library);
	put_version(&info->firmwareVersion, ready->firmware, sizeof ready->firmware);
	put_version(&info->hardwareVersion, ready->hardware, sizeof ready->hardware);
	put_version(&library->libraryVersion, ready->library_version, sizeof ready->library_version);
	memcpy(ready->module_sha256, module->sha256, sizeof ready->module_sha256);
	return put_mechanisms(module, ready, why);
}
