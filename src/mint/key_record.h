/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The record of keys, state/keys (docs/keys.md has its format): which versions each configured key has, what each of
 * them does, and since when. It is replaced whole, so that a crash leaves the old or the new one.
 */
#ifndef HSMINT_KEY_RECORD_H
#define HSMINT_KEY_RECORD_H

#include "config.h"
#include "json_write.h"

enum key_state {
	KEY_CREATED,   /* in the token, and nobody was told */
	KEY_PUBLISHED, /* verifiers can learn it; it does not sign yet */
	KEY_ACTIVE,    /* it signs: exactly one version of each key */
	KEY_RETIRING,  /* it signs no more, and stays published while credentials that it signed live */
	KEY_RETIRED,   /* nobody knows it any more */
	KEY_STATES
};
const char *key_state_name(enum key_state state); /* "created", … */

/* One key pair. Times are seconds since 1970, 0: not yet. */
struct key_version {
	unsigned number; /* counts the versions that the key had, from 1 */
	enum key_state state;
	char label[HM_LABEL_MAX + 1];   /* CKA_LABEL, "": not compared */
	char id[2 * HM_KEY_ID_MAX + 1]; /* CKA_ID in hexadecimal, "": not compared */
	char kid[HM_KID_MAX + 1];       /* "" until the token showed it; from then on it must stay so */
	int64_t created, published, activates, active, retiring;
	int64_t until;     /* a retiring one: every credential that it signed has expired then */
	unsigned lifetime; /* the longest that a credential signed by it may live, seconds */
	bool told;         /* the ledger has it as this process knows it; not in the record */
};

struct key_record {
	char name[HM_NAME_MAX + 1]; /* of the configured key, */
	char of[HM_KEY_OF_MAX];     /* and what the configuration said of it: another key of that name begins anew */
	unsigned last;              /* the highest number that was given */
	unsigned count;
	struct key_version versions[HM_KEY_VERSIONS_MAX]; /* the oldest first */
};

struct key_records {
	unsigned count;
	struct key_record records[HM_KEYS_MAX];
};

/* Read the record of a state directory; one that is not there is empty. HM_REFUSED: it is damaged. */
hm_result key_records_read(const char *state, struct key_records *records, struct hm_problem *why) HM_MUST_USE;

/* Write it, durably. HM_UNAVAILABLE: the state directory cannot be written. */
hm_result key_records_write(const char *state, const struct key_records *records, struct hm_problem *why) HM_MUST_USE;

/* The record of the key with this name, or NULL. */
struct key_record *key_records_find(struct key_records *records, const char *name);

/* A new record, in the place of one that is configured no longer if need be. NULL: no place. */
struct key_record *key_records_add(struct key_records *records, const struct config *config, const char *name);

/* A new version with the next number. The oldest retired one makes room; NULL: there is none. */
struct key_version *key_record_add(struct key_record *record);
void key_record_remove(struct key_record *record, struct key_version *version);

/* Write the members that tell of a version, into an object that is open; and a whole reply of {"ok":true} and these. */
void key_version_put(struct hm_json *json, const struct key_version *version);
void key_version_reply(struct hm_json *json, const struct key_version *version);

/* The first version in this state, or NULL. */
struct key_version *key_record_find(struct key_record *record, enum key_state state);

#endif
