/* SPDX-License-Identifier: Apache-2.0 */
/* A credential of ours that somebody brings back: verified strictly, since whoever brings it may have made it. */
#ifndef HSMINT_OWN_TOKEN_H
#define HSMINT_OWN_TOKEN_H

#include "service.h"
#include "status_lists.h"
#include <jansson.h>

struct own_token {
	json_t *payload;                                   /* owned: the texts below are its */
	const char *kid, *id, *subject, *task, *client_id; /* task, client_id: "": none */
	const char *agent;                                 /* to whom it was issued */
	enum key_use use;                                  /* that its key has */
	int64_t issued, expires;                           /* issued: as it says, that is, backdated */
	bool has_place;
	struct status_place place;
};

/*
 * A JWT of `issuer` (its place in the configuration): its header is, byte for byte, that of a key of the issuer that
 * signs or signed credentials, its signature is that key's, and its claims are of the form that jwt.c writes. Expired
 * is refused like all else. HM_REFUSED: it is none. Free with own_token_free in any case.
 */
hm_result own_token_read(const struct service *service, unsigned issuer, const char *text, int64_t now,
	struct own_token *out, struct hm_problem *why) HM_MUST_USE;

/* Its audience is this, and no other. */
bool own_token_is_for_only(const struct own_token *token, const char *audience);

/* Does what it was struck for still stand? HM_REFUSED: its agent or task says no, or it was revoked. */
hm_result own_token_stands(const struct service *service, unsigned issuer, const struct own_token *token, int64_t now,
	struct hm_problem *why) HM_MUST_USE;

void own_token_free(struct own_token *token);

#define OWN_TOKEN_AUTO __attribute__((cleanup(own_token_free))) struct own_token

#endif
