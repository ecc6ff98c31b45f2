/* SPDX-License-Identifier: Apache-2.0 */
#include "key.h"

#include "custody.h"
#include "jwk.h"
#include "public_key.h"
#include <openssl/x509.h>
#include <string.h>

enum { ID_MAX = 256, CURVE_MAX = 64, RSA_BITS_GENERATED = 3072 };

/* ---- finding objects ---- */

static hm_result search(const struct module *module, CK_SESSION_HANDLE session, CK_ATTRIBUTE *template, CK_ULONG count,
	CK_OBJECT_HANDLE found[2], CK_ULONG *found_count, struct token_failure *why)
{
	TRY_CALL(why, module->calls, C_FindObjectsInit, session, template, count);
	CK_RV ckr = module->calls->C_FindObjects(session, found, 2, found_count);
	CK_RV ended = module->calls->C_FindObjectsFinal(session);
	if (ckr != CKR_OK)
		return fail_call(why, "C_FindObjects", ckr);
	return ended == CKR_OK ? HM_OK : fail_call(why, "C_FindObjectsFinal", ended);
}

/* Exactly one object of this class with the configured label and, when given, `id`. */
static hm_result find_one(const struct module *module, CK_SESSION_HANDLE session, CK_OBJECT_CLASS class,
	const struct token_key_config *config, const uint8_t *id, CK_ULONG id_length, CK_OBJECT_HANDLE *object,
	struct token_failure *why)
{
	const char *what = class == CKO_PRIVATE_KEY ? "private" : "public";
	CK_OBJECT_HANDLE found[2];
	CK_ULONG count = 0;
	CK_ATTRIBUTE template[3] = {{CKA_CLASS, &class, sizeof class}};
	CK_ULONG wanted = 1;
	if (config->label[0])
		template[wanted++] = (CK_ATTRIBUTE){CKA_LABEL, (void *)config->label, strlen(config->label)};
	if (id_length)
		template[wanted++] = (CK_ATTRIBUTE){CKA_ID, (void *)id, id_length};
	HM_TRY(search(module, session, template, wanted, found, &count, why));
	if (count != 1)
		return fail(why, count ? TOKEN_CUSTODY : TOKEN_ABSENT, "key %s: %s %s key is labelled '%s'%s",
			config->name, count ? "more than one" : "no", what, config->label,
			id_length ? " and has its id" : "");
	*object = found[0];
	return HM_OK;
}

/* ---- the public half ---- */

/* The public key shares the private one's id; that it is its other half, the first signature shows. */
static hm_result read_public(const struct module *module, CK_SESSION_HANDLE session, struct key *key,
	CK_OBJECT_HANDLE *handle, struct token_failure *why)
{
	struct hm_problem problem;
	struct jwk jwk;
	uint8_t id[ID_MAX] = {0};
	uint8_t *spki = key->shown.spki;
	CK_ULONG id_length = sizeof id;
	const char *name = key->config->name;
	HM_TRY(module_attribute(module, session, key->handle, CKA_ID, id, &id_length, why));
	HM_TRY(find_one(module, session, CKO_PUBLIC_KEY, key->config, id, id_length, handle, why));
	HM_TRY(public_key_read(module, session, *handle, key->config, &key->public, why));
	int length = i2d_PUBKEY(key->public, NULL);
	if (length <= 0 || (size_t)length > sizeof key->shown.spki || i2d_PUBKEY(key->public, &spki) != length)
		return fail(why, TOKEN_CUSTODY, "key %s: its public key has no DER of at most %zu bytes", name,
			sizeof key->shown.spki);
	key->shown.spki_length = (uint32_t)length;
	if (jwk_from_spki(key->shown.spki, key->shown.spki_length, &jwk, &problem) != HM_OK)
		return fail(why, TOKEN_CUSTODY, "key %s: %s", name, problem.detail);
	memcpy(key->shown.kid, jwk.kid, sizeof key->shown.kid);
	key->signature_length = jwk.signature_length;
	return HM_OK;
}

/* ---- the private half ---- */

static bool is_curve(const uint8_t *value, CK_ULONG length, struct hm_bytes curve)
{
	return curve.length && length == curve.length && memcmp(value, curve.data, length) == 0;
}

