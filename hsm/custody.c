/* SPDX-License-Identifier: Apache-2.0 */
#include "custody.h"

#include <string.h>

/* CKA_KEY_GEN_MECHANISM of a key that was not generated in the token. */
#define MECHANISM_UNAVAILABLE CK_UNAVAILABLE_INFORMATION

static const struct {
	CK_ATTRIBUTE_TYPE type;
	CK_BBOOL wanted;
	const char *means;
} rules[CUSTODY_KEY_GEN_MECHANISM] = {
	[CUSTODY_TOKEN] = {CKA_TOKEN, CK_TRUE, "it lives in the session only"},
	[CUSTODY_PRIVATE] = {CKA_PRIVATE, CK_TRUE, "it can be used without a login"},
	[CUSTODY_SENSITIVE] = {CKA_SENSITIVE, CK_TRUE, "its value can be read"},
	[CUSTODY_EXTRACTABLE] = {CKA_EXTRACTABLE, CK_FALSE, "it can be wrapped and taken out"},
	[CUSTODY_LOCAL] = {CKA_LOCAL, CK_TRUE, "it was not generated in the token"},
	[CUSTODY_ALWAYS_SENSITIVE] = {CKA_ALWAYS_SENSITIVE, CK_TRUE, "its value could be read once"},
	[CUSTODY_NEVER_EXTRACTABLE] = {CKA_NEVER_EXTRACTABLE, CK_TRUE, "it could be taken out once"},
	[CUSTODY_SIGN] = {CKA_SIGN, CK_TRUE, "it may not sign"},
	[CUSTODY_SIGN_RECOVER] = {CKA_SIGN_RECOVER, CK_FALSE, "it may do more than sign"},
	[CUSTODY_DECRYPT] = {CKA_DECRYPT, CK_FALSE, "it may do more than sign"},
	[CUSTODY_UNWRAP] = {CKA_UNWRAP, CK_FALSE, "it may do more than sign"},
	[CUSTODY_DERIVE] = {CKA_DERIVE, CK_FALSE, "it may do more than sign"},
	[CUSTODY_ALWAYS_AUTHENTICATE] = {CKA_ALWAYS_AUTHENTICATE, CK_FALSE, "each signature needs the PIN"},
};

/* The private key under examination. */
struct examined {
	const struct module *module;
	CK_SESSION_HANDLE session;
	CK_OBJECT_HANDLE key;
	const char *name;
	uint32_t waived;
	struct token_key_ready *shown;
};

/* Modules answer differently to several attributes at once, of which one is unknown: they are asked singly. `*told`
 * is false for one that the module does not tell and need not. */
static hm_result get(const struct examined *examined, enum custody_attribute which, CK_ATTRIBUTE *attribute, bool *told,
	struct token_failure *why)
{
	CK_ULONG size = attribute->ulValueLen;
	CK_RV ckr = examined->module->calls->C_GetAttributeValue(examined->session, examined->key, attribute, 1);
	*told = ckr == CKR_OK && attribute->ulValueLen == size;
	if (*told)
		return HM_OK;
	if (ckr != CKR_OK && ckr != CKR_ATTRIBUTE_TYPE_INVALID)
		return fail_call(why, "C_GetAttributeValue", ckr);
	examined->shown->custody[which] = CUSTODY_NOT_TOLD;
	if (examined->waived & 1u << which)
		return HM_OK;
	return fail(why, TOKEN_CUSTODY, "key %s: the module does not tell %s", examined->name,
		custody_attribute_name(which));
}

static hm_result check_rule(const struct examined *examined, enum custody_attribute which, struct token_failure *why)
{
	CK_BBOOL value = !rules[which].wanted;
	CK_ATTRIBUTE attribute = {rules[which].type, &value, sizeof value};
	bool told;
	HM_TRY(get(examined, which, &attribute, &told, why));
	if (!told)
		return HM_OK;
	examined->shown->custody[which] = value ? CUSTODY_TRUE : CUSTODY_FALSE;
	if (!value != !rules[which].wanted)
		return fail(why, TOKEN_CUSTODY, "key %s: %s is %s: %s", examined->name, custody_attribute_name(which),
			value ? "true" : "false", rules[which].means);
	return HM_OK;
}

static hm_result check_generated(const struct examined *examined, struct token_failure *why)
{
	CK_MECHANISM_TYPE mechanism = MECHANISM_UNAVAILABLE;
	CK_ATTRIBUTE attribute = {CKA_KEY_GEN_MECHANISM, &mechanism, sizeof mechanism};
	bool told;
	HM_TRY(get(examined, CUSTODY_KEY_GEN_MECHANISM, &attribute, &told, why));
	if (!told)
		return HM_OK;
	if (mechanism == MECHANISM_UNAVAILABLE)
		return fail(why, TOKEN_CUSTODY,
			"key %s: CKA_KEY_GEN_MECHANISM is unavailable: it was not generated in the token",
			examined->name);
	examined->shown->custody[CUSTODY_KEY_GEN_MECHANISM] = CUSTODY_TRUE;
	examined->shown->generated_by = mechanism;
	return HM_OK;
}

/* Either of the two tells all of an RSA key (RFC 8017, section 3.2). */
static const struct secret {
	CK_ATTRIBUTE_TYPE type;
	const char *name;
} ec_value = {CKA_VALUE, "CKA_VALUE"}, rsa_exponent = {CKA_PRIVATE_EXPONENT, "CKA_PRIVATE_EXPONENT"},
  rsa_prime = {CKA_PRIME_1, "CKA_PRIME_1"};

static hm_result check_unreadable(
	const struct examined *examined, const struct secret *secret, struct token_failure *why)
{
	uint8_t value[HM_SIGNATURE_MAX];
	CK_ATTRIBUTE attribute = {secret->type, value, sizeof value};
	CK_RV ckr = examined->module->calls->C_GetAttributeValue(examined->session, examined->key, &attribute, 1);
	explicit_bzero(value, sizeof value);
	if (ckr == CKR_ATTRIBUTE_SENSITIVE || ckr == CKR_ATTRIBUTE_TYPE_INVALID)
		return HM_OK;
	return fail(why, TOKEN_CUSTODY, "key %s: %s: reading the private value gave %s (0x%lx)", examined->name,
		secret->name, ckr == CKR_OK ? "CKR_OK" : ckr_name(ckr), ckr);
}

hm_result custody_check(const struct module *module, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key,
	const struct token_key_config *config, uint32_t waived, struct token_key_ready *shown,
	struct token_failure *why)
{
	const struct examined examined = {module, session, key, config->name, waived, shown};
	for (enum custody_attribute which = 0; which < CUSTODY_KEY_GEN_MECHANISM; which++)
		HM_TRY(check_rule(&examined, which, why));
	HM_TRY(check_generated(&examined, why));
	if (!algorithm_of(config->algorithm)->is_rsa)
		return check_unreadable(&examined, &ec_value, why);
	HM_TRY(check_unreadable(&examined, &rsa_exponent, why));
	return check_unreadable(&examined, &rsa_prime, why);
}
