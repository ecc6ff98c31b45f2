/* SPDX-License-Identifier: Apache-2.0 */
/* A client's certificate as mint judges it by itself, by the rules that gate has for connections (gate/tls.c). */
#ifndef HSMINT_CLIENT_CERTIFICATE_H
#define HSMINT_CLIENT_CERTIFICATE_H

#include "gate_protocol.h"
#include <openssl/x509.h>

/* The first certificate of a chain in DER, one behind the other, with every signature up to `trust` (PEM) good at
 * `now`. HM_REFUSED: signature_refused. The caller frees it. */
hm_result client_certificate_verify(
	struct hm_bytes chain, const char *trust, int64_t now, X509 **out, struct hm_problem *why) HM_MUST_USE;

static inline void client_certificate_free(X509 **certificate)
{
	X509_free(*certificate);
}
#define CLIENT_CERTIFICATE_AUTO __attribute__((cleanup(client_certificate_free))) X509 *

static inline EVP_PKEY *client_certificate_key(const X509 *certificate)
{
	return X509_get0_pubkey(certificate);
}

/* Who it names. HM_REFUSED: signature_refused. */
hm_result client_certificate_caller(X509 *certificate, struct gate_caller *caller, struct hm_problem *why) HM_MUST_USE;

/* A signature over `text` by an algorithm of RFC 9421, section 3.3, that has to be the key's. HM_REFUSED:
 * signature_refused. Source: client_key.c */
hm_result client_key_verify(EVP_PKEY *key, const char *alg, struct hm_bytes signature, struct hm_bytes text,
	struct hm_problem *why) HM_MUST_USE;

#endif
