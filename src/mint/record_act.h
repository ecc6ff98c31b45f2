/* SPDX-License-Identifier: Apache-2.0 */
/* The ledger's entry of an act: what it changed, by whom, and how it was proven who that is. */
#ifndef HSMINT_RECORD_ACT_H
#define HSMINT_RECORD_ACT_H

#include "api.h"

const char *api_way_name(enum api_way way); /* "gate", "signed", "control" */

/* `sequence` is that of its commit. Returns the entry's ticket; 0: no memory, or it is longer than an entry may be. */
uint64_t record_act(struct service *service, const struct api_call *call, uint64_t sequence);

#endif
