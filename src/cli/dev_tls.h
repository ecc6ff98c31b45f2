/* SPDX-License-Identifier: Apache-2.0 */
/* The TLS files of `hsmint dev`: a CA and two certificates under it, all P-256. */
#ifndef HSMINT_DEV_TLS_H
#define HSMINT_DEV_TLS_H

#include "result.h"

/*
 * Write DIR/tls/{ca,server,client}.{crt,key} (0600), making DIR/tls. The server's names are localhost, 127.0.0.1 and
 * ::1; one URI SAN each have the client and the approver, whose files are tls/approver.{crt,key}.
 */
hm_result dev_tls_make(
	const char *dir, const char *client_uri, const char *approver_uri, struct hm_problem *why) HM_MUST_USE;

#endif
