/* SPDX-License-Identifier: Apache-2.0 */
#include "published.h"

#include "answer.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OWN_BLOBS = 1 };

struct published {
	unsigned count;
	bool closing;
	struct published_blob *blobs[HM_PUBLISHED_MAX + OWN_BLOBS]; /* in the order of their paths */
};

static void blob_free(struct published_blob *blob)
{
	if (!blob)
		return;
	if (blob->response)
		MHD_destroy_response(blob->response); /* answers under way hold their own reference */
	free(blob);
}

static bool blob_closes(struct published_blob *blob)
{
	return answer_add(blob->response, MHD_HTTP_HEADER_CONNECTION, "close");
}

static bool blob_build(struct published_blob *blob, const struct gate_publish *publish)
{
	snprintf(blob->path, sizeof blob->path, "%s", publish->path);
	snprintf(blob->etag, sizeof blob->etag, "%s", publish->etag);
	blob->status = publish->status;
	blob->response = answer_make(publish->content_type, publish->cache_control, publish->body);
	return blob->response && (!blob->etag[0] || answer_add(blob->response, MHD_HTTP_HEADER_ETAG, blob->etag));
}

static struct published_blob *blob_make(const struct gate_publish *publish, bool closing)
{
	struct published_blob *blob = calloc(1, sizeof *blob);
	if (blob && blob_build(blob, publish) && (!closing || blob_closes(blob)))
		return blob;
	blob_free(blob);
	return NULL;
}

/* The place of a path: the index of the first blob that does not come before it. */
static unsigned place(const struct published *published, const char *path, bool *there)
{
	unsigned low = 0;
	unsigned high = published->count;
	*there = false;
	while (low < high) {
		unsigned middle = (low + high) / 2;
		int order = strcmp(published->blobs[middle]->path, path);
		*there |= order == 0;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void take_out(struct published *published, unsigned at)
{
	blob_free(published->blobs[at]);
	published->count--;
	memmove(published->blobs + at, published->blobs + at + 1, sizeof *published->blobs * (published->count - at));
}

hm_result published_set(struct published *published, const struct gate_publish *publish)
{
	bool there;
	unsigned at = place(published, publish->path, &there);
	if (publish->status == 0) {
		if (there)
			take_out(published, at);
		return HM_OK;
	}
	if (!there && published->count == HM_PUBLISHED_MAX + OWN_BLOBS)
		return HM_UNAVAILABLE;
	struct published_blob *blob = blob_make(publish, published->closing);
	if (!blob)
		return HM_UNAVAILABLE;
	if (there) {
		blob_free(published->blobs[at]);
	} else {
		memmove(published->blobs + at + 1, published->blobs + at,
			sizeof *published->blobs * (published->count - at));
		published->count++;
	}
	published->blobs[at] = blob;
	return HM_OK;
}

struct published *published_open(void)
{
	static const char body[] = "{\"status\":\"ok\"}";
	static const struct gate_publish health = {.path = "/healthz",
		.status = 200,
		.content_type = "application/json",
		.cache_control = "no-store",
		.body = {(const uint8_t *)body, sizeof body - 1}};
	struct published *published = calloc(1, sizeof *published);
	if (published && published_set(published, &health) == HM_OK)
		return published;
	free(published);
	return NULL;
}

void published_close(struct published *published)
{
	if (!published)
		return;
	for (unsigned i = 0; i < published->count; i++)
		blob_free(published->blobs[i]);
	free(published);
}

const struct published_blob *published_find(const struct published *published, const char *path)
{
	bool there;
	unsigned at = place(published, path, &there);
	return there ? published->blobs[at] : NULL;
}

bool published_matches(const struct published_blob *blob, const char *value, size_t length)
{
	return blob->status == 200 && answer_matches(blob->etag, value, length);
}

void published_closing(struct published *published)
{
	published->closing = true;
	for (unsigned i = 0; i < published->count; i++)
		(void)blob_closes(published->blobs[i]);
}
