/* SPDX-License-Identifier: Apache-2.0 */
/* What the ledger is told: an entry of each type (docs/ledger.md), in canonical form. */
#ifndef HSMINT_RECORD_H
#define HSMINT_RECORD_H

#include "json_write.h"
#include "policy.h"
#include "service.h"

enum { RECORD_VERSION = 1 /* of an entry's form */ };

/* Add an entry that was written here or in record_token.c. 0: no memory. */
uint64_t record_add(struct service *service, const struct hm_json *json, bool quiet);

/* ---- credentials ---- */

/* Write the entry of a credential into its pending, which has its to-be-signed bytes by now. `state` has the humans'
 * salts. HM_UNAVAILABLE: ledger_unavailable, one of them cannot be kept. */
hm_result record_prepare(struct pending *pending, const char *state, const struct decision *decision,
	const struct mint_request *request, const char *idempotency_key, struct hm_problem *why) HM_MUST_USE;

/* Its to-be-signed bytes are to be signed by another key now. */
hm_result record_moved(struct pending *pending, struct hm_problem *why) HM_MUST_USE;

/* Before it is sent to a token: its entry, or when it was sent before, that it is signed again. False: no memory. */
/* The entry of a status list that is to be signed: of `issuer`, its name, and the list's number. */
hm_result record_prepare_status_list(
	struct pending *pending, const char *issuer, unsigned list, struct hm_problem *why) HM_MUST_USE;

bool record_sending(struct service *service, struct pending *pending);

/* It was sent to a token, and will not be given out. */
void record_void(struct service *service, const struct pending *pending, const char *reason);

struct refusals *refusals_open(void); /* NULL: no memory */
void refusals_close(struct refusals *refusals);

/* A caller's request was refused: `client`'s, or, when that is NULL, whom the connection proves. What was refused
 * within a second is told together, by record_tick. */
void record_refused(struct service *service, const struct config_caller *client, const struct gate_caller *caller,
	const char *code);
void record_tick(struct service *service);

/* ---- what governs ---- */

void record_start(struct service *service);
void record_stop(struct service *service);
void record_configuration(struct service *service); /* a new one is in force */
void record_command(
	struct service *service, uint32_t uid, const char *command, const json_t *request, const char *result);
void record_clock(struct service *service, const char *event, int64_t by_ms); /* 0: not known */
void record_forgotten(struct service *service, const char *commitment);
void record_unlock(struct service *service, const char *token, uint32_t uid, const char *event);
void record_key(struct service *service, const struct config_key *key, const struct key_version *version);

#endif
