/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Token status lists (draft-ietf-oauth-status-list): which place a credential has, and what each list says. Places come
 * in blocks, each of one agent, of one task or none, and of one signing key, so that the end of any of these is the end
 * of its places; a block is a row of RECORD_BLOCK. What a list says is derived from the views whenever one of them
 * changed; nothing of it is stored.
 */
#ifndef HSMINT_STATUS_LISTS_H
#define HSMINT_STATUS_LISTS_H

#include "agents.h"
#include "revocations.h"
#include "tasks.h"

enum {
	STATUS_LIST_PLACES = 32768, /* of two bits, so that a list that does not compress still fits a JWT */
	STATUS_BLOCK_PLACES = 32    /* of a block for single credentials; one whose credentials share has 1 */
};

enum status_value { STATUS_VALID, STATUS_INVALID, STATUS_SUSPENDED };

struct status_place {
	unsigned list, index;
};

/* Places that are to be a block; 0: none. */
struct status_lease {
	struct status_place place;
	unsigned count;
};

/* Whose place it is. Texts are compared, not kept. */
struct status_holder {
	const char *issuer, *agent; /* the issuer's name, the agent's SPIFFE ID */
	const char *task;           /* "": none */
	const char *kid;            /* of the key that signs the credential */
	bool shared;                /* one place for all credentials of the task */
};

struct status_lists; /* opaque; made by status_lists_open, released by status_lists_close */

struct status_lists *status_lists_open(
	const struct agents *agents, const struct tasks *tasks, const struct revocations *revocations);
void status_lists_close(struct status_lists *lists);

/* A row of RECORD_BLOCK. HM_BROKEN: it is not as docs/governance.md says; nothing changed. */
hm_result status_lists_take(
	struct status_lists *lists, const struct store_row *row, struct hm_problem *why) HM_MUST_USE;

/* A place for one credential more, which expires then. False: the holder has none left, a block must be committed. */
bool status_lists_place(struct status_lists *lists, const struct status_holder *holder, int64_t expires,
	struct status_place *place) HM_MUST_USE;
/* The change that gives the holder a block: nobody else gets its places until status_lists_leased says what came of it.
 * False: no memory, or no place left. */
bool status_lists_put_block(struct status_lists *lists, const struct status_holder *holder, int64_t now,
	struct changes *changes, struct status_lease *lease) HM_MUST_USE;
/* It was committed as `sequence`, so the places are ours to give; 0: it was not, or nobody knows. */
void status_lists_leased(
	struct status_lists *lists, const char *issuer, const struct status_lease *lease, uint64_t sequence);

/* Whether others than one credential have this place. */
bool status_lists_is_shared(const struct status_lists *lists, const char *issuer, struct status_place place);
/* The change that ends everything on the place's block. False: there is none, or no memory. */
bool status_lists_put_ended(const struct status_lists *lists, const char *issuer, struct status_place place,
	struct changes *changes) HM_MUST_USE;

/* What may have changed: the places below it are looked at again. */
void status_lists_agent_changed(struct status_lists *lists, const char *issuer, const char *agent);
void status_lists_task_changed(struct status_lists *lists, const struct task *task); /* and its children */
void status_lists_revoked(struct status_lists *lists, const struct revocation *revocation);

enum status_value status_lists_value(const struct status_lists *lists, const char *issuer, struct status_place place);

/* The next list of an issuer that changed since it was taken: its bytes (STATUS_LIST_PLACES / 4) are copied. False:
 * none did. */
bool status_lists_take_changed(struct status_lists *lists, char issuer[HM_NAME_MAX + 1], unsigned *list, uint8_t *bits);

/* Changes that delete blocks on whose places nothing lives any more, `most` at once. A part of all blocks is looked at
 * each time. How many. */
unsigned status_lists_expire(struct status_lists *lists, int64_t now, unsigned most, struct changes *changes);

/* It is to be taken once more, though it has not changed. */
void status_lists_again(struct status_lists *lists, const char *issuer, unsigned list);

#endif
