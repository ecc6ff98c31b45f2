/* SPDX-License-Identifier: Apache-2.0 */
/* The public keys of somebody whom we trust to sign JWTs: a JWK Set (RFC 7517) or a SPIFFE trust bundle. */
#ifndef HSMINT_KEY_SET_H
#define HSMINT_KEY_SET_H

#include "jwk.h"
#include <openssl/evp.h>

enum key_set_kind { KEY_SET_JWKS, KEY_SET_SPIFFE };

struct key_set_key {
	char kid[HM_FOREIGN_KID_MAX + 1];
	EVP_PKEY *key;
	struct jwk jwk;      /* its kid is the thumbprint */
	unsigned algorithms; /* that it verifies: a bit for each enum key_algorithm */
};

/* Made by key_set_read, released by key_set_free; never changed. */
struct key_set {
	unsigned count;   /* of keys; 0 is possible: who had keys trusts none now */
	unsigned ignored; /* that stand in the document and are of no use to us */
	struct key_set_key keys[HM_KEY_SET_KEYS_MAX];
};

/*
 * Read a document of at most HM_KEY_SET_MAX bytes. Ignored is a key whose type, curve, size, `use`, `key_ops` or `alg`
 * is none that verifies our algorithms, or that has no `kid`; in a bundle, each key whose `use` is not jwt-svid and
 * each algorithm that JWT-SVIDs may not have. HM_REFUSED, code "config": it is no such document, a key that is not
 * ignored is malformed, two of them have one kid, or any key at all has a private part. `*out` is NULL then.
 */
hm_result key_set_read(const char *text, size_t length, enum key_set_kind kind, struct key_set **out,
	struct hm_problem *why) HM_MUST_USE;

/* The key with exactly this kid; NULL: there is none. */
const struct key_set_key *key_set_find(const struct key_set *set, const char *kid);

/* The algorithm of this name in JOSE (RFC 7518, section 3.1; RFC 8037; RFC 9864); KEY_ALGORITHMS: none of ours. */
enum key_algorithm key_set_algorithm(const char *name);

void key_set_free(struct key_set *set); /* NULL is fine */

static inline void key_set_cleanup(struct key_set **set)
{
	key_set_free(*set);
}
#define KEY_SET_AUTO __attribute__((cleanup(key_set_cleanup))) struct key_set

#endif
