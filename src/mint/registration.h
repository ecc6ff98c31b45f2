/* SPDX-License-Identifier: Apache-2.0 */
/* What registers an agent or a class, and what acts on one carry: JSON, read strictly. */
#ifndef HSMINT_REGISTRATION_H
#define HSMINT_REGISTRATION_H

#include "agent_limits.h"

/* Its texts are those of the JSON that it was read from, and the issuer's. */
struct registration {
	struct agent agent; /* without id and time */
	struct limits_read limits;
};

/* {issuer?, spiffe_id, class?, owner, contact?, purpose, review, limits?}, for an issuer with this trust domain.
 * Whether the review is still to come is not asked. HM_REFUSED: the member at fault. */
hm_result registration_read(json_t *members, const char *issuer, const char *trust_domain, struct registration *out,
	struct hm_problem *why) HM_MUST_USE;

/* The member `issuer`, by which api.c has chosen the issuer. */
hm_result agent_issuer_read(json_t *value, struct hm_problem *why) HM_MUST_USE;

/* Of an act on an agent, what it changes; NULL and 0: nothing. */
struct agent_act {
	const char *owner, *contact, *reason;
	int64_t review;
};

/* {issuer?, reason?} */
hm_result agent_act_read(json_t *members, struct agent_act *out, struct hm_problem *why) HM_MUST_USE;
/* {issuer?, owner, contact?, review?} */
hm_result agent_transfer_read(json_t *members, struct agent_act *out, struct hm_problem *why) HM_MUST_USE;

#endif
