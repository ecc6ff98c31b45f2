/* SPDX-License-Identifier: Apache-2.0 */
/* What each algorithm means to a token: which key, which mechanism, who hashes. */
#ifndef HSMINT_ALGORITHM_H
#define HSMINT_ALGORITHM_H

#include "module.h"
#include <stdbool.h>

struct algorithm {
	CK_KEY_TYPE type;
	const char *type_name; /* "an EC key on P-256" */
	struct hm_bytes curve; /* CKA_EC_PARAMS that is written; none for RSA */
	struct hm_bytes other; /* and another one that is read as well */
	CK_MECHANISM_TYPE generate;
	CK_MECHANISM_TYPE of_hash; /* signs a hash made here, and its name; CK_UNAVAILABLE_INFORMATION: there is none */
	CK_MECHANISM_TYPE of_bytes; /* hashes in the token, and its name */
	const char *of_hash_name, *of_bytes_name;
	const char *hash;       /* OpenSSL's name for it; NULL: the algorithm has no hash of its own */
	struct hm_bytes prefix; /* before the hash that is signed: RFC 8017, section 9.2, note 1 */
	bool is_pss;            /* the mechanism wants algorithm_pss */
	bool is_rsa;
};

const struct algorithm *algorithm_of(enum key_algorithm algorithm);

/* RFC 7518, section 3.5: MGF1 with SHA-256 and a salt as long as the hash. */
CK_RSA_PKCS_PSS_PARAMS algorithm_pss(void);

/* Whether the token says that it signs with it. */
bool algorithm_is_there(const struct module *module, CK_MECHANISM_TYPE mechanism);

/*
 * The mechanism that the token signs with: what `hash` wants, or the one of the two that it has. HM_REFUSED:
 * TOKEN_PERMANENT, it has not. `by_token`: it hashes.
 */
hm_result algorithm_choose(const struct module *module, const struct token_key_config *config,
	CK_MECHANISM_TYPE *mechanism, bool *by_token, struct token_failure *why) HM_MUST_USE;

#endif
