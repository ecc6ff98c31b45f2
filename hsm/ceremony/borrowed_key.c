/* SPDX-License-Identifier: Apache-2.0 */
#include "borrowed_key.h"

#include "lent.h"
#include "reason.h"
#include <libp11.h>
#include <stdlib.h>
#include <string.h>

struct lender {
	PKCS11_CTX *context;
	PKCS11_SLOT *slots;
	unsigned slot_count;
	PKCS11_TOKEN *token; /* of its slot */
};

/* The slot that module.c has found: a label alone may be another token's, too. */
static PKCS11_SLOT *find_slot(const struct lender *lender, CK_SLOT_ID wanted)
{
	for (unsigned i = 0; i < lender->slot_count; i++)
		if (lender->slots[i].token && PKCS11_get_slotid_from_slot(&lender->slots[i]) == wanted)
			return &lender->slots[i];
	return NULL;
}

hm_result lender_open(const struct module *module, struct lender **out, struct token_failure *why)
{
	struct lender *lender = calloc(1, sizeof *lender);
	*out = lender;
	if (!lender || !(lender->context = PKCS11_CTX_new()))
		return fail(why, TOKEN_DEVICE, "no memory for libp11");
	lent_module(module);
	if (PKCS11_CTX_load(lender->context, LENT_MODULE) != 0)
		return fail_openssl(why, TOKEN_PERMANENT, "libp11: PKCS11_CTX_load");
	if (PKCS11_enumerate_slots(lender->context, &lender->slots, &lender->slot_count) != 0)
		return fail_openssl(why, TOKEN_PERMANENT, "libp11: PKCS11_enumerate_slots");
	PKCS11_SLOT *slot = find_slot(lender, module->slot);
	if (!slot)
		return fail(why, TOKEN_DEVICE, "libp11 does not see the token in slot %lu", module->slot);
	lender->token = slot->token;
	return PKCS11_open_session(slot, 1) == 0 ? HM_OK
						 : fail_openssl(why, TOKEN_PERMANENT, "libp11: PKCS11_open_session");
}

static hm_result list(struct lender *lender, PKCS11_KEY **keys, unsigned *count, struct token_failure *why)
{
	ERR_clear_error();
	return PKCS11_enumerate_keys(lender->token, keys, count) == 0
		       ? HM_OK
		       : fail_openssl(why, TOKEN_PERMANENT, "libp11: PKCS11_enumerate_keys");
}

hm_result lender_check(struct lender *lender, struct token_failure *why)
{
	PKCS11_KEY *keys;
	unsigned count;
	return list(lender, &keys, &count, why);
}

hm_result lender_lend(
	struct lender *lender, const uint8_t *id, size_t id_length, EVP_PKEY **out, struct token_failure *why)
{
	PKCS11_KEY *keys;
	unsigned count;
	*out = NULL;
	HM_TRY(list(lender, &keys, &count, why));
	for (unsigned i = 0; i < count && !*out; i++)
		if (keys[i].id_len == id_length && memcmp(keys[i].id, id, id_length) == 0)
			*out = PKCS11_get_private_key(&keys[i]);
	return *out ? HM_OK : fail_openssl(why, TOKEN_PERMANENT, "libp11: PKCS11_get_private_key");
}
