/* SPDX-License-Identifier: Apache-2.0 */
/* A target with a fault on purpose, one mutation away from its seed: the driver and the sanitizer must find it. */
#include "fuzz.h"

#include <string.h>

static const char seed[] = "length 3: abc";
static volatile uint8_t seen; /* so that the compiler keeps the reading */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size != sizeof seed - 1 || memcmp(data, "length ", 7) != 0 || data[7] < '0' || data[7] > '9')
		return 0;
	size_t length = data[7] - (size_t)'0'; /* believed, though only three bytes follow */
	for (size_t i = 0; i < length; i++)
		seen = data[10 + i];
	return 0;
}

size_t fuzz_seed(unsigned number, uint8_t *data)
{
	if (number)
		return 0;
	memcpy(data, seed, sizeof seed - 1);
	return sizeof seed - 1;
}
