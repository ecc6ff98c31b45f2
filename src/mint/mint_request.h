/* SPDX-License-Identifier: Apache-2.0 */
/* A mint request: its JSON read member by member, nothing decided yet. */
#ifndef HSMINT_MINT_REQUEST_H
#define HSMINT_MINT_REQUEST_H

#include "assertions.h"
#include "buffer.h"
#include "delegation.h"
#include "limits.h"
#include "proof.h"
#include "result.h"
#include <jansson.h>

struct config_caller; /* config.h */

struct mint_request {
	json_t *body; /* owned; everything below points into it */
	const char *profile;
	const char *subject;
	const char *audiences[HM_AUDIENCES_MAX];
	unsigned audience_count;
	const char *scope;                  /* NULL: none asked for */
	int64_t lifetime;                   /* seconds; 0: none asked for */
	const char *task_id;                /* NULL: none is named by id */
	json_t *task;                       /* object that opens one, or that names one opened before; NULL: none */
	const char *approval;               /* id; NULL: none */
	json_t *claims;                     /* object, or NULL */
	json_t *context;                    /* object of strings, or NULL */
	const char *grant;                  /* the OAuth grant by which it came; NULL: none, it is a mint request */
	const struct config_caller *client; /* who asks, by an assertion; NULL: whom the connection proves */
	struct proof proof;            /* keys of who the subject is, of which the credential may be bound to one */
	struct delegation *delegation; /* owned: on whose behalf it is; NULL: the agent's own */
	struct assertion assertion;    /* that has to be used up before anything else; key "": none */
};

/* Read a request from gate; with `with_kind` it says itself which kind of credential it is for. HM_REFUSED: `why` names
 * the member. Free with mint_request_free in any case. */
hm_result mint_request_parse(
	struct hm_bytes body, bool with_kind, struct mint_request *request, struct hm_problem *why) HM_MUST_USE;
/* The same of an object, which it takes over. */
hm_result mint_request_read(json_t *body, struct mint_request *request, struct hm_problem *why) HM_MUST_USE;
void mint_request_free(struct mint_request *request);

#define MINT_REQUEST_AUTO __attribute__((cleanup(mint_request_free))) struct mint_request

#endif
