/* SPDX-License-Identifier: Apache-2.0 */
/* A credential that is looked up in the ledger, and the humans that its entry has commitments to. */
#ifndef HSMINT_LEDGER_CREDENTIAL_H
#define HSMINT_LEDGER_CREDENTIAL_H

#include "entry.h"
#include "limits.h"
#include <jansson.h>

struct ledger_credential {
	char text[HM_JWT_MAX + 1];
	size_t tbs_length; /* of header, dot and payload, at the beginning of `text` */
	json_t *claims;
	const char *id; /* its jti */
};

/* Read a JWT from a file, or from standard input when that is "-". HM_REFUSED: it is none. Source: ledger_credential.c
 */
hm_result ledger_credential_read(
	const char *file, struct ledger_credential *credential, struct hm_problem *why) HM_MUST_USE;
void ledger_credential_free(struct ledger_credential *credential);

/* A person whom an entry has a commitment to. */
struct ledger_human {
	char name[HM_CLAIM_STRING_MAX + 1];
	uint8_t salt[32];
};

struct ledger_humans {
	struct ledger_human people[HM_HUMANS_MAX];
	unsigned count;
};

/* Whether this is the commitment, as the entry has it, to the human. */
bool ledger_is_human(struct hm_bytes commitment, const struct ledger_human *human);

/* Whether the entry is about these bytes: by `tbs`, or by `tbs_hmac` under the salts of its humans. */
bool ledger_is_about(
	const struct entry *entry, const struct ledger_humans *humans, const struct ledger_credential *credential);

#endif
