/* SPDX-License-Identifier: Apache-2.0 */
/* The tokens of a token exchange (RFC 8693, section 2.1): on whose behalf somebody acts, and who that is. */
#ifndef HSMINT_EXCHANGE_H
#define HSMINT_EXCHANGE_H

#include "delegation.h"
#include "own_token.h"
#include "proof.h"

/*
 * The token that is exchanged: by its type an access token of this issuer's that is in force, or a JWT of somebody whom
 * this issuer trusts. One that is bound to a key needs `proof` of that. HM_REFUSED: token_refused; which of the reasons
 * it was, nobody is told. HM_UNAVAILABLE: trust_unavailable. Free `*out` with delegation_free; NULL in any case but
 * HM_OK.
 */
hm_result exchange_subject(const struct service *service, unsigned issuer, const char *text, const char *type,
	const struct proof *proof, int64_t now, struct delegation **out, struct hm_problem *why) HM_MUST_USE;

/* Who acts, where that is not the client: by a JWT-SVID of this issuer's for this issuer alone. HM_REFUSED:
 * token_refused. Free with own_token_free in any case. */
hm_result exchange_actor(const struct service *service, unsigned issuer, const char *text, const char *type,
	int64_t now, struct own_token *out, struct hm_problem *why) HM_MUST_USE;

#endif
