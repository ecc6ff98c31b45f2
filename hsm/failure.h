/* SPDX-License-Identifier: Apache-2.0 */
/* Filling a struct token_failure where the fault is seen. It is sent to mint once, and nobody else. */
#ifndef HSMINT_FAILURE_H
#define HSMINT_FAILURE_H

#include "ckr.h"

/* A PKCS#11 call failed: its class, name and number. Always HM_UNAVAILABLE. */
hm_result fail_call(struct token_failure *why, const char *function, CK_RV ckr) HM_MUST_USE;

/* We refuse, or the system does. The format says what would mend it. Always HM_REFUSED. */
hm_result fail(struct token_failure *why, enum token_class class, const char *format, ...) HM_PRINTF(3, 4) HM_MUST_USE;

/* Leave with fail_call unless the call returned CKR_OK. */
#define TRY_CALL(why, calls, function, ...)                           \
	do {                                                          \
		CK_RV try_ckr_ = (calls)->function(__VA_ARGS__);      \
		if (try_ckr_ != CKR_OK)                               \
			return fail_call((why), #function, try_ckr_); \
	} while (0)

#endif
