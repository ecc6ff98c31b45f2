/* SPDX-License-Identifier: Apache-2.0 */
/* POST /v1/nonces: what an HTTP signature needs first. */
#ifndef HSMINT_NONCE_API_H
#define HSMINT_NONCE_API_H

#include "api.h"

api_operation nonce_api_make;

#endif
