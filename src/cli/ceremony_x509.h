/* SPDX-License-Identifier: Apache-2.0 */
/* The X.509 part of a key ceremony that needs no token: PEM files, and whether a certificate is the CA's. */
#ifndef HSMINT_CEREMONY_X509_H
#define HSMINT_CEREMONY_X509_H

#include "ceremony_name.h"
#include <openssl/x509v3.h>
#include <stdbool.h>

enum { HEX_SHA256 = 65, PEM_MAX = HM_CEREMONY_DOCUMENT_MAX };

void x509_free(X509 **certificate);
void x509_free_stack(STACK_OF(X509) * *stack);
#define X509_AUTO  __attribute__((cleanup(x509_free))) X509
#define CHAIN_AUTO __attribute__((cleanup(x509_free_stack))) STACK_OF(X509)

/* What the ceremony was about, for every check below. */
struct ca_wanted {
	EVP_PKEY *key;
	unsigned path_length;
	const char *trust_domain; /* NULL: none */
	const char *subject;      /* as name_text writes it */
};

/* SHA-256 in hexadecimal. */
void x509_sha256(const void *data, size_t length, char hex[HEX_SHA256]);

/* The same of a certificate's DER: its fingerprint. */
bool x509_fingerprint(const X509 *certificate, char hex[HEX_SHA256]) HM_MUST_USE;

/* DER as PEM of this name ("CERTIFICATE"), written behind what is in `text` of PEM_MAX bytes. */
bool x509_pem_append(const char *name, const uint8_t *der, size_t length, char *text, size_t *used) HM_MUST_USE;
/* The DER in the first block of a PEM text; `der` has room for PEM_MAX bytes. */
bool x509_pem_first(const char *text, size_t length, uint8_t *der, size_t *der_length) HM_MUST_USE;
/* The same as x509_pem_append for a whole chain, from the beginning of `text`. */
bool x509_chain_pem(const STACK_OF(X509) * chain, char *text, size_t *used) HM_MUST_USE;

/* The certificates of a PEM file, at most HM_CA_CHAIN_MAX. The problem names the file. */
hm_result x509_chain_read(const char *path, STACK_OF(X509) * *chain, struct hm_problem *why) HM_MUST_USE;

/* `der` is the self-signed certificate, or the request, that the ceremony was to make. */
hm_result x509_check_self_signed(
	const uint8_t *der, size_t length, const struct ca_wanted *wanted, struct hm_problem *why) HM_MUST_USE;
hm_result x509_check_request(
	const uint8_t *der, size_t length, const struct ca_wanted *wanted, struct hm_problem *why) HM_MUST_USE;

/*
 * Whether a chain was good for the CA at the time `at`: the first of `given` is for its key and may sign certificates,
 * the others lead to `root`, and none above it forbids a CA here to issue. `*whole` is the chain from the CA to the
 * root; the caller frees it.
 */
hm_result x509_check_chain(const STACK_OF(X509) * given, X509 *root, int64_t at, const struct ca_wanted *wanted,
	STACK_OF(X509) * *whole, struct hm_problem *why) HM_MUST_USE;

#endif
