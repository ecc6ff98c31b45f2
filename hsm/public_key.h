/* SPDX-License-Identifier: Apache-2.0 */
/* The public half of a key, read from the token's attributes. */
#ifndef HSMINT_PUBLIC_KEY_H
#define HSMINT_PUBLIC_KEY_H

#include "module.h"
#include <openssl/evp.h>

/*
 * Read the public key `object`, of the configured algorithm. The caller frees `*out`, which is NULL on failure.
 * TOKEN_CUSTODY: it is no such key, or not one: a point that is not on its curve.
 */
hm_result public_key_read(const struct module *module, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
	const struct token_key_config *config, EVP_PKEY **out, struct token_failure *why) HM_MUST_USE;

#endif
