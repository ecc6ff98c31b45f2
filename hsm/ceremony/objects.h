/* SPDX-License-Identifier: Apache-2.0 */
/* What is on the token before and after a ceremony. */
#ifndef HSMINT_OBJECTS_H
#define HSMINT_OBJECTS_H

#include "module.h"

/*
 * TOKEN_PERMANENT: a key with the new key's label is there, or an Ed25519 key, on whose token libp11 0.4.12 finds no
 * keys at all.
 */
hm_result objects_check(const struct module *module, CK_SESSION_HANDLE session, const struct token_key_config *key,
	struct token_failure *why) HM_MUST_USE;

/* Destroy every object that has the key's label and its random id, and see that none is left. */
hm_result objects_destroy(const struct module *module, CK_SESSION_HANDLE session, const struct token_key_config *key,
	struct token_failure *why) HM_MUST_USE;

#endif
