/* SPDX-License-Identifier: Apache-2.0 */
/* The signature of a JWS (RFC 7518, section 3; RFC 8037), verified with OpenSSL. */
#ifndef HSMINT_JWS_VERIFY_H
#define HSMINT_JWS_VERIFY_H

#include "token_protocol.h"
#include <openssl/evp.h>
#include <stdbool.h>

/* `spki`: the public key, DER. False also when key or signature are none of the algorithm's. */
bool jws_verify(const uint8_t *spki, size_t spki_length, enum key_algorithm algorithm, const void *data, size_t length,
	const uint8_t *signature, size_t signature_length) HM_MUST_USE;

/* The same with a key that was read before. Its curve is not looked at. */
bool jws_verify_with(EVP_PKEY *key, enum key_algorithm algorithm, const void *data, size_t length,
	const uint8_t *signature, size_t signature_length) HM_MUST_USE;

#endif
