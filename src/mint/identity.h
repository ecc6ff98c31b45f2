/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Short names for who asks and for whom, by which what mint remembers of them is found: SHA-256 of what tells them
 * apart, so that texts chosen by others have one length and nobody finds two of the same name.
 */
#ifndef HSMINT_IDENTITY_H
#define HSMINT_IDENTITY_H

#include "policy.h"

struct identity {
	uint8_t bytes[32];
};

/* Of a caller as its connection proves it: uid; URI name, if callers are known by that; or the key's hash. HM_BROKEN:
 * no memory for the hash, as for all below. */
hm_result identity_of_caller(const struct config *config, const struct gate_caller *caller, struct identity *out,
	struct hm_problem *why) HM_MUST_USE;

/* Of a caller's Idempotency-Key. */
hm_result identity_of_key(
	const struct identity *caller, const char *key, struct identity *out, struct hm_problem *why) HM_MUST_USE;

/* Of what the configuration, beside the request, puts into a credential, and of the caller for whom. */
hm_result identity_of_terms(const struct decision *decision, struct identity *out, struct hm_problem *why) HM_MUST_USE;

/* Of those who share a rate: `kind` and up to three words. NULL ends them early. */
hm_result identity_of_words(const char *kind, const char *first, const char *second, const char *third,
	struct identity *out, struct hm_problem *why) HM_MUST_USE;

/* base64url, for keys of rows and names in them. */
enum { IDENTITY_TEXT_MAX = 43 };
void identity_text(const struct identity *identity, char text[IDENTITY_TEXT_MAX + 1]);

/* Short enough to count with. */
uint64_t identity_number(const struct identity *identity);

#endif
