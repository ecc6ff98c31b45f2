/* SPDX-License-Identifier: Apache-2.0 */
/* The paths that mint answers, each for one method. Everything else is a published blob or not there. */
#ifndef HSMINT_ROUTE_H
#define HSMINT_ROUTE_H

#include "gate_protocol.h"

struct route {
	const char *path; /* compared byte by byte, never unescaped */
	const char *method;
	enum gate_operation operation; /* OPERATION_MINT_ITEM: of each request of the batch in the body */
};

/* NULL: mint answers nothing at this path. */
const struct route *route_find(const char *path);

#endif
