/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS: what gate proves itself by and whom it trusts, as a snapshot that can be swapped while connections live; and
 * who the client at the other end of a session is.
 */
#ifndef HSMINT_TLS_H
#define HSMINT_TLS_H

#include "gate_protocol.h"
#include <gnutls/gnutls.h>
#include <time.h>

/* TLS 1.3 alone, and groups that every client has. */
#define TLS_PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1:%SERVER_PRECEDENCE"

struct tls_snapshot; /* opaque and counted; made by tls_snapshot_make, let go by tls_snapshot_release */

struct tls_pem {
	struct hm_bytes certificate, key, trust;
};

/* HM_REFUSED: `why` says which part is at fault. The PEM may be forgotten afterwards. */
hm_result tls_snapshot_make(const struct tls_pem *pem, struct tls_snapshot **out, struct hm_problem *why) HM_MUST_USE;
struct tls_snapshot *tls_snapshot_hold(struct tls_snapshot *snapshot);
void tls_snapshot_release(struct tls_snapshot *snapshot); /* NULL is fine */

/* Make a session that has not begun use this snapshot and ask for, but not demand, a client's certificate. The caller
 * holds the snapshot until the session is gone. */
bool tls_session_prepare(gnutls_session_t session, struct tls_snapshot *snapshot);

/* Has the handshake been finished? */
bool tls_session_is_open(gnutls_session_t session);

/* What was found out about a session's client, kept with the connection. Begin with zeros. */
struct tls_verdict {
	uint64_t generation; /* of the snapshot that judged; 0: never judged */
	time_t until;
	hm_result result;
	struct hm_problem why;
	struct gate_caller caller;
};

/*
 * Judge the client of a session by `snapshot`, or repeat the verdict if it is fresh. HM_REFUSED:
 * certificate_required or certificate_refused. A verdict holds for a minute, never beyond the end of a certificate,
 * and only for the snapshot that gave it, so a connection does not outlive the trust it was opened with.
 */
hm_result tls_identify(gnutls_session_t session, const struct tls_snapshot *snapshot, struct tls_verdict *verdict,
	struct hm_problem *why) HM_MUST_USE;

#endif
