/* SPDX-License-Identifier: Apache-2.0 */
/* A JWS in compact form (RFC 7515, section 7.1) taken apart, with nothing decoded or copied. */
#ifndef HSMINT_JWS_PARTS_H
#define HSMINT_JWS_PARTS_H

#include <stdbool.h>
#include <stddef.h>

struct jws_part {
	const char *text;
	size_t length;
};

struct jws_parts {
	struct jws_part header, payload, signature;
	struct jws_part signed_; /* header, dot, payload */
};

/* Three parts, which may be empty. False: there are not three (five would be a JWE), or more than `most` bytes. */
bool jws_split(const char *text, size_t length, size_t most, struct jws_parts *parts);

#endif
