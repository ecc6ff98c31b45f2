/* SPDX-License-Identifier: Apache-2.0 */
/* SipHash-2-4 (Aumasson and Bernstein, 2012): where texts that others choose are found by their hash, a key of our own
 * keeps them from choosing texts of one hash. */
#ifndef HSMINT_SIPHASH_H
#define HSMINT_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

struct siphash_key {
	uint8_t bytes[16];
};

uint64_t siphash(const struct siphash_key *key, const void *data, size_t length);

#endif
