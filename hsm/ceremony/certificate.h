/* SPDX-License-Identifier: Apache-2.0 */
/* CA certificates and requests for them (RFC 5280, RFC 2986; X509-SVID, section 4), signed by a key in a token. */
#ifndef HSMINT_CERTIFICATE_H
#define HSMINT_CERTIFICATE_H

#include "ceremony_protocol.h"
#include "failure.h"
#include <openssl/evp.h>

/* The key's two halves: one that signs in the token, and the public one as this process read it by itself. */
struct ca_key {
	EVP_PKEY *private, *public;
	const char *hash; /* OpenSSL's name */
};

/*
 * Make what is asked for, sign it and verify the signature with the public half. Its DER goes into `der`, of
 * HM_CERTIFICATE_MAX bytes.
 */
hm_result certificate_make(const struct ca_key *key, const struct ceremony_certificate *wanted, uint8_t *der,
	size_t *length, struct token_failure *why) HM_MUST_USE;

/* Sign the prefix of `what` and the bytes, and verify: as X.509 has signatures, DER for ECDSA. */
hm_result certificate_sign_document(const struct ca_key *key, const struct ceremony_sign *document,
	uint8_t signature[HM_SIGNATURE_MAX], size_t *length, struct token_failure *why) HM_MUST_USE;

#endif
