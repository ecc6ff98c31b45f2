/* SPDX-License-Identifier: Apache-2.0 */
#include "key.h"

#include "custody.h"
#include "jwk.h"
#include <openssl/x509.h>
#include <string.h>

enum { POINT = 65, POINT_DER = 2 + POINT, ID_MAX = 256 };

/* RFC 5480, section 2.1.1.1: the object identifier of P-256, in DER. */
static const uint8_t p256[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};

/* What stands before an uncompressed P-256 point in a DER SubjectPublicKeyInfo (RFC 5480, section 2). */
static const uint8_t p256_spki[] = {0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06,
	0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00};

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
	CK_ATTRIBUTE template[] = {{CKA_CLASS, &class, sizeof class},
		{CKA_LABEL, (void *)config->label, strlen(config->label)}, {CKA_ID, (void *)id, id_length}};
	HM_TRY(search(module, session, template, id_length ? 3 : 2, found, &count, why));
	if (count != 1)
		return fail(why, TOKEN_CUSTODY, "key %s: %s %s key is labelled '%s'%s", config->name,
			count ? "more than one" : "no", what, config->label, id_length ? " and has its id" : "");
	*object = found[0];
	return HM_OK;
}

static hm_result read_attribute(const struct module *module, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
	CK_ATTRIBUTE_TYPE type, void *value, CK_ULONG *length, struct token_failure *why)
{
	CK_ATTRIBUTE attribute = {type, value, *length};
	TRY_CALL(why, module->calls, C_GetAttributeValue, session, object, &attribute, 1);
	if (attribute.ulValueLen > *length) /* some modules say so of what they do not tell, with CKR_OK */
		return fail_call(why, "C_GetAttributeValue", CKR_ATTRIBUTE_TYPE_INVALID);
	*length = attribute.ulValueLen;
	return HM_OK;
}

/* ---- the public half ---- */

/* CKA_EC_POINT is the point in an OCTET STRING; some modules leave that out. */
static const uint8_t *unwrap_point(const uint8_t *value, CK_ULONG length)
{
	if (length == POINT_DER && value[0] == 0x04 && value[1] == POINT)
		return value + 2;
	return length == POINT ? value : NULL;
}

static hm_result take_point(struct key *key, const uint8_t *value, CK_ULONG length, struct token_failure *why)
{
	struct hm_problem problem;
	char members[256];
	const uint8_t *point = unwrap_point(value, length);
	if (!point)
		return fail(why, TOKEN_CUSTODY, "key %s: CKA_EC_POINT of %lu bytes", key->config->name, length);
	memcpy(key->shown.spki, p256_spki, sizeof p256_spki);
	memcpy(key->shown.spki + sizeof p256_spki, point, POINT);
	key->shown.spki_length = sizeof p256_spki + POINT;
	if (jwk_from_spki(key->shown.spki, key->shown.spki_length, members, sizeof members, key->shown.kid, &problem) !=
		HM_OK)
		return fail(why, TOKEN_CUSTODY, "key %s: %s", key->config->name, problem.detail);
	const uint8_t *der = key->shown.spki;
	key->public = d2i_PUBKEY(NULL, &der, key->shown.spki_length);
	return key->public ? HM_OK : fail(why, TOKEN_DEVICE, "key %s: no memory", key->config->name);
}

/* The public key shares the private one's id; that it is its other half, the first signature shows. */
static hm_result read_public(
	const struct module *module, CK_SESSION_HANDLE session, struct key *key, struct token_failure *why)
{
	uint8_t id[ID_MAX] = {0}, point[POINT_DER + 8] = {0};
	CK_ULONG id_length = sizeof id, point_length = sizeof point;
	CK_OBJECT_HANDLE public = CK_INVALID_HANDLE;
	HM_TRY(read_attribute(module, session, key->handle, CKA_ID, id, &id_length, why));
	HM_TRY(find_one(module, session, CKO_PUBLIC_KEY, key->config, id, id_length, &public, why));
	HM_TRY(read_attribute(module, session, public, CKA_EC_POINT, point, &point_length, why));
	return take_point(key, point, point_length, why);
}

/* ---- the private half ---- */

