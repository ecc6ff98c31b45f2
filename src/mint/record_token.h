/* SPDX-License-Identifier: Apache-2.0 */
/* What the ledger is told of the tokens' processes: their lives, and what they signed. */
#ifndef HSMINT_RECORD_TOKEN_H
#define HSMINT_RECORD_TOKEN_H

#include "service.h"

/* What its process has signed since token_counted(token), if anything; and that this is all it signs (`final`). */
void record_counts(struct service *service, const struct token *token, const struct token_counts *counts, bool final);

void record_life(struct service *service, const struct token *token, enum token_life life);

/* What the next shard may see counted without an entry in it: a JSON array. 0: no room. */
size_t record_carried(const struct service *service, char *text, size_t size);

#endif
