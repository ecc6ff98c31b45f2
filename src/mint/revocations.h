/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The view of revocations: single credentials, everything of a subject until then, everything a key signed until then.
 * (An agent is suspended or retired, a task completed or cancelled: those are in their own rows.)
 */
#ifndef HSMINT_REVOCATIONS_H
#define HSMINT_REVOCATIONS_H

#include "store.h"
#include <jansson.h>

enum revocation_of { REVOKED_CREDENTIAL, REVOKED_SUBJECT, REVOKED_KEY, REVOCATION_KINDS };

struct revocation {
	enum revocation_of of;
	const char *issuer; /* its name in the configuration */
	const char *name;   /* the credential's id, the subject, or the kid */
	int64_t at;         /* what was issued until then, in seconds since 1970 */
	int64_t expires;    /* nothing it is about lives longer */
	bool has_place;     /* of a credential, in a status list */
	unsigned list, index;
};

struct revocations; /* opaque; made by revocations_open, released by revocations_close */

struct revocations *revocations_open(void); /* NULL: no memory */
void revocations_close(struct revocations *revocations);

/* A row of RECORD_REVOCATION. `*taken` is what it says now; NULL: it was deleted. HM_BROKEN: it is not as
 * docs/governance.md says; nothing changed. */
hm_result revocations_take(struct revocations *revocations, const struct store_row *row,
	const struct revocation **taken, struct hm_problem *why) HM_MUST_USE;

/* NULL: none of that name. */
const struct revocation *revocations_find(
	const struct revocations *revocations, enum revocation_of of, const char *issuer, const char *name);

/* Of its row; 0: there is none. */
uint64_t revocations_version(
	const struct revocations *revocations, enum revocation_of of, const char *issuer, const char *name);

/* The key of its row. False: too long. */
bool revocation_key(
	enum revocation_of of, const char *issuer, const char *name, char key[HM_STORE_KEY_MAX + 1]) HM_MUST_USE;

/* In the order of their rows' keys, those behind `after` (a key; NULL: from the first). How many. */
unsigned revocations_list(const struct revocations *revocations, const char *issuer, const char *after,
	const struct revocation **found, unsigned most);

/* Changes that delete what nothing lives any more of, `most` at once. How many. */
unsigned revocations_expire(struct revocations *revocations, int64_t now, unsigned most, struct changes *changes);

/* Is a credential of `issuer` with this id, subject and kid, issued then, revoked by one of them? */
bool revocations_cover(const struct revocations *revocations, const char *issuer, const char *id, const char *subject,
	const char *kid, int64_t issued);

/* Until when everything of this subject, or by this key, is revoked; -1: neither is. */
int64_t revocations_until(
	const struct revocations *revocations, const char *issuer, const char *subject, const char *kid);

#endif
