/* SPDX-License-Identifier: Apache-2.0 */
#include "custody.h"

#include <string.h>

/* CKA_KEY_GEN_MECHANISM of a key that was not generated in the token. */
#define MECHANISM_UNAVAILABLE CK_UNAVAILABLE_INFORMATION

static const struct {
	CK_ATTRIBUTE_TYPE type;
	CK_BBOOL wanted;
	const char *name, *means;
} rules[] = {
	{CKA_TOKEN, CK_TRUE, "CKA_TOKEN", "it lives in the session only"},
	{CKA_PRIVATE, CK_TRUE, "CKA_PRIVATE", "it can be used without a login"},
	{CKA_SENSITIVE, CK_TRUE, "CKA_SENSITIVE", "its value can be read"},
	{CKA_EXTRACTABLE, CK_FALSE, "CKA_EXTRACTABLE", "it can be wrapped and taken out"},
	{CKA_LOCAL, CK_TRUE, "CKA_LOCAL", "it was not generated in the token"},
	{CKA_ALWAYS_SENSITIVE, CK_TRUE, "CKA_ALWAYS_SENSITIVE", "its value could be read once"},
	{CKA_NEVER_EXTRACTABLE, CK_TRUE, "CKA_NEVER_EXTRACTABLE", "it could be taken out once"},
	{CKA_SIGN, CK_TRUE, "CKA_SIGN", "it may not sign"},
	{CKA_SIGN_RECOVER, CK_FALSE, "CKA_SIGN_RECOVER", "it may do more than sign"},
	{CKA_DECRYPT, CK_FALSE, "CKA_DECRYPT", "it may do more than sign"},
	{CKA_UNWRAP, CK_FALSE, "CKA_UNWRAP", "it may do more than sign"},
	{CKA_DERIVE, CK_FALSE, "CKA_DERIVE", "it may do more than sign"},
	{CKA_ALWAYS_AUTHENTICATE, CK_FALSE, "CKA_ALWAYS_AUTHENTICATE", "each signature needs the PIN"},
};

/* Modules answer differently to several attributes at once, of which one is unknown: they are asked singly. */
static hm_result get(const struct module *module, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key, const char *name,
	const char *attribute_name, CK_ATTRIBUTE *attribute, struct token_failure *why)
{
	CK_ULONG size = attribute->ulValueLen;
	CK_RV ckr = module->calls->C_GetAttributeValue(session, key, attribute, 1);
	if (ckr == CKR_ATTRIBUTE_TYPE_INVALID || (ckr == CKR_OK && attribute->ulValueLen != size))
		return fail(why, TOKEN_CUSTODY, "key %s: the module does not tell %s", name, attribute_name);
	return ckr == CKR_OK ? HM_OK : fail_call(why, "C_GetAttributeValue", ckr);
}

static hm_result check_generated(const struct module *module, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key,
	const char *name, struct token_failure *why)
{
	CK_MECHANISM_TYPE mechanism = MECHANISM_UNAVAILABLE;
	CK_ATTRIBUTE attribute = {CKA_KEY_GEN_MECHANISM, &mechanism, sizeof mechanism};
	HM_TRY(get(module, session, key, name, "CKA_KEY_GEN_MECHANISM", &attribute, why));
	if (mechanism == MECHANISM_UNAVAILABLE)
		return fail(why, TOKEN_CUSTODY,
			"key %s: CKA_KEY_GEN_MECHANISM is unavailable: it was not generated in the "
			"token",
			name);
	return HM_OK;
}

/* Either tells all of an RSA key (RFC 8017, section 3.2). */
static const struct secret {
	CK_ATTRIBUTE_TYPE type;
	const char *name;
} ec_value = {CKA_VALUE, "CKA_VALUE"}, rsa_exponent = {CKA_PRIVATE_EXPONENT, "CKA_PRIVATE_EXPONENT"},
  rsa_prime = {CKA_PRIME_1, "CKA_PRIME_1"};

static hm_result check_unreadable(const struct module *module, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key,
	const char *name, const struct secret *secret, struct token_failure *why)
{
	uint8_t value[HM_SIGNATURE_MAX];
	CK_ATTRIBUTE attribute = {secret->type, value, sizeof value};
	CK_RV ckr = module->calls->C_GetAttributeValue(session, key, &attribute, 1);
	explicit_bzero(value, sizeof value);
	if (ckr == CKR_ATTRIBUTE_SENSITIVE || ckr == CKR_ATTRIBUTE_TYPE_INVALID)
		return HM_OK;
	return fail(why, TOKEN_CUSTODY, "key %s: %s: reading the private value gave %s (0x%lx)", name, secret->name,
		ckr == CKR_OK ? "CKR_OK" : ckr_name(ckr), ckr);
}

hm_result custody_check(const struct module *module, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key, const char *name,
	bool is_rsa, struct token_failure *why)
{
	for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
		CK_BBOOL value = !rules[i].wanted;
		CK_ATTRIBUTE attribute = {rules[i].type, &value, sizeof value};
		HM_TRY(get(module, session, key, name, rules[i].name, &attribute, why));
		if (!value != !rules[i].wanted)
			return fail(why, TOKEN_CUSTODY, "key %s: %s is %s: %s", name, rules[i].name,
				value ? "true" : "false", rules[i].means);
	}
	HM_TRY(check_generated(module, session, key, name, why));
	if (!is_rsa)
		return check_unreadable(module, session, key, name, &ec_value, why);
	HM_TRY(check_unreadable(module, session, key, name, &rsa_exponent, why));
	return check_unreadable(module, session, key, name, &rsa_prime, why);
}
