/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A private key in the token as OpenSSL's EVP_PKEY, lent by libp11. libp11 never learns the PIN: a login holds for the
 * whole process, and login.c has made it, once and under the latch.
 */
#ifndef HSMINT_BORROWED_KEY_H
#define HSMINT_BORROWED_KEY_H

#include "module.h"
#include <openssl/evp.h>

struct lender; /* opaque; lives as long as the process */

/* Have libp11 use the module that is loaded, as lent.c lends it, and open a session of its own on the token. */
hm_result lender_open(const struct module *module, struct lender **out, struct token_failure *why) HM_MUST_USE;

/* Whether libp11 can list the token's keys, which it does for each key it lends. TOKEN_PERMANENT: it cannot. */
hm_result lender_check(struct lender *lender, struct token_failure *why) HM_MUST_USE;

/* The private key with this CKA_ID; the caller frees it. */
hm_result lender_lend(struct lender *lender, const uint8_t *id, size_t id_length, EVP_PKEY **out,
	struct token_failure *why) HM_MUST_USE;

#endif
