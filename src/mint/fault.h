/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Faults that an operator provokes in a service for tests, to see what its callers make of them: `hsmint dev ctl`. Only
 * a service that `hsmint dev` runs takes them.
 */
#ifndef HSMINT_FAULT_H
#define HSMINT_FAULT_H

#include "result.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct service;

struct fault {
	bool allowed;
	const char *code;  /* each mint request is answered with it, NULL: none; a string of problem_kinds, */
	uint64_t until_ms; /* until then, on the loop's clock */
};

/*
 * Do what `request`, {"fault": …, "ms": …, "code": …}, says. HM_REFUSED: unknown_command where no fault is allowed or
 * there is no such fault, or the member at fault.
 */
hm_result fault_command(struct service *service, const json_t *request, struct hm_problem *why) HM_MUST_USE;

/* What a mint request is to be answered with instead of being decided; HM_OK: nothing. */
hm_result fault_refusal(struct service *service, struct hm_problem *why) HM_MUST_USE;

#endif
