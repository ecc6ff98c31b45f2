/* SPDX-License-Identifier: Apache-2.0 */
/* The self-check of a signature, by OpenSSL and with the public key that was shown. */
#ifndef HSMINT_VERIFY_H
#define HSMINT_VERIFY_H

#include "key.h"

/* Whether `signature`, of key->signature_length bytes as JOSE has it, is the key's own of `data`. */
bool verify(const struct key *key, struct hm_bytes data, const uint8_t *signature);

#endif
