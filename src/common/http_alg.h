/* SPDX-License-Identifier: Apache-2.0 */
/* The algorithms of HTTP signatures (RFC 9421, section 3.3), for who signs and for who verifies: each goes with one
 * kind of key, so the key says which it is. */
#ifndef HSMINT_HTTP_ALG_H
#define HSMINT_HTTP_ALG_H

#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>

struct http_alg {
	const char *name;
	const char *type, *group; /* of the key; group: NULL: it has none */
	const EVP_MD *(*hash)(void);
	size_t half; /* of an ECDSA signature, which is r and s side by side; 0: it is no such */
};

/* NULL: it is no P-256, P-384 or Ed25519 key, and no RSA key of at least HM_RSA_BITS_MIN bits. */
const struct http_alg *http_alg_of(const EVP_PKEY *key);

/* The hash of EVP_DigestSignInit and EVP_DigestVerifyInit; NULL: it takes none. */
static inline const EVP_MD *http_alg_hash(const struct http_alg *alg)
{
	return alg->hash ? alg->hash() : NULL;
}

/* What that context needs beside. False: no memory. */
bool http_alg_set_padding(const struct http_alg *alg, EVP_PKEY_CTX *context);

#endif
