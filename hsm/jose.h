/* SPDX-License-Identifier: Apache-2.0 */
/* What a key for JWTs may sign, and nothing else: the last check before the signature, against a mint gone wrong. */
#ifndef HSMINT_JOSE_H
#define HSMINT_JOSE_H

#include "key.h"

struct jose {
	char header[2 * HM_JWT_HEADER_MAX]; /* base64url of the only header, and the dot behind it */
	size_t header_length;
	char start[HM_URL_MAX + 16]; /* how the payload begins: {"iss":"…", */
	size_t start_length;
};

/* What `key` may sign: alg, kid and typ of its use in the header, its issuer first in the payload. */
hm_result jose_open(const struct key *key, struct jose *jose, struct token_failure *why) HM_MUST_USE;

/* TOKEN_REFUSED unless `tbs` is exactly that (RFC 7515, section 5.1: header, dot, payload, each base64url). */
hm_result jose_check(const struct jose *jose, struct hm_bytes tbs, struct token_failure *why) HM_MUST_USE;

#endif
