/* SPDX-License-Identifier: Apache-2.0 */
/* What happened in a ceremony that was held, and the record that tells it (docs/ceremony.md). */
#ifndef HSMINT_CEREMONY_HELD_H
#define HSMINT_CEREMONY_HELD_H

#include "ceremony_custodians.h"
#include "ceremony_token.h"
#include "ceremony_x509.h"

struct ceremony_held {
	struct ceremony_place place;
	struct ceremony_certificate wanted;
	struct custodians custodians;
	char begun[TIME_TEXT];
	struct token_config config;
	struct token_ready shown;
	char spki_sha256[HEX_SHA256];
	char document_sha256[HEX_SHA256]; /* of the certificate or request */
};

/* The record as of now, with a signature of RECORD_TEST_DATA random bytes. NULL without memory. */
json_t *record_make(const struct ceremony_held *held, const uint8_t *test_data, struct hm_bytes test_signature);

#endif
