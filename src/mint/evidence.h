/* SPDX-License-Identifier: Apache-2.0 */
/* What a key's custody rests on, as its token showed it at its last start: GET /v1/keys, `hsmint key`. */
#ifndef HSMINT_EVIDENCE_H
#define HSMINT_EVIDENCE_H

#include "service.h"

enum { EVIDENCE_MAX = 512 * 1024, EVIDENCE_KEY_MAX = 32 * 1024 };

/*
 * Write {"ok":true,"keys":[…]} into `text` of `size` (EVIDENCE_MAX suffices) and return the length. With `caller` only
 * keys of issuers at which it has the role audit or operate, and the ledger's; NULL: of all.
 */
size_t evidence_write(const struct service *service, const struct gate_caller *caller, char *text, size_t size);

/* The evidence of one key that is known, as an object without times: what the ledger's entries have the hash of.
 * Returns its length, 0 when there is no room. */
size_t evidence_write_key(const struct service *service, const struct issuing_key *issuing, char *text, size_t size);

#endif
