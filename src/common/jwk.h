/* SPDX-License-Identifier: Apache-2.0 */
/* A public key as a JWK (RFC 7517), and its thumbprint (RFC 7638), which is the key's kid everywhere in hsmint. */
#ifndef HSMINT_JWK_H
#define HSMINT_JWK_H

#include "limits.h"
#include "result.h"
#include <stddef.h>
#include <stdint.h>

/*
 * From a DER SubjectPublicKeyInfo make the JWK's required members in the thumbprint's canonical order, without the
 * braces (`"crv":"P-256","kty":"EC","x":"…","y":"…"`), NUL-terminated in `members`, and the kid (HM_KID_MAX
 * characters and a NUL). Only P-256 here. HM_REFUSED: another kind of key. Source: jwk.c
 */
hm_result jwk_from_spki(const uint8_t *spki, size_t length, char *members, size_t size, char kid[HM_KID_MAX + 1],
	struct hm_problem *why) HM_MUST_USE;

#endif