/* SoftHSM does not check a key's type against the mechanism, and can crash: so do we, before the first use. */
static hm_result check_type(
	const struct module *module, CK_SESSION_HANDLE session, const struct key *key, struct token_failure *why)
{
	const struct algorithm *algorithm = key->algorithm;
	CK_KEY_TYPE type = CK_UNAVAILABLE_INFORMATION;
	uint8_t curve[CURVE_MAX];
	CK_ULONG length = sizeof type, curve_length = sizeof curve;
	const char *name = key->config->name, *wants = key_algorithm_name(key->config->algorithm);
	HM_TRY(module_attribute(module, session, key->handle, CKA_KEY_TYPE, &type, &length, why));
	if (type != algorithm->type)
		return fail(why, TOKEN_CUSTODY, "key %s: CKA_KEY_TYPE is 0x%lx: %s needs %s", name, type, wants,
			algorithm->type_name);
	if (algorithm->is_rsa)
		return HM_OK;
	HM_TRY(module_attribute(module, session, key->handle, CKA_EC_PARAMS, curve, &curve_length, why));
	if (!is_curve(curve, curve_length, algorithm->curve) && !is_curve(curve, curve_length, algorithm->other))
		return fail(
			why, TOKEN_CUSTODY, "key %s: CKA_EC_PARAMS: %s needs %s", name, wants, algorithm->type_name);
	return HM_OK;
}

hm_result key_find(const struct module *module, CK_SESSION_HANDLE session, const struct token_key_config *config,
	uint32_t waived, struct key *key, struct token_failure *why)
{
	const struct algorithm *algorithm = algorithm_of(config->algorithm);
	*key = (struct key){.config = config, .algorithm = algorithm};
	if (algorithm->hash && !(key->hash = EVP_MD_fetch(NULL, algorithm->hash, NULL)))
		return fail(why, TOKEN_DEVICE, "key %s: no %s", config->name, algorithm->hash);
	HM_TRY(find_one(module, session, CKO_PRIVATE_KEY, config, config->id, config->id_length, &key->handle, why));
	HM_TRY(check_type(module, session, key, why));
	HM_TRY(algorithm_choose(module, config, &key->mechanism, &key->by_token, why));
	HM_TRY(custody_check(module, session, key->handle, config, waived, &key->shown, why));
	key->shown.mechanism = key->mechanism;
	key->shown.by_token = key->by_token;
	CK_OBJECT_HANDLE public = CK_INVALID_HANDLE;
	return read_public(module, session, key, &public, why);
}

bool key_hash_in_token(const struct module *module, struct key *key)
{
	if (key->by_token || key->config->hash != KEY_HASH_AUTO ||
		!algorithm_is_there(module, key->algorithm->of_bytes))
		return false;
	key->shown.mechanism = key->mechanism = key->algorithm->of_bytes;
	key->shown.by_token = key->by_token = true;
	return true;
}

void key_close(struct key *key)
{
	EVP_PKEY_free(key->public);
	EVP_MD_free(key->hash);
	*key = (struct key){.config = NULL};
}

/* ---- generation ---- */

/* The public half's template says what is generated. */
static CK_ULONG put_size(const struct algorithm *algorithm, const CK_ULONG *bits, CK_ATTRIBUTE *attributes)
{
	static const uint8_t f4[] = {0x01, 0x00, 0x01};
	if (!algorithm->is_rsa) {
		attributes[0] = (CK_ATTRIBUTE){CKA_EC_PARAMS, (void *)algorithm->curve.data, algorithm->curve.length};
		return 1;
	}
	attributes[0] = (CK_ATTRIBUTE){CKA_MODULUS_BITS, (void *)bits, sizeof *bits};
	attributes[1] = (CK_ATTRIBUTE){CKA_PUBLIC_EXPONENT, (void *)f4, sizeof f4};
	return 2;
}

static bool is_about_template(CK_RV ckr)
{
	return ckr == CKR_ATTRIBUTE_TYPE_INVALID || ckr == CKR_ATTRIBUTE_VALUE_INVALID ||
	       ckr == CKR_ATTRIBUTE_READ_ONLY || ckr == CKR_TEMPLATE_INCONSISTENT || ckr == CKR_TEMPLATE_INCOMPLETE;
}

