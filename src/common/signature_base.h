/* SPDX-License-Identifier: Apache-2.0 */
/* What an HTTP signature is made over (RFC 9421, section 2.5), for who signs and for who verifies. docs/governance.md
 * has the components. */
#ifndef HSMINT_SIGNATURE_BASE_H
#define HSMINT_SIGNATURE_BASE_H

#include "limits.h"
#include <stddef.h>

enum { SIGNATURE_BASE_MAX = HM_HTTP_MAX_PATH + HM_SIGNATURE_INPUT_MAX + 512 };

struct signature_components {
	const char *method, *target; /* the target: path, and with ? its query */
	const char *digest;          /* Content-Digest; NULL: there is no body */
};

/* `params` is the value of Signature-Input behind its label. Returns the length; 0: there is no room. */
size_t signature_base_write(
	const struct signature_components *components, const char *params, char base[SIGNATURE_BASE_MAX]);

#endif
