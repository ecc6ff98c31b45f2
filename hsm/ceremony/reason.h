/* SPDX-License-Identifier: Apache-2.0 */
/* Why OpenSSL, or libp11 by its means, did not do something. */
#ifndef HSMINT_REASON_H
#define HSMINT_REASON_H

/* <openssl/err.h> asks for the system's <limits.h>, and finds that of src/common. */
#ifndef INT_MAX
#define INT_MAX __INT_MAX__
#endif
#include <openssl/err.h>

#include "failure.h"

/* "WHAT: reason" from OpenSSL's queue of errors. */
static inline hm_result fail_openssl(struct token_failure *why, enum token_class class, const char *what)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());
	return fail(why, class, "%s: %s", what, reason ? reason : "failed");
}

#endif
