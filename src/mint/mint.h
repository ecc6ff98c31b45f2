/* SPDX-License-Identifier: Apache-2.0 */
/* A mint request's way: parsed, decided, built, signed, assembled, answered. */
#ifndef HSMINT_MINT_H
#define HSMINT_MINT_H

#include "service.h"

struct parked_request;

/* Take a request from gate; its answer goes back by gate_answer now or later. */
void mint_request(struct service *service, uint64_t id, const struct gate_request *request);

/* Once more, with what was committed for it meanwhile (parked.h). */
void mint_again(struct service *service, const struct parked_request *about, const struct gate_request *request);

/* The token signed, or will not. Both release `pending`. */
void mint_signed(struct service *service, struct pending *pending, const uint8_t *signature, size_t length);
void mint_failed(struct service *service, struct pending *pending, const char *code, const char *detail);

/* Entries up to this ticket are on stable storage; or the ledger cannot be written: what waits for that goes out, or is
 * refused. */
void mint_recorded(struct service *service, uint64_t ticket);
void mint_unrecorded(struct service *service);

/* Whether another of its profile's keys can sign it now; mint_failed then takes it there, once. */
bool mint_may_move(const struct service *service, const struct pending *pending) HM_MUST_USE;

/* Answer whatever is past its deadline and set the timer for the next. */
void mint_expire(struct service *service);

#endif
