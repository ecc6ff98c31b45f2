/* SPDX-License-Identifier: Apache-2.0 */
/* Introspection (RFC 7662) and revocation (RFC 7009) by who holds or accepts a credential. */
#ifndef HSMINT_OAUTH_API_H
#define HSMINT_OAUTH_API_H

#include "api.h"

api_operation oauth_api_introspect, oauth_api_revoke;

#endif
