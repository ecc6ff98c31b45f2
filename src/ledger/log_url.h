/* SPDX-License-Identifier: Apache-2.0 */
/* A ledger that a server has. */
#ifndef HSMINT_LOG_URL_H
#define HSMINT_LOG_URL_H

#include "http_client.h"
#include "log_source.h"

/*
 * The ledger at the client's URL (https://mint.example.org/ledger), as it is now. `client` must outlive it.
 * HM_UNAVAILABLE: it cannot be asked, or has no checkpoint yet. Source: log_url.c
 */
hm_result log_url(struct http_client *client, struct log_ledger *ledger, struct hm_problem *why) HM_MUST_USE;

#endif
