/* SPDX-License-Identifier: Apache-2.0 */
/* A JWK (RFC 7517) that somebody else made: the public key that it is. */
#ifndef HSMINT_FOREIGN_JWK_H
#define HSMINT_FOREIGN_JWK_H

#include <jansson.h>
#include <openssl/evp.h>
#include <stdbool.h>

/* RFC 7518, sections 6.2.2, 6.3.2 and 6.4.1; RFC 8037, section 2; RFC 9964. Whatever its type is. */
bool foreign_jwk_has_private_part(const json_t *jwk);

enum foreign_jwk { FOREIGN_JWK_READ, FOREIGN_JWK_UNKNOWN, FOREIGN_JWK_MALFORMED };

/*
 * Make the public key of its numbers: one on P-256 or P-384, an RSA key of HM_RSA_BITS_MIN to HM_RSA_BITS_MAX bits, or
 * an Ed25519 key. UNKNOWN: it is of another type, curve or size. MALFORMED: it is none; `*rule`, a string literal, says
 * what does not hold. `*key` is the caller's to free, and NULL unless it was read.
 */
enum foreign_jwk foreign_jwk_read(const json_t *jwk, EVP_PKEY **key, const char **rule);

#endif
