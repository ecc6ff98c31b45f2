/* SPDX-License-Identifier: Apache-2.0 */
/* A ledger at a URL, for the verbs of `hsmint ledger` that read one. */
#ifndef HSMINT_LEDGER_SERVER_H
#define HSMINT_LEDGER_SERVER_H

#include "http_client.h"
#include "log_source.h"
#include <stdbool.h>

#define LEDGER_SERVER_HELP                                                                                           \
	"  --ca FILE       CAs that the server's certificate is verified by, PEM; default: the system's\n"           \
	"  --cert FILE, --key FILE\n"                                                                                \
	"                  the certificate of a caller with the role audit, and its key, PEM: entries are shown to " \
	"it alone\n"

struct ledger_server {
	struct http_identity identity;
	struct http_client *client;
	struct log_ledger ledger; /* after ledger_server_open */
};

/* Whether this is a URL, not a directory. Source: ledger_server.c */
bool ledger_is_url(const char *place);

/* Take --ca, --cert or --key, by that name. False: it is another option. */
bool ledger_server_option(struct ledger_server *server, const char *name, const char *value);

/* HM_REFUSED also when of --cert and --key one is missing. */
hm_result ledger_server_open(struct ledger_server *server, const char *url, struct hm_problem *why) HM_MUST_USE;
void ledger_server_close(struct ledger_server *server); /* one that was not opened is fine */

#endif
