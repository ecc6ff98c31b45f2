/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Governing, whichever way it comes in: a method, a path and a JSON body over the control socket, or over HTTP through
 * gate, there with the caller's HTTP signature (http_signature.h) or on gate's word alone. One table says who may do
 * what by which way (docs/governance.md has it in words).
 *
 * An operation decides on the views and says what is to change; api.c commits that, runs the operation anew when
 * another act came first, records it in the ledger, and answers when both are on stable storage.
 */
#ifndef HSMINT_API_H
#define HSMINT_API_H

#include "config.h"
#include "control.h"
#include "gate_protocol.h"
#include "store.h"
#include <jansson.h>

struct service;

enum api_way {
	WAY_GATE,   /* gate says who it is */
	WAY_SIGNED, /* the caller's signature does: proven to mint itself */
	WAY_CONTROL /* the kernel does: proven */
};

struct api_actor {
	enum api_way way;
	struct gate_caller caller;
	const struct config_caller *known; /* the caller at the issuer the act is about */
	char name[HM_NAME_MAX + 1];        /* its name there */
};

struct api_call {
	struct service *service;
	struct api_actor actor;
	const char *issuer; /* name of the issuer it is about */
	const char *id;     /* the {id} of the path; NULL: it has none */
	json_t *query;      /* object of strings */
	json_t *body;       /* object; NULL: none came */
	int64_t now;        /* seconds since 1970 */
	bool is_last;       /* of a call that waits: its time is over */

	/* What the operation says; api.c owns them. */
	int status;     /* 200, 201, 202; 0: it waits for another row to change (only if `wait` was asked for) */
	json_t *answer; /* to the caller */
	struct changes *changes; /* NULL: nothing changes */
	json_t *entry;           /* of the ledger, for what changes: its own members; api.c adds who, when and what */
	const char *entry_type;
};

/* HM_REFUSED: nothing is changed, `why` goes to the caller. */
typedef hm_result api_operation(struct api_call *call, struct hm_problem *why);

struct api; /* opaque; made by api_open, released by api_close */

struct api *api_open(struct service *service); /* NULL: no memory */
void api_close(struct api *api);

/* A frame of gate with OPERATION_API: answered through gate_answer, now or later. */
void api_gate_request(struct api *api, uint64_t id, const struct gate_request *request);

/* The control command `api`: {"command":"api","method":…,"path":…,"body":…}, answered through control_answer with
 * {"status":…,"body":…}. */
hm_result api_control_request(struct api *api, uint32_t uid, const json_t *request, const struct control_asker *asker,
	struct hm_problem *why) HM_MUST_USE;

/* A row changed: calls that wait are run again. */
void api_rows_changed(struct api *api);
/* An entry is durable: its call is answered. */
void api_recorded(struct api *api, uint64_t ticket);
void api_tick(struct api *api);

#endif
