/* SPDX-License-Identifier: Apache-2.0 */
/* Somebody else who signs JWTs, for tests. Every function aborts when OpenSSL fails. */
#ifndef HSMINT_TEST_SIGNER_H
#define HSMINT_TEST_SIGNER_H

#include "jwk.h"
#include <openssl/evp.h>

struct signer {
	enum key_algorithm algorithm; /* by which it signs, whatever a header says */
	EVP_PKEY *pair;
	struct jwk jwk;
};

/* Make a new key pair of the algorithm's type; of 2048 bits, where that is RSA. */
void signer_open(struct signer *signer, enum key_algorithm algorithm);
void signer_close(struct signer *signer);

/* The signature as a JWS has it (RFC 7518, section 3). Returns its length. */
size_t signer_sign(const struct signer *signer, const void *data, size_t length, uint8_t signature[HM_SIGNATURE_MAX]);

/* A JWT of these bytes, whatever they are, with room for what base64url makes of them. Returns its length; a NUL
 * follows. */
size_t signer_make_jwt(const struct signer *signer, const void *header, size_t header_length, const void *payload,
	size_t payload_length, char *jwt);

#endif
