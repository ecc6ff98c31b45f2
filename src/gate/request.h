/* SPDX-License-Identifier: Apache-2.0 */
/* A request from its first line to its answer: guard, route, caller, body, mint, answer. */
#ifndef HSMINT_REQUEST_H
#define HSMINT_REQUEST_H

#include "connection.h"

/* The three callbacks of the HTTP library; their `context` is not used, each finds its connection itself. */
void *request_begin(void *context, const char *target, struct MHD_Connection *mhd);
enum MHD_Result request_handle(void *context, struct MHD_Connection *mhd, const char *path, const char *method,
	const char *version, const char *upload, size_t *upload_size, void **request);
void request_end(
	void *context, struct MHD_Connection *mhd, void **request, enum MHD_RequestTerminationCode termination);

/* upstream.h: the answer to a request that was with mint. */
void request_answer(
	struct request *request, unsigned item, const struct gate_reply *reply, const struct hm_problem *why);

/* Does the connection show a client certificate that is accepted? Judged now, if its handshake is over. */
bool request_is_verified(struct connection *connection);

#endif
