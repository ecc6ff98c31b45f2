/* SPDX-License-Identifier: Apache-2.0 */
/* What a set of changes holds, for the databases that carry it out. store.h is for everybody else. */
#ifndef HSMINT_CHANGES_H
#define HSMINT_CHANGES_H

#include "store.h"

enum change_act { CHANGE_PUT, CHANGE_DELETE, CHANGE_GUARD };

struct change {
	enum change_act act;
	enum record_kind kind;
	uint64_t seen;
	char *key, *body; /* body: NULL unless it is put */
	size_t length;
};

struct changes {
	struct change *items;
	unsigned count, size;
};

#endif
