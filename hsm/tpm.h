/* SPDX-License-Identifier: Apache-2.0 */
/* What a TPM itself says of a key whose attributes tpm2-pkcs11 keeps beside it, where they can be rewritten. */
#ifndef HSMINT_TPM_H
#define HSMINT_TPM_H

#include "key.h"

/*
 * Load the key into the TPM of $TPM2_PKCS11_TCTI under the persistent handle `parent`, which needs no authorisation,
 * and read its public area there into `key->shown`. It must be the found key's public half, generated in this TPM,
 * unable to leave it, and good for signing alone. TOKEN_CUSTODY: it is not; the detail names the key and what is wrong.
 */
hm_result tpm_check(const struct module *module, CK_SESSION_HANDLE session, uint32_t parent, struct key *key,
	struct token_failure *why) HM_MUST_USE;

/* Whether the module holds the key as tpm2-pkcs11 does: in a TPM, and its attributes beside it. */
bool tpm_holds(const struct module *module, CK_SESSION_HANDLE session, const struct key *key);

#endif
