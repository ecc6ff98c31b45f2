/* SPDX-License-Identifier: Apache-2.0 */
/* Making the errors that libhsmint hands out. Each function does nothing when `error` is NULL. */
#ifndef HSMINT_CLIENT_ERROR_H
#define HSMINT_CLIENT_ERROR_H

#include "hsmint/client.h"
#include <jansson.h>
#include <stdbool.h>

/* One of the library's own codes; the format tells what happened. */
void error_make(hsmint_error **error, const char *code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* From a problem (RFC 9457), already parsed. False: it is none. `retry_after` in seconds, 0 when there was none. */
bool error_from_problem(hsmint_error **error, const json_t *problem, int status, long retry_after);

/* From the answer that a request waits for an approval, already parsed. False: it is none. */
bool error_from_approval(hsmint_error **error, const json_t *answer);

/* An HTTP status without a problem behind it, such as libmicrohttpd gives on its own. */
void error_from_status(hsmint_error **error, int status, long retry_after);

#endif
