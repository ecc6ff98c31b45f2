/* SPDX-License-Identifier: Apache-2.0 */
/* What a private key must be before it may sign: made in the token, unable to leave it, good for signing alone. */
#ifndef HSMINT_CUSTODY_H
#define HSMINT_CUSTODY_H

#include "algorithm.h"

/*
 * Read the key's attributes one by one into `shown->custody` and `shown->generated_by`, and try to read its value,
 * which must fail. TOKEN_CUSTODY: the detail names the key and the attribute at fault, or one that the module does not
 * tell and that is not `waived` (a bit for each enum custody_attribute).
 */
hm_result custody_check(const struct module *module, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key,
	const struct token_key_config *config, uint32_t waived, struct token_key_ready *shown,
	struct token_failure *why) HM_MUST_USE;

#endif
