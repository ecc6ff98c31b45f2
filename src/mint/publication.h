/* SPDX-License-Identifier: Apache-2.0 */
/* The documents that gate serves from memory, kept here so that a new gate gets them all. */
#ifndef HSMINT_PUBLICATION_H
#define HSMINT_PUBLICATION_H

#include "gate_protocol.h"

struct publications; /* opaque; made by publications_open, released by publications_close */

struct publications *publications_open(void); /* NULL: no memory */
void publications_close(struct publications *publications);

/* What may be kept of a document by those who fetched it. All but the first have an ETag. */
enum publication_caching {
	CACHING_NONE,
	CACHING_MINUTES,  /* five, also by a cache between */
	CACHING_SECONDS,  /* a status list's ttl */
	CACHING_ASK_AGAIN /* it may be kept, and used when we say that it is still the same */
};

/* Set what stands at `path`. False: nothing changed (or there is no memory or place for more). The body is copied. */
bool publications_set(struct publications *publications, const char *path, int status, const char *content_type,
	enum publication_caching caching, const void *body, size_t length);

/* An ETag derived from the content alone. */
void publication_etag(const void *body, size_t length, char etag[ETAG_SIZE]);

/* Remove one document; `removed` is called with a status of 0. Nothing happens when there is none. */
typedef void publication_use(void *context, const struct gate_publish *publish);
void publications_remove(struct publications *publications, const char *path, publication_use *removed, void *context);

void publications_each(const struct publications *publications, publication_use *use, void *context);
const struct gate_publish *publications_find(const struct publications *publications, const char *path);

#endif