hm_result key_generate(const struct module *module, CK_SESSION_HANDLE session, const struct token_key_config *config,
	struct token_failure *why)
{
	const struct algorithm *algorithm = algorithm_of(config->algorithm);
	CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
	CK_ULONG bits = RSA_BITS_GENERATED, count = 0;
	CK_MECHANISM mechanism = {algorithm->generate, NULL, 0};
	CK_OBJECT_HANDLE found[2], public, private;
	CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
	CK_ATTRIBUTE label = {CKA_LABEL, (void *)config->label, strlen(config->label)};
	CK_ATTRIBUTE id = {CKA_ID, (void *)config->id, config->id_length};
	CK_ATTRIBUTE taken[] = {{CKA_CLASS, &class, sizeof class}, label, id};

	/* A module's defaults leave too much allowed: every right of the private half is written down. What the public
	 * half may do is up to the module: anybody can do it elsewhere, and tpm2-pkcs11 1.9 takes no word on it. */
	enum { PUBLIC_COMMON = 4 };
	CK_ATTRIBUTE public_template[PUBLIC_COMMON + 2] = {
		{CKA_TOKEN, &yes, sizeof yes}, {CKA_PRIVATE, &no, sizeof no}, label, id};
	CK_ATTRIBUTE private_template[] = {{CKA_TOKEN, &yes, sizeof yes}, {CKA_PRIVATE, &yes, sizeof yes},
		{CKA_SENSITIVE, &yes, sizeof yes}, {CKA_EXTRACTABLE, &no, sizeof no}, {CKA_SIGN, &yes, sizeof yes},
		{CKA_SIGN_RECOVER, &no, sizeof no}, {CKA_DECRYPT, &no, sizeof no}, {CKA_UNWRAP, &no, sizeof no},
		{CKA_DERIVE, &no, sizeof no}, label, id, {CKA_MODIFIABLE, &no, sizeof no}};
	enum { PRIVATE_COUNT = sizeof private_template / sizeof *private_template };

	HM_TRY(search(module, session, taken, config->id_length ? 3 : 2, found, &count, why));
	if (count)
		return fail(why, TOKEN_PERMANENT, "key %s: a key labelled '%s' exists already", config->name,
			config->label);
	CK_ULONG more = put_size(algorithm, &bits, public_template + PUBLIC_COMMON);
	CK_RV ckr = module->calls->C_GenerateKeyPair(session, &mechanism, public_template, PUBLIC_COMMON + more,
		private_template, PRIVATE_COUNT, &public, &private);
	if (is_about_template(ckr)) /* not every module has keys that cannot be changed */
		ckr = module->calls->C_GenerateKeyPair(session, &mechanism, public_template, PUBLIC_COMMON + more,
			private_template, PRIVATE_COUNT - 1, &public, &private);
	return ckr == CKR_OK ? HM_OK : fail_call(why, "C_GenerateKeyPair", ckr);
}

/* ---- destruction ---- */

static hm_result destroy(const struct module *module, CK_SESSION_HANDLE session, struct key *key, const char *kid,
	struct token_failure *why)
{
	CK_OBJECT_HANDLE public = CK_INVALID_HANDLE;
	HM_TRY(find_one(module, session, CKO_PRIVATE_KEY, key->config, key->config->id, key->config->id_length,
		&key->handle, why));
	HM_TRY(read_public(module, session, key, &public, why));
	if (strcmp(key->shown.kid, kid) != 0)
		return fail(why, TOKEN_REFUSED, "key %s: the key labelled '%s' has kid %s, not %s", key->config->name,
			key->config->label, key->shown.kid, kid);
	TRY_CALL(why, module->calls, C_DestroyObject, session, key->handle); /* first what must not be left */
	TRY_CALL(why, module->calls, C_DestroyObject, session, public);
	return HM_OK;
}

hm_result key_destroy(const struct module *module, CK_SESSION_HANDLE session, const struct token_key_config *config,
	const char *kid, struct token_failure *why)
{
	struct key key = {.config = config, .algorithm = algorithm_of(config->algorithm)};
	hm_result result = destroy(module, session, &key, kid, why);
	key_close(&key);
	return result;
}
