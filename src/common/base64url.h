/* SPDX-License-Identifier: Apache-2.0 */
/* Base64url without padding (RFC 7515, section 2). */
#ifndef HSMINT_BASE64URL_H
#define HSMINT_BASE64URL_H

#include <stddef.h>
#include <stdint.h>

/* The length that `length` bytes have when encoded. */
static inline size_t base64url_length(size_t length)
{
	return (length * 4 + 2) / 3;
}

/* Encode into `text`, which has room for base64url_length(length) characters; no NUL is written. Returns that length.
 */
size_t base64url_encode(const void *data, size_t length, char *text);

/* Decode strictly: only the alphabet, no padding, and unused bits zero. Returns the length, or SIZE_MAX when the text
 * is not base64url or `size` is too small. */
size_t base64url_decode(const char *text, size_t length, void *data, size_t size);

#endif
