/* SPDX-License-Identifier: Apache-2.0 */
/* The one login of this process, under the start lock and the PIN latch. */
#ifndef HSMINT_LOGIN_H
#define HSMINT_LOGIN_H

#include "module.h"
#include "pin.h"

/*
 * Wait for state/token-start.lock, which keeps token processes from starting together: SoftHSM loses tokens then.
 * Release it once logged in, by closing `*lock`. TOKEN_DEVICE: the state directory cannot be used.
 */
hm_result login_lock(const struct token_config *config, int *lock, struct token_failure *why) HM_MUST_USE;

/*
 * Log in as user on `session`, which must stay open for life: closing the last session logs out. With LOGIN_NONE there
 * is nothing to do, with LOGIN_PROTECTED_PATH it waits for a person at the token's PIN pad. TOKEN_LATCH: the PIN
 * was refused, or must not be tried. A good PIN that is refused is tried once more if the token gives random numbers,
 * and not before it does (tpm2-pkcs11 calls a PIN wrong, too, when its TPM is away).
 */
hm_result login_user(const struct token_config *config, const struct pin_parts *parts, const struct module *module,
	CK_SESSION_HANDLE session, struct token_failure *why) HM_MUST_USE;

#endif
