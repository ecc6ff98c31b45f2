/* SPDX-License-Identifier: Apache-2.0 */
/* Base64 with padding (RFC 4648, section 4), as notes, checkpoints and proofs have it. */
#ifndef HSMINT_BASE64_H
#define HSMINT_BASE64_H

#include <stddef.h>
#include <stdint.h>

/* The length that `length` bytes have when encoded. */
static inline size_t base64_length(size_t length)
{
	return (length + 2) / 3 * 4;
}

/* Encode into `text`, which has room for base64_length(length) characters; no NUL is written. Returns that length. */
size_t base64_encode(const void *data, size_t length, char *text);

/* Decode strictly: only the alphabet, padded, and unused bits zero. Returns the length, or SIZE_MAX when the text is
 * not base64 or `size` is too small. */
size_t base64_decode(const char *text, size_t length, void *data, size_t size);

#endif
