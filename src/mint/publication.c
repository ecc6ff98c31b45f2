/* SPDX-License-Identifier: Apache-2.0 */
#include "publication.h"

#include "status_list_token.h"

#include "base64url.h"
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct publications {
	unsigned count;
	struct entry {
		struct gate_publish publish; /* its body is ours */
	} entries[HM_PUBLISHED_MAX];
};

struct publications *publications_open(void)
{
	return calloc(1, sizeof(struct publications));
}

void publications_close(struct publications *publications)
{
	if (!publications)
		return;
	for (unsigned i = 0; i < publications->count; i++)
		free((void *)publications->entries[i].publish.body.data);
	free(publications);
}

static struct entry *find(struct publications *publications, const char *path)
{
	for (unsigned i = 0; i < publications->count; i++)
		if (strcmp(publications->entries[i].publish.path, path) == 0)
			return &publications->entries[i];
	return NULL;
}

static struct entry *find_or_add(struct publications *publications, const char *path)
{
	struct entry *entry = find(publications, path);
	if (entry || publications->count == HM_PUBLISHED_MAX || strlen(path) > HM_HTTP_MAX_PATH)
		return entry;
	entry = &publications->entries[publications->count++];
	*entry = (struct entry){0};
	snprintf(entry->publish.path, sizeof entry->publish.path, "%s", path);
	return entry;
}

void publication_etag(const void *body, size_t length, char etag[ETAG_SIZE])
{
	uint8_t digest[32];
	char text[44];
	etag[0] = 0;
	if (EVP_Digest(body, length, digest, NULL, EVP_sha256(), NULL) != 1)
		return;
	text[base64url_encode(digest, sizeof digest, text)] = 0;
	snprintf(etag, ETAG_SIZE, "\"%s\"", text);
}

static void put_caching(struct gate_publish *publish, enum publication_caching caching)
{
	const char *text = caching == CACHING_ASK_AGAIN ? "no-cache" : "no-store";
	snprintf(publish->cache_control, sizeof publish->cache_control, "%s", text);
	if (caching == CACHING_MINUTES)
		snprintf(publish->cache_control, sizeof publish->cache_control, "public, max-age=%d", HM_JWKS_AGE);
	if (caching == CACHING_SECONDS)
		snprintf(publish->cache_control, sizeof publish->cache_control, "public, max-age=%d",
			STATUS_TTL_SECONDS);
	publish->etag[0] = 0;
	if (caching != CACHING_NONE)
		publication_etag(publish->body.data, publish->body.length, publish->etag);
}

bool publications_set(struct publications *publications, const char *path, int status, const char *content_type,
	enum publication_caching caching, const void *body, size_t length)
{
	struct entry *entry = find_or_add(publications, path);
	if (!entry)
		return false;
	struct gate_publish *publish = &entry->publish;
	if (publish->status == status && publish->body.length == length &&
		memcmp(publish->body.data, body, length) == 0)
		return false;
	uint8_t *copy = malloc(length + 1);
	if (!copy)
		return false;
	memcpy(copy, body, length);
	free((void *)publish->body.data);
	publish->body = (struct hm_bytes){copy, length};
	publish->status = (uint16_t)status;
	snprintf(publish->content_type, sizeof publish->content_type, "%s", content_type);
	put_caching(publish, caching);
	return true;
}

void publications_remove(struct publications *publications, const char *path, publication_use *removed, void *context)
{
	struct entry *entry = find(publications, path);
	if (!entry)
		return;
	entry->publish.status = 0;
	removed(context, &entry->publish);
	free((void *)entry->publish.body.data);
	*entry = publications->entries[--publications->count];
}

void publications_each(const struct publications *publications, publication_use *use, void *context)
{
	for (unsigned i = 0; i < publications->count; i++)
		use(context, &publications->entries[i].publish);
}

const struct gate_publish *publications_find(const struct publications *publications, const char *path)
{
	struct entry *entry = find((struct publications *)publications, path);
	return entry ? &entry->publish : NULL;
}
