/* SPDX-License-Identifier: Apache-2.0 */
/* Signing a request as docs/governance.md has it (RFC 9421): mint verifies it in mint/http_signature.c. */
#ifndef HSMINT_CLIENT_HTTP_SIGN_H
#define HSMINT_CLIENT_HTTP_SIGN_H

#include "hsmint/client.h"
#include <openssl/evp.h>
#include <stdbool.h>

struct curl_slist;

struct signed_request {
	const char *method, *target; /* as they are sent */
	const char *body;            /* NULL: there is none */
	const char *nonce;           /* of mint's, as it came */
	int64_t created;             /* seconds since 1970 */
};

/* The private key in a PEM file that is not encrypted, the caller's; NULL and `*error`. */
EVP_PKEY *http_sign_key(const char *file, hsmint_error **error);

/* Add the headers that make it a signed one. False: `*error`, and some may have been added. */
bool http_sign(EVP_PKEY *key, const struct signed_request *request, struct curl_slist **headers, hsmint_error **error);

#endif
