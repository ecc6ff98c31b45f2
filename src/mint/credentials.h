/* SPDX-License-Identifier: Apache-2.0 */
/* The TLS files of the configuration, checked and put where gate can have them without opening a file. */
#ifndef HSMINT_CREDENTIALS_H
#define HSMINT_CREDENTIALS_H

#include "config.h"
#include "gate.h"

/*
 * Read certificate chain, key and trusted CAs into sealed memfds in `sockets` (replacing what was there, which stays
 * open). HM_REFUSED: `why` names the file: unreadable, not PEM, a key that others can read or that is not the
 * certificate's. On failure `sockets` is unchanged.
 */
hm_result credentials_load(
	const struct config_tls *tls, struct gate_sockets *sockets, struct hm_problem *why) HM_MUST_USE;

/* The trusted CAs as they were read, in PEM, until the next call; NULL: there are none, or they cannot be had. */
const char *credentials_trust(const struct gate_sockets *sockets);

/* Close them; the sockets stay. */
void credentials_close(struct gate_sockets *sockets);

#endif
