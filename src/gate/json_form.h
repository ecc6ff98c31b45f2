/* SPDX-License-Identifier: Apache-2.0 */
/* The form of a request's body: JSON within our bounds. Its meaning is mint's. */
#ifndef HSMINT_JSON_FORM_H
#define HSMINT_JSON_FORM_H

#include "result.h"
#include <stddef.h>

/*
 * Refuse unless `text` is one JSON object or array in UTF-8 without duplicate members or NUL characters, at most
 * HM_JSON_MAX_DEPTH deep and of at most HM_JSON_MAX_TOKENS values and names. HM_REFUSED: too_deep, invalid_utf8,
 * duplicate_member (the field is the member, when its name is short and plain) or malformed_json.
 */
hm_result json_form_check(const char *text, size_t length, struct hm_problem *why) HM_MUST_USE;

/* The same with HM_JSON_IMPORT_TOKENS. */
hm_result json_form_check_import(const char *text, size_t length, struct hm_problem *why) HM_MUST_USE;

#endif
