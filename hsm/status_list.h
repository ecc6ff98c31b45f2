/* SPDX-License-Identifier: Apache-2.0 */
/* What a key for status lists may sign: the payload, byte for byte in the one form that mint writes. */
#ifndef HSMINT_HSM_STATUS_LIST_H
#define HSMINT_HSM_STATUS_LIST_H

#include "key.h"

/* `tbs` has passed jose_check, so that header and issuer are this key's. TOKEN_REFUSED: it is no status list of the
 * issuer's. */
hm_result status_list_check(const struct key *key, struct hm_bytes tbs, struct token_failure *why) HM_MUST_USE;

#endif
