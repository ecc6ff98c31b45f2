/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Humans as the ledger names them: by commitments under salts that lie in state/salts, one file a person, named by the
 * SHA-256 of the name. Whoever deletes the salt forgets the person, and breaks no hash (docs/ledger.md).
 */
#ifndef HSMINT_HUMANS_H
#define HSMINT_HUMANS_H

#include "config.h"
#include "mint_request.h"

enum { SALT_BYTES = 32, COMMITMENT_MAX = 43 };

/* Whom a request names, in the order of the profile's `humans`, each once. */
struct humans {
	unsigned count;
	struct {
		char commitment[COMMITMENT_MAX + 1];
		uint8_t salt[SALT_BYTES];
	} items[HM_HUMANS_MAX];
	bool in_claims; /* the to-be-signed bytes name one of them */
};

/* A person who is new gets a salt, which is on stable storage then. HM_UNAVAILABLE: ledger_unavailable, the state
 * directory cannot be written. Source: humans.c */
hm_result humans_find(const char *state, const struct config_profile *profile, const struct mint_request *request,
	struct humans *humans, struct hm_problem *why) HM_MUST_USE;

/* What the ledger has of one person, named as it stands elsewhere. HM_UNAVAILABLE as above. */
hm_result humans_commit(
	const char *state, const char *name, char commitment[COMMITMENT_MAX + 1], struct hm_problem *why) HM_MUST_USE;

/* Whether a member of `context`, or a claim, names a human. */
bool humans_name(const struct config_profile *profile, const char *member);

/* HMAC-SHA256 of the bytes under the salts of all of them. HM_BROKEN: no memory. */
hm_result humans_hash(const struct humans *humans, const void *data, size_t length, char text[COMMITMENT_MAX + 1],
	struct hm_problem *why) HM_MUST_USE;

/* Delete a person's salt; `commitment` is what the ledger has of them. HM_REFUSED: unknown_human. */
hm_result humans_forget(
	const char *state, const char *name, char commitment[COMMITMENT_MAX + 1], struct hm_problem *why) HM_MUST_USE;

#endif
