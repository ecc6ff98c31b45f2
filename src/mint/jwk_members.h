/* SPDX-License-Identifier: Apache-2.0 */
/* What is read alike of every JWK (RFC 7517) that somebody else made. */
#ifndef HSMINT_JWK_MEMBERS_H
#define HSMINT_JWK_MEMBERS_H

#include <jansson.h>
#include <openssl/evp.h>
#include <stdbool.h>

/* RFC 7518, sections 6.2.2, 6.3.2 and 6.4.1; RFC 8037, section 2; RFC 9964. Whatever its type is. */
bool jwk_has_private_part(const json_t *jwk);

/* Bytes of a base64url member. SIZE_MAX: it is not there, is no base64url, or has more than `size`. */
size_t jwk_bytes(const json_t *jwk, const char *name, uint8_t *bytes, size_t size);

/* A public key of this type ("EC", "RSA"); NULL: these are not its numbers. The caller frees it. */
EVP_PKEY *jwk_make_key(const char *type, OSSL_PARAM *parameters);

#endif
