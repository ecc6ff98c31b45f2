/* SPDX-License-Identifier: Apache-2.0 */
#include "objects.h"

#include <string.h>

enum { PAIR = 2, LABEL_SHOWN = 64 };

/* The first objects that match, at most as many as a key pair has. */
static hm_result search(const struct module *module, CK_SESSION_HANDLE session, CK_ATTRIBUTE *template, CK_ULONG length,
	CK_OBJECT_HANDLE found[PAIR], CK_ULONG *count, struct token_failure *why)
{
	*count = 0;
	TRY_CALL(why, module->calls, C_FindObjectsInit, session, template, length);
	CK_RV ckr = module->calls->C_FindObjects(session, found, PAIR, count);
	CK_RV ended = module->calls->C_FindObjectsFinal(session);
	if (ckr != CKR_OK)
		return fail_call(why, "C_FindObjects", ckr);
	return ended == CKR_OK ? HM_OK : fail_call(why, "C_FindObjectsFinal", ended);
}

static hm_result check_label(const struct module *module, CK_SESSION_HANDLE session, const struct token_key_config *key,
	struct token_failure *why)
{
	CK_OBJECT_CLASS classes[] = {CKO_PRIVATE_KEY, CKO_PUBLIC_KEY};
	for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
		CK_OBJECT_HANDLE found[PAIR];
		CK_ULONG count;
		CK_ATTRIBUTE template[] = {{CKA_CLASS, &classes[i], sizeof classes[i]},
			{CKA_LABEL, (void *)key->label, strlen(key->label)}};
		HM_TRY(search(module, session, template, 2, found, &count, why));
		if (count)
			return fail(why, TOKEN_PERMANENT,
				"the token holds a key labelled '%s' already: give the new one another --label",
				key->label);
	}
	return HM_OK;
}

static hm_result check_ed25519(const struct module *module, CK_SESSION_HANDLE session, struct token_failure *why)
{
	CK_KEY_TYPE edwards = CKK_EC_EDWARDS;
	CK_ATTRIBUTE template = {CKA_KEY_TYPE, &edwards, sizeof edwards};
	CK_OBJECT_HANDLE found[PAIR];
	CK_ULONG count, length = LABEL_SHOWN;
	char label[LABEL_SHOWN + 1] = "";
	HM_TRY(search(module, session, &template, 1, found, &count, why));
	if (!count)
		return HM_OK;
	if (module_attribute(module, session, found[0], CKA_LABEL, label, &length, why) != HM_OK)
		label[0] = 0;
	return fail(why, TOKEN_PERMANENT,
		"the token holds an Ed25519 key (labelled '%s'), and libp11 0.4.12 finds no keys on such a token: "
		"use one without Ed25519 keys",
		label);
}

hm_result objects_check(const struct module *module, CK_SESSION_HANDLE session, const struct token_key_config *key,
	struct token_failure *why)
{
	HM_TRY(check_label(module, session, key, why));
	return check_ed25519(module, session, why);
}

hm_result objects_destroy(const struct module *module, CK_SESSION_HANDLE session, const struct token_key_config *key,
	struct token_failure *why)
{
	CK_OBJECT_HANDLE found[PAIR];
	CK_ULONG count;
	CK_ATTRIBUTE template[] = {
		{CKA_LABEL, (void *)key->label, strlen(key->label)}, {CKA_ID, (void *)key->id, key->id_length}};
	HM_TRY(search(module, session, template, 2, found, &count, why));
	for (CK_ULONG i = 0; i < count; i++)
		TRY_CALL(why, module->calls, C_DestroyObject, session, found[i]);
	HM_TRY(search(module, session, template, 2, found, &count, why));
	return count ? fail(why, TOKEN_PERMANENT, "the key labelled '%s' is still there", key->label) : HM_OK;
}
