/* SPDX-License-Identifier: Apache-2.0 */
/* Entries of the ledger for what came into being with a mint request. docs/ledger.md has their members. */
#ifndef HSMINT_RECORD_BORN_H
#define HSMINT_RECORD_BORN_H

#include "parked.h"
#include "service.h"

/* They were committed as `sequence`. The ticket of the last entry; 0: none could be added. */
uint64_t record_born(struct service *service, const struct parked_acts *acts, uint64_t sequence);

#endif
