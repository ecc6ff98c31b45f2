/* SPDX-License-Identifier: Apache-2.0 */
/* The PKCS#11 module and the configured token in it. Loaded by the main thread before there is any other. */
#ifndef HSMINT_MODULE_H
#define HSMINT_MODULE_H

#include "failure.h"

struct module {
	CK_FUNCTION_LIST *calls;
	CK_SLOT_ID slot;
	CK_TOKEN_INFO info; /* as it was when the token was found */
	CK_INFO library;
	uint8_t sha256[32]; /* of the module's file, before it was loaded */
};

/*
 * Set the configured environment, load the module and initialise it for threads. It stays loaded until the process
 * ends. TOKEN_PERMANENT: no such module, or it cannot lock.
 */
hm_result module_load(const struct token_config *config, struct module *module, struct token_failure *why) HM_MUST_USE;

/*
 * Find the one token that has the configured label and, if any are listed, one of the serials. TOKEN_DEVICE: there is
 * none now. TOKEN_CUSTODY: there are several, or it has another serial.
 */
hm_result module_find_token(
	const struct token_config *config, struct module *module, struct token_failure *why) HM_MUST_USE;

/* Find a slot whose token was never initialised. TOKEN_PERMANENT: there is none, or one with this label exists. */
hm_result module_find_blank(
	const struct token_config *config, struct module *module, struct token_failure *why) HM_MUST_USE;

/* What the token and the module say of themselves: all of `ready` but threads, probe and keys. */
hm_result module_describe(
	const struct module *module, struct token_ready *ready, struct token_failure *why) HM_MUST_USE;

/* Read one attribute into `value` of `*length` bytes, and set its length. */
hm_result module_attribute(const struct module *module, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
	CK_ATTRIBUTE_TYPE type, void *value, CK_ULONG *length, struct token_failure *why) HM_MUST_USE;

#endif
