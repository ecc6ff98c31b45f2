/* SPDX-License-Identifier: Apache-2.0 */
/* One signature: hashed here, signed in the token, checked here. */
#ifndef HSMINT_SIGN_H
#define HSMINT_SIGN_H

#include "key.h"

struct signature {
	CK_ULONG length;
	uint8_t bytes[HM_SIGNATURE_MAX]; /* as the credential wants it: r and s for ECDSA (RFC 7518, section 3.4) */
};

/*
 * Sign `data` with C_SignInit and one single-part C_Sign on a session of the caller's own, and count it as `what`. With
 * `check` the signature is verified before it is given: TOKEN_DEVICE if it is not right. On failure `signature` is
 * blank, and the session may have an operation left open: close it.
 */
hm_result sign(const struct module *module, CK_SESSION_HANDLE session, const struct key *key, struct hm_bytes data,
	enum signed_what what, bool check, struct signature *signature, struct token_failure *why) HM_MUST_USE;

/* Sign HM_PROBE_PREFIX and random bytes, and check. */
hm_result sign_probe(const struct module *module, CK_SESSION_HANDLE session, const struct key *key,
	struct token_failure *why) HM_MUST_USE;

#endif
