/* SPDX-License-Identifier: Apache-2.0 */
#include "id.h"

#include "base64url.h"
#include <stdint.h>
#include <sys/random.h>

enum { ID_BYTES = 16, IDS_AT_ONCE = 16 };

/* The kernel is asked for the random bytes of several ids at once; none is used twice. */
static const uint8_t *draw(void)
{
	static _Thread_local uint8_t bytes[ID_BYTES * IDS_AT_ONCE];
	static _Thread_local size_t used = sizeof bytes;
	if (used == sizeof bytes) {
		if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
			return NULL;
		used = 0;
	}
	used += ID_BYTES;
	return bytes + used - ID_BYTES;
}

bool id_make(char id[HM_ID_MAX + 1])
{
	do {
		const uint8_t *bytes = draw();
		if (!bytes)
			return false;
		id[base64url_encode(bytes, ID_BYTES, id)] = 0;
	} while (id[0] == '-');
	return true;
}
