/* SPDX-License-Identifier: Apache-2.0 */
/* A status list as a token (draft-ietf-oauth-status-list, section 5.1). */
#ifndef HSMINT_STATUS_LIST_TOKEN_H
#define HSMINT_STATUS_LIST_TOKEN_H

#include "limits.h"
#include "result.h"
#include <stddef.h>

enum { STATUS_TTL_SECONDS = 5, STATUS_LIFE_SECONDS = 300 };

/* The bits as the draft compresses them: zlib's DEFLATE, in base64url. The length; 0: no room, or no memory. */
size_t status_list_compress(const uint8_t *bits, size_t length, char *text, size_t size);

/* What is to be signed: the key's header (base64url), dot, payload, into `tbs` of HM_JWT_TBS_MAX bytes. HM_BROKEN: it
 * does not fit. */
hm_result status_list_build(const char *header, const char *issuer_url, unsigned list, const uint8_t *bits, size_t size,
	int64_t issued, char *tbs, size_t *length, struct hm_problem *why) HM_MUST_USE;

#endif
