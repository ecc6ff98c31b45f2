/* SPDX-License-Identifier: Apache-2.0 */
/* Distinguished names as people write them (RFC 4514). */
#ifndef HSMINT_CEREMONY_NAME_H
#define HSMINT_CEREMONY_NAME_H

#include "limits.h"
#include "result.h"
#include <openssl/x509.h>
#include <stdbool.h>

enum { NAME_TEXT = 4 * HM_SUBJECT_MAX };

/* The DER of a distinguished name in the form of RFC 4514 ("CN=…,O=…"). */
hm_result name_parse(const char *text, uint8_t der[HM_SUBJECT_MAX], size_t *length, struct hm_problem *why) HM_MUST_USE;
/* And back, in the same form. */
bool name_text(const X509_NAME *name, char text[NAME_TEXT]) HM_MUST_USE;

#endif
