/* SPDX-License-Identifier: Apache-2.0 */
/* The paths that mint answers. Everything else is a published blob or not there. */
#ifndef HSMINT_ROUTE_H
#define HSMINT_ROUTE_H

#include "gate_protocol.h"

struct route {
	const char *path;    /* compared byte by byte, never unescaped; of the ledger's NULL: mint reads them */
	const char *methods; /* as the header Allow has them */
	enum gate_operation operation; /* OPERATION_MINT_ITEM: of each request of the batch in the body */
};

/* NULL: mint answers nothing at this path. */
const struct route *route_find(const char *path);

bool route_takes(const struct route *route, const char *method);

#endif
