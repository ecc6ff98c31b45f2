/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The view of approvals: what was asked, by whom, who granted or denied it, until when, and whether it was used. What
 * is approved is a hash over everything in the request that matters (docs/governance.md), so that nothing else can be
 * struck with it.
 */
#ifndef HSMINT_APPROVALS_H
#define HSMINT_APPROVALS_H

#include "config.h"
#include "store.h"
#include <jansson.h>

struct mint_request; /* mint_request.h */
struct decision;     /* policy.h */

enum approval_state { APPROVAL_PENDING, APPROVAL_GRANTED, APPROVAL_DENIED, APPROVAL_USED, APPROVAL_EXPIRED };
const char *approval_state_name(enum approval_state state);

/* Lives until its row changes. */
struct approval {
	uint64_t version;
	char id[HM_ID_MAX + 1];
	char hash[44];               /* base64url of the SHA-256 */
	const char *issuer, *caller; /* who asked */
	unsigned wanted;             /* approvers */
	const char *approvers[HM_APPROVERS_MAX];
	unsigned granted;
	const char *denied_by; /* "": nobody */
	bool used;
	int64_t asked, expires;
	const json_t *request; /* what approvers are shown: the hashed form */
};

struct approvals; /* opaque; made by approvals_open, released by approvals_close */

struct approvals *approvals_open(void); /* NULL: no memory */
void approvals_close(struct approvals *approvals);

/* A row of RECORD_APPROVAL. HM_BROKEN: it is not as docs/governance.md says; nothing changed. */
hm_result approvals_take(struct approvals *approvals, const struct store_row *row, struct hm_problem *why) HM_MUST_USE;

const struct approval *approvals_find(const struct approvals *approvals, const char *id); /* NULL: none */
enum approval_state approval_state(const struct approval *approval, int64_t now);

/* One that waits for this very request already; NULL: none. `*waiting` is how many of the caller wait. */
const struct approval *approvals_pending(const struct approvals *approvals, const char *issuer, const char *caller,
	const char *hash, int64_t now, unsigned *waiting);

/* Its row with one more who grants it, or the one who denies it. False: no memory. */
bool approvals_put_granted(struct changes *changes, const struct approval *approval, const char *approver) HM_MUST_USE;
bool approvals_put_denied(struct changes *changes, const struct approval *approval, const char *approver) HM_MUST_USE;

/* Changes that delete what expired more than a day ago, `most` at once. How many. */
unsigned approvals_expire(const struct approvals *approvals, int64_t now, unsigned most, struct changes *changes);

/* How many must approve this request: 0, none; else within so many seconds. By the profile's `approve`. */
unsigned approvals_wanted(const struct config_profile *profile, const struct mint_request *request, unsigned *within);

/* The hashed form: the caller's. NULL: no memory. */
json_t *approvals_form(const struct decision *decision, const struct mint_request *request);
/* SHA-256 over its RFC 8785 form. */
hm_result approvals_hash(const json_t *form, char hash[44], struct hm_problem *why) HM_MUST_USE;

/* The changes that ask for one, and that use one up. False: no memory. */
bool approvals_put(struct changes *changes, const struct decision *decision, json_t *form, const char *hash,
	unsigned wanted, int64_t now, unsigned within, char id[HM_ID_MAX + 1]) HM_MUST_USE;
bool approvals_put_used(struct changes *changes, const struct approval *approval) HM_MUST_USE;

/* May the request with this hash be struck by it? HM_REFUSED: unknown_approval (NULL, or another caller's),
 * approval_mismatch, approval_pending, approval_denied, approval_used, approval_expired. */
hm_result approvals_check(const struct approval *approval, const char *issuer, const char *caller, const char *hash,
	int64_t now, struct hm_problem *why) HM_MUST_USE;

json_t *approval_json(const struct approval *approval, int64_t now); /* as /v1/approvals shows it: the caller's */

/* For lists: the next after `after` by id. */
unsigned approvals_list(const struct approvals *approvals, const char *issuer, const char *after,
	const struct approval **found, unsigned most);

#endif
