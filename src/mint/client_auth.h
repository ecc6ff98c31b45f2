/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who a client of the token endpoint is: the caller that its connection proves, or one that brings an assertion (RFC
 * 7521, section 4.2): a JWT by a key of its own (private_key_jwt, RFC 7523) or by somebody whom the
 * issuer trusts (a CI job's), or a JWT-SVID of ours (jwt-spiffe, draft-ietf-oauth-spiffe-client-auth). Nobody has a
 * secret here.
 */
#ifndef HSMINT_CLIENT_AUTH_H
#define HSMINT_CLIENT_AUTH_H

#include "assertions.h"
#include "own_token.h"
#include "service.h"

/* What a request to a token endpoint says of its client; each NULL when it does not say. */
struct client_claim {
	const struct gate_caller *connection;
	const char *id;               /* client_id */
	const char *assertion, *type; /* client_assertion, client_assertion_type */
	const char *secret;           /* client_secret */
	bool is_used_up;              /* the assertion, by this very request */
	int64_t now;
};

struct client {
	const struct config_caller *caller; /* at this issuer */
	struct assertion assertion;         /* key "": the connection proves it; else it has to be used up first */
};

/* Is the client that is proven the one that `id`, a client_id, names? NULL: none is named. */
bool client_is_named(const struct config_caller *caller, const char *id);

/* Whether a JWT-SVID has authenticated a client before: then it is good for nothing else. True also without memory. */
bool client_svid_was_used(const struct service *service, unsigned issuer, const struct own_token *svid) HM_MUST_USE;

/* HM_REFUSED: client_refused or unknown_caller; the detail is for the log alone. */
hm_result client_auth(const struct service *service, unsigned issuer, const struct client_claim *claim,
	struct client *out, struct hm_problem *why) HM_MUST_USE;

#endif
