/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of keys (docs/keys.md): which versions a configured key has, which of them signs, and when that changes. A
 * change is recorded in the state directory before it holds.
 */
#ifndef HSMINT_KEY_LIFE_H
#define HSMINT_KEY_LIFE_H

#include "control.h"

struct key_life; /* opaque; what is under way */

/* Read the record of keys. HM_REFUSED: it is damaged. */
hm_result key_life_open(struct service *service, struct hm_problem *why) HM_MUST_USE;
void key_life_close(struct service *service);

/*
 * Give every configured key its versions, in service->keys: those that are recorded, or the one that the configuration
 * names. At the start and after a reload, before signing_adopt. HM_UNAVAILABLE: the record cannot be written.
 */
hm_result key_life_configure(struct service *service, struct hm_problem *why) HM_MUST_USE;

/* Record what tokens showed of keys for the first time. */
hm_result key_life_note(struct service *service, struct hm_problem *why) HM_MUST_USE;

/* A token learned the key at this place, or would not (`failure`): the answer to key_life_adopt, or to a reload. */
void key_life_learned(
	struct service *service, struct token *token, uint16_t place, const struct token_failure *failure);

/* Each second: publish, activate and retire what is due. */
void key_life_tick(struct service *service);

/* ---- commands: each names a configured key ---- */

/* How a PKCS#11 URI names a key pair: what is "" is not compared. */
struct key_address {
	const char *label, *id;     /* CKA_LABEL; CKA_ID in hexadecimal. One of the two is there */
	const char *token, *serial; /* of the token that it is on, which is the configured one */
};

/* Take a key pair that is in the token already as the newest version. `asker` is answered when its token has looked at
 * it. */
hm_result key_life_adopt(struct service *service, const char *name, const struct key_address *address,
	const struct control_asker *asker, struct hm_problem *why) HM_MUST_USE;

/*
 * Publish a version (0: the next in the reserve), and let it sign once verifiers have had `publish_ahead` to see it, or
 * with `now` at once. `*changed` is that version.
 */
hm_result key_life_activate(struct service *service, const char *name, unsigned number, bool now,
	const struct key_version **changed, struct hm_problem *why) HM_MUST_USE;

/* Take a version out of use that does not sign: of the reserve, or one whose credentials have to end now. */
hm_result key_life_retire(struct service *service, const char *name, unsigned number,
	const struct key_version **changed, struct hm_problem *why) HM_MUST_USE;

/* Forget a retired version: its key pair was destroyed. */
hm_result key_life_forget(
	struct service *service, const char *name, unsigned number, struct hm_problem *why) HM_MUST_USE;

/* The configured key's versions, those of the past among them. NULL: there is no such key. */
const struct key_record *key_life_record(const struct service *service, const struct config_key *key);

#endif
