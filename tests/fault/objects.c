/* SPDX-License-Identifier: Apache-2.0 */
#include "objects.h"

#include "script.h"
#include <stdatomic.h>

enum { STRIDE = 1 << 24, KEYS_MAX = 64 };

static atomic_ulong generation;

void objects_renumber(void)
{
	atomic_fetch_add(&generation, 1);
}

CK_OBJECT_HANDLE objects_give(CK_OBJECT_HANDLE real)
{
	if (real >= STRIDE)
		give_up("the wrapped module's handles are too large");
	return real + atomic_load(&generation) * STRIDE;
}

bool objects_take(CK_OBJECT_HANDLE given, CK_OBJECT_HANDLE *real)
{
	*real = given % STRIDE;
	return given / STRIDE == atomic_load(&generation);
}

CK_OBJECT_HANDLE objects_other_key(CK_FUNCTION_LIST *wrapped, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key)
{
	CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
	CK_KEY_TYPE type = CK_UNAVAILABLE_INFORMATION;
	CK_ATTRIBUTE wanted[] = {{CKA_CLASS, &class, sizeof class}, {CKA_KEY_TYPE, &type, sizeof type}};
	CK_OBJECT_HANDLE found[KEYS_MAX];
	CK_ULONG count = 0;
	if (wrapped->C_GetAttributeValue(session, key, &wanted[1], 1) != CKR_OK ||
		wrapped->C_FindObjectsInit(session, wanted, 2) != CKR_OK ||
		wrapped->C_FindObjects(session, found, KEYS_MAX, &count) != CKR_OK ||
		wrapped->C_FindObjectsFinal(session) != CKR_OK)
		give_up("keys cannot be found");
	for (CK_ULONG i = 0; i < count; i++)
		if (found[i] != key)
			return found[i];
	give_up("the token has no other key of this type");
}
