/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request to an issuer's token endpoint, ISSUER/oauth2/token (RFC 6749, section 4.4): from its form to the mint
 * request that stands for it, so that one decision and one builder serve both. docs/oauth.md has every parameter.
 */
#ifndef HSMINT_TOKEN_REQUEST_H
#define HSMINT_TOKEN_REQUEST_H

#include "mint_request.h"
#include "policy.h"
#include "service.h"

/*
 * The client is whom client_auth finds; the subject is the agent that this caller is. An assertion of the client's that
 * is not used up yet comes back in `request->assertion`, and nothing else does: commit it, and ask again, with
 * `granted`, which has by now what was proven of keys. Of the issuer's profiles that offer the grant to the client it
 * is the first that policy_decide allows; when none does, the refusal is the first one's. `decision` is its yes.
 * HM_REFUSED: what oauth_error.h has a word for. Free `request` with mint_request_free in any case.
 */
hm_result token_request_read(const struct service *service, const struct policy_views *views,
	struct policy_granted *granted, const struct gate_request *from, struct mint_request *request,
	struct decision *decision, struct hm_problem *why) HM_MUST_USE;

#endif
