/* SPDX-License-Identifier: Apache-2.0 */
/* What each PKCS#11 return value is called, and who has to act on it. */
#ifndef HSMINT_CKR_H
#define HSMINT_CKR_H

#include "token_protocol.h"
#include <p11-kit/pkcs11.h>

/* "CKR_DEVICE_ERROR"; "CKR_VENDOR_DEFINED" or "CKR_?" for values without a name. */
const char *ckr_name(CK_RV ckr);

/* Its class; a value that is in no list means that the device cannot be trusted to be well. */
enum token_class ckr_class(CK_RV ckr);

#endif
