/* SPDX-License-Identifier: Apache-2.0 */
/* What a private key must be before it may sign: made in the token, unable to leave it, good for signing alone. */
#ifndef HSMINT_CUSTODY_H
#define HSMINT_CUSTODY_H

#include "module.h"
#include <stdbool.h>

/*
 * Read the key's attributes one by one and try to read its value, which must fail. TOKEN_CUSTODY: the detail names the
 * key and the attribute at fault, or the one that the module does not tell.
 */
hm_result custody_check(const struct module *module, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key, const char *name,
	bool is_rsa, struct token_failure *why) HM_MUST_USE;

#endif
