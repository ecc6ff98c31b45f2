/* SPDX-License-Identifier: Apache-2.0 */
/* Inside libhsmint: what a request was put together to. */
#ifndef HSMINT_CLIENT_REQUEST_H
#define HSMINT_CLIENT_REQUEST_H

#include "hsmint/client.h"

/* The request as JSON, to be released with free(). NULL and `*error` when the request failed while being made. */
char *request_text(const hsmint_request *request, hsmint_error **error);

/* The key that was set, or "". */
const char *request_key(const hsmint_request *request);

#endif
