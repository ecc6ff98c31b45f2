/* SPDX-License-Identifier: Apache-2.0 */
/* What a key ceremony's command and hsmint-ceremony say to each other: the payloads of HM_CEREMONY_* frames, and what
 * the ceremony's key signs (docs/ceremony.md). */
#ifndef HSMINT_CEREMONY_PROTOCOL_H
#define HSMINT_CEREMONY_PROTOCOL_H

#include "token_protocol.h"

/* What a signature of the key is for stands before the bytes, so that it is good for nothing else: no certificate,
 * request or JWT begins like this. */
enum ceremony_signed { CEREMONY_TEST, CEREMONY_RECORD, CEREMONY_IMPORT, CEREMONY_SIGNED };
const char *ceremony_prefix(enum ceremony_signed what); /* "hsmint ceremony test 1\n", … */

/* OpenSSL's name of the hash that a CA key signs with; NULL: the algorithm is not one for a CA key here. */
const char *ceremony_hash(enum key_algorithm algorithm);

struct ceremony_certificate {
	uint8_t request; /* 0: self-signed certificate, 1: certificate signing request */
	uint32_t days;   /* of the certificate */
	uint32_t path_length;
	struct hm_bytes subject;                    /* X.501 Name in DER */
	char trust_domain[HM_TRUST_DOMAIN_MAX + 1]; /* empty: none */
};

struct ceremony_sign {
	uint8_t what; /* enum ceremony_signed */
	struct hm_bytes data;
};

void ceremony_certificate_put(struct hm_writer *w, const struct ceremony_certificate *certificate);
bool ceremony_certificate_get(struct hm_reader *r, struct ceremony_certificate *certificate) HM_MUST_USE;
void ceremony_sign_put(struct hm_writer *w, const struct ceremony_sign *sign);
bool ceremony_sign_get(struct hm_reader *r, struct ceremony_sign *sign) HM_MUST_USE;

#endif
