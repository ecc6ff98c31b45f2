/* SPDX-License-Identifier: Apache-2.0 */
/* The paths that mint answers. Everything else is a published blob or not there. */
#ifndef HSMINT_ROUTE_H
#define HSMINT_ROUTE_H

#include "gate_protocol.h"

enum route_flag {
	ROUTE_QUERY = 1, /* takes one, with GET */
	ROUTE_FORM = 2,  /* the body is application/x-www-form-urlencoded, not JSON */
	ROUTE_LARGE = 4, /* the body may have HM_HTTP_MAX_BATCH_BODY bytes */
	ROUTE_OAUTH = 8, /* refusals are RFC 6749's, not problems */
};

struct route {
	/* Compared byte by byte, never unescaped; {id} is 1 to 64 letters, digits, - and _; of the ledger's NULL: mint
	 * reads them. */
	const char *path;
	const char *methods;           /* as the header Allow has them */
	enum gate_operation operation; /* OPERATION_MINT_ITEM: of each request of the batch in the body */
	unsigned flags;                /* of enum route_flag */
};

/* NULL: mint answers nothing at this path. An issuer's endpoint is any path that ends as one: mint knows the issuers.
 */
const struct route *route_find(const char *path);

/* An issuer's authorization endpoint is a published blob that is also had by POST and with a query (RFC 6749, section
 * 3.1): whatever is asked for, the answer is the same. */
bool route_is_authorization(const char *path);

bool route_takes(const struct route *route, const char *method);

#endif
