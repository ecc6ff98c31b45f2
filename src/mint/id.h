/* SPDX-License-Identifier: Apache-2.0 */
/* The ids of credentials, agents, tasks and approvals: 128 random bits in base64url. */
#ifndef HSMINT_ID_H
#define HSMINT_ID_H

#include "limits.h"
#include "result.h"
#include <stdbool.h>

/* A new id. It never begins with "-": as a word of a command it would be taken for an option. False: the kernel gave no
 * random bytes. */
bool id_make(char id[HM_ID_MAX + 1]) HM_MUST_USE;

#endif
