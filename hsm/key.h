/* SPDX-License-Identifier: Apache-2.0 */
/* A configured key as the token holds it: found, checked, and its public half known. */
#ifndef HSMINT_KEY_H
#define HSMINT_KEY_H

#include "algorithm.h"
#include "tally.h"
#include <openssl/evp.h>

struct key {
	const struct token_key_config *config;
	const struct algorithm *algorithm;
	CK_OBJECT_HANDLE handle; /* of the private key; good as long as the login */
	CK_MECHANISM_TYPE mechanism;
	bool by_token; /* the mechanism hashes */
	EVP_PKEY *public;
	EVP_MD *hash; /* fetched once: to find it by name costs as much as to hash. NULL: the algorithm has none */
	unsigned signature_length;
	struct tally *tally;          /* set before it signs */
	struct token_key_ready shown; /* kid and SubjectPublicKeyInfo */
};

/*
 * Find the private key by class, label and, if configured, id (exactly one must match), check its type against the
 * configured algorithm and its custody, and read its public key. TOKEN_ABSENT: there is none. TOKEN_CUSTODY: the detail
 * names key and fault.
 */
hm_result key_find(const struct module *module, CK_SESSION_HANDLE session, const struct token_key_config *config,
	uint32_t waived, struct key *key, struct token_failure *why) HM_MUST_USE;

/* From now on let the token hash what is signed. False: it does already, must not, or has no mechanism for it. */
bool key_hash_in_token(const struct module *module, struct key *key);

/* Generate the configured key in the token, for signing alone. `session` must be read-write and logged in. */
hm_result key_generate(const struct module *module, CK_SESSION_HANDLE session, const struct token_key_config *config,
	struct token_failure *why) HM_MUST_USE;

/* Destroy both halves of the one key pair of that label and id. TOKEN_REFUSED: its kid is another one. */
hm_result key_destroy(const struct module *module, CK_SESSION_HANDLE session, const struct token_key_config *config,
	const char *kid, struct token_failure *why) HM_MUST_USE;

void key_close(struct key *key);

#endif