/* SoftHSM does not check a key's type against the mechanism, and can crash: so do we, before the first use. */
static hm_result check_type(
	const struct module *module, CK_SESSION_HANDLE session, const struct key *key, struct token_failure *why)
{
	CK_KEY_TYPE type = CK_UNAVAILABLE_INFORMATION;
	CK_MECHANISM_INFO info;
	uint8_t curve[64];
	CK_ULONG length = sizeof type, curve_length = sizeof curve;
	const char *name = key->config->name;
	HM_TRY(read_attribute(module, session, key->handle, CKA_KEY_TYPE, &type, &length, why));
	if (type != CKK_EC)
		return fail(why, TOKEN_CUSTODY, "key %s: CKA_KEY_TYPE is 0x%lx: ES256 needs an EC key", name, type);
	HM_TRY(read_attribute(module, session, key->handle, CKA_EC_PARAMS, curve, &curve_length, why));
	if (curve_length != sizeof p256 || memcmp(curve, p256, sizeof p256) != 0)
		return fail(why, TOKEN_CUSTODY, "key %s: CKA_EC_PARAMS: ES256 needs a key on P-256", name);
	CK_RV ckr = module->calls->C_GetMechanismInfo(module->slot, CKM_ECDSA, &info);
	if (ckr != CKR_OK || !(info.flags & CKF_SIGN))
		return fail(why, TOKEN_PERMANENT, "key %s: the token does not sign with CKM_ECDSA", name);
	return HM_OK;
}

hm_result key_find(const struct module *module, CK_SESSION_HANDLE session, const struct token_key_config *config,
	struct key *key, struct token_failure *why)
{
	*key = (struct key){.config = config, .hash = EVP_MD_fetch(NULL, "SHA256", NULL)};
	if (!key->hash)
		return fail(why, TOKEN_DEVICE, "key %s: no SHA-256", config->name);
	HM_TRY(find_one(module, session, CKO_PRIVATE_KEY, config, config->id, config->id_length, &key->handle, why));
	HM_TRY(check_type(module, session, key, why));
	HM_TRY(custody_check(module, session, key->handle, config->name, why));
	return read_public(module, session, key, why);
}

void key_close(struct key *key)
{
	EVP_PKEY_free(key->public);
	EVP_MD_free(key->hash);
}

/* ---- generation ---- */

hm_result key_generate(const struct module *module, CK_SESSION_HANDLE session, const struct token_key_config *config,
	struct token_failure *why)
{
	CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
	CK_MECHANISM mechanism = {CKM_EC_KEY_PAIR_GEN, NULL, 0};
	CK_OBJECT_HANDLE found[2], public, private;
	CK_ULONG count = 0;
	CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
	CK_ATTRIBUTE label = {CKA_LABEL, (void *)config->label, strlen(config->label)};
	CK_ATTRIBUTE id = {CKA_ID, (void *)config->id, config->id_length};
	CK_ATTRIBUTE taken[] = {{CKA_CLASS, &class, sizeof class}, label, id};

	/* A module's defaults leave too much allowed: every right is written down. */
	CK_ATTRIBUTE public_template[] = {{CKA_TOKEN, &yes, sizeof yes}, {CKA_PRIVATE, &no, sizeof no},
		{CKA_EC_PARAMS, (void *)p256, sizeof p256}, {CKA_VERIFY, &yes, sizeof yes},
		{CKA_VERIFY_RECOVER, &no, sizeof no}, {CKA_ENCRYPT, &no, sizeof no}, {CKA_WRAP, &no, sizeof no}, label,
		id};
	CK_ATTRIBUTE private_template[] = {{CKA_TOKEN, &yes, sizeof yes}, {CKA_PRIVATE, &yes, sizeof yes},
		{CKA_SENSITIVE, &yes, sizeof yes}, {CKA_EXTRACTABLE, &no, sizeof no}, {CKA_SIGN, &yes, sizeof yes},
		{CKA_SIGN_RECOVER, &no, sizeof no}, {CKA_DECRYPT, &no, sizeof no}, {CKA_UNWRAP, &no, sizeof no},
		{CKA_DERIVE, &no, sizeof no}, label, id};

	HM_TRY(search(module, session, taken, config->id_length ? 3 : 2, found, &count, why));
	if (count)
		return fail(why, TOKEN_PERMANENT, "key %s: a key labelled '%s' exists already", config->name,
			config->label);
	TRY_CALL(why, module->calls, C_GenerateKeyPair, session, &mechanism, public_template,
		sizeof public_template / sizeof *public_template, private_template,
		sizeof private_template / sizeof *private_template, &public, &private);
	return HM_OK;
}
