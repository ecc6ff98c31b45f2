/* SPDX-License-Identifier: Apache-2.0 */
/* A public key as a JWK (RFC 7517), and its thumbprint (RFC 7638), which is the key's kid everywhere in hsmint. */
#ifndef HSMINT_JWK_H
#define HSMINT_JWK_H

#include "token_protocol.h"
#include <stddef.h>
#include <stdint.h>

enum { JWK_MEMBERS_MAX = 768 }; /* an RSA key of 4096 bits has 714 characters */

enum jwk_type { JWK_P256, JWK_P384, JWK_RSA, JWK_ED25519 };

struct jwk {
	enum jwk_type type;
	unsigned signature_length;     /* of each JWS signature it verifies (RFC 7518, section 3; RFC 8037), in bytes */
	char members[JWK_MEMBERS_MAX]; /* those required, in the thumbprint's order, without braces: "crv":"P-256",… */
	char kid[HM_KID_MAX + 1];
};

/*
 * Read a DER SubjectPublicKeyInfo. HM_REFUSED: it is no key on P-256 or P-384, no RSA key of HM_RSA_BITS_MIN to
 * HM_RSA_BITS_MAX bits, and no Ed25519 key. Source: jwk.c
 */
hm_result jwk_from_spki(const uint8_t *spki, size_t length, struct jwk *jwk, struct hm_problem *why) HM_MUST_USE;

/* Whether a key of this type signs with the algorithm. */
bool jwk_is_for(enum jwk_type type, enum key_algorithm algorithm);

#endif
