/* SPDX-License-Identifier: Apache-2.0 */
/* The handles that the fault module gives for the wrapped module's objects, so that they can become others. */
#ifndef HSMINT_TEST_OBJECTS_H
#define HSMINT_TEST_OBJECTS_H

#include <p11-kit/pkcs11.h>
#include <stdbool.h>

/* Every handle given so far is invalid from now on. */
void objects_renumber(void);

/* The handle to give for the wrapped module's. */
CK_OBJECT_HANDLE objects_give(CK_OBJECT_HANDLE real);

/* The wrapped module's handle for one that was given. False: it is not valid, or no longer. */
bool objects_take(CK_OBJECT_HANDLE given, CK_OBJECT_HANDLE *real);

/* Another private key of this one's type, both as the wrapped module has them. */
CK_OBJECT_HANDLE objects_other_key(CK_FUNCTION_LIST *wrapped, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key);

#endif
