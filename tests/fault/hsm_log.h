/* SPDX-License-Identifier: Apache-2.0 */
/* What an HSM keeps of its own accord: a line for each signature in the file HSMINT_TEST_HSM_LOG, by all processes. */
#ifndef HSMINT_TEST_HSM_LOG_H
#define HSMINT_TEST_HSM_LOG_H

#include <p11-kit/pkcs11.h>

/* This thread's next signature will be by this key of the wrapped module. */
void hsm_log_begin(CK_OBJECT_HANDLE key);

/* It was made: "time,label,1". */
void hsm_log_signed(CK_FUNCTION_LIST *wrapped, CK_SESSION_HANDLE session);

#endif
