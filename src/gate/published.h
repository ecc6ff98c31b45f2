/* SPDX-License-Identifier: Apache-2.0 */
/* The blobs that gate serves from memory: JWKS, bundles, discovery, readiness, and its own /healthz. */
#ifndef HSMINT_PUBLISHED_H
#define HSMINT_PUBLISHED_H

#include "gate_protocol.h"
#include <microhttpd.h>

struct published; /* opaque; made by published_open, released by published_close */

struct published_blob {
	char path[HM_HTTP_MAX_PATH + 1];
	unsigned status;
	char etag[68];                 /* "" for none */
	struct MHD_Response *response; /* built once, for every answer; with status 304 it goes without its body */
};

/* Holds /healthz from the start. NULL: out of memory. */
struct published *published_open(void);
void published_close(struct published *published); /* NULL is fine */

/* Put, replace or (status 0) remove the blob at a path; answers that are being sent keep the old one.
 * HM_UNAVAILABLE: out of memory, or HM_PUBLISHED_MAX are held. */
hm_result published_set(struct published *published, const struct gate_publish *publish) HM_MUST_USE;

/* NULL: nothing is at this path. Valid until the next published_set. */
const struct published_blob *published_find(const struct published *published, const char *path);

/* Does the value of an If-None-Match header name this blob (RFC 9110, section 13.1.2)? */
bool published_matches(const struct published_blob *blob, const char *value, size_t length);

/* From now on each answer says that its connection closes. */
void published_closing(struct published *published);

#endif
