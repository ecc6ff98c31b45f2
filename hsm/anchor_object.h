/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The newest checkpoint of the ledger, kept in the token as a data object: of all objects there, those with this label
 * and application are the ones that a service makes and destroys.
 */
#ifndef HSMINT_ANCHOR_OBJECT_H
#define HSMINT_ANCHOR_OBJECT_H

#include "module.h"

struct anchor_note {
	size_t length; /* 0: none is kept */
	uint8_t bytes[HM_ANCHOR_MAX];
};

/* Keep `note` for the ledger of this origin, in place of what was kept: whenever the power is cut, the one before or
 * this one is there. `session` must be read-write and logged in. */
hm_result anchor_object_put(const struct module *module, CK_SESSION_HANDLE session, const char *origin,
	struct hm_bytes note, struct token_failure *why) HM_MUST_USE;

/* What is kept; of two, that a crash left, the one that is further. */
hm_result anchor_object_get(const struct module *module, CK_SESSION_HANDLE session, const char *origin,
	struct anchor_note *note, struct token_failure *why) HM_MUST_USE;

#endif
