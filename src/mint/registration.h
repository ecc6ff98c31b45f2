/* SPDX-License-Identifier: Apache-2.0 */
/* What registers an agent or a class, and what gives it to another owner: JSON, read strictly. Its issuer was read
 * before. */
#ifndef HSMINT_REGISTRATION_H
#define HSMINT_REGISTRATION_H

#include "agent_limits.h"

/* Its texts are those of the JSON that it was read from, and the issuer's. */
struct registration {
	struct agent agent; /* without id and time */
	struct limits_read limits;
};

/*
 * {spiffe_id, class?, owner, contact?, purpose, review, limits?}, for an issuer with this trust domain. Whether the
 * review is still to come is not asked. HM_REFUSED: the member at fault.
 */
hm_result registration_read(json_t *members, const char *issuer, const char *trust_domain, struct registration *out,
	struct hm_problem *why) HM_MUST_USE;

/* What a transfer changes. */
struct transfer {
	const char *owner;
	const char *contact; /* NULL: it stays */
	int64_t review;      /* 0: it stays */
};

/* {owner, contact?, review?}, as above. */
hm_result transfer_read(json_t *members, struct transfer *out, struct hm_problem *why) HM_MUST_USE;

#endif
