/* SPDX-License-Identifier: Apache-2.0 */
#include "log_url.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_MAX_LENGTH = TILE_NAME_MAX + 32 };

struct remote {
	struct http_client *client;
	unsigned number;
	char note[NOTE_MAX];
	size_t length;
};

/* ---- asking ---- */

static hm_result refuse_status(const char *path, int status, struct hm_problem *why)
{
	switch (status) {
	case 401:
	case 403:
		return hm_unavailable(why, "ledger",
			"%s: the server shows entries to callers with the role audit alone (status %d): give its "
			"certificate with "
			"--cert and --key",
			path, status);
	case 404:
		return hm_unavailable(why, "ledger", "%s: is not there (status 404)", path);
	default:
		return hm_unavailable(why, "ledger", "%s: the server answers with status %d", path, status);
	}
}

static hm_result get(
	struct http_client *client, const char *path, size_t most, struct http_answer *answer, struct hm_problem *why)
{
	HM_TRY(http_get(client, path, most, answer, why));
	if (answer->status == 200)
		return HM_OK;
	hm_result result = refuse_status(path, answer->status, why);
	http_answer_free(answer);
	return result;
}

static hm_result get_note(
	struct http_client *client, const char *path, char note[NOTE_MAX], size_t *length, struct hm_problem *why)
{
	struct http_answer answer;
	*length = 0;
	HM_TRY(get(client, path, NOTE_MAX - 1, &answer, why));
	memcpy(note, answer.body, answer.length + 1);
	*length = answer.length;
	http_answer_free(&answer);
	return HM_OK;
}

static hm_result get_tile(const struct remote *remote, const struct tile_name *name, size_t most,
	struct http_answer *answer, struct hm_problem *why)
{
	char path[PATH_MAX_LENGTH];
	int used = snprintf(path, sizeof path, "/%u/tile/", remote->number);
	tile_name_write(name, path + used);
	return get(remote->client, path, most, answer, why);
}

/* ---- a shard ---- */

static hm_result checkpoint(void *context, char note[NOTE_MAX], size_t *length, struct hm_problem *why)
{
	const struct remote *remote = context;
	(void)why;
	memcpy(note, remote->note, remote->length + 1);
	*length = remote->length;
	return HM_OK;
}

static hm_result tile(
	void *context, const struct tile_name *name, struct merkle_hash hashes[TILE_WIDTH], struct hm_problem *why)
{
	struct http_answer answer;
	size_t wanted = name->width * sizeof *hashes;
	HM_TRY(get_tile(context, name, TILE_BYTES, &answer, why));
	bool is_whole = answer.length == wanted;
	if (is_whole)
		memcpy(hashes, answer.body, wanted);
	http_answer_free(&answer);
	return is_whole ? HM_OK : hm_refuse(why, "ledger", NULL, "it has not the length of %u hashes", name->width);
}

static hm_result bundle(
	void *context, const struct tile_name *name, uint8_t **data, size_t *length, struct hm_problem *why)
{
	struct http_answer answer;
	HM_TRY(get_tile(context, name, TILE_BUNDLE_MAX, &answer, why));
	*data = (uint8_t *)answer.body;
	*length = answer.length;
	return HM_OK;
}

static hm_result open_shard(void *context, unsigned number, struct log_shard *log, struct hm_problem *why)
{
	char path[PATH_MAX_LENGTH];
	struct remote *remote = malloc(sizeof *remote);
	if (!remote)
		return hm_refuse(why, "ledger", NULL, "no memory");
	remote->client = context;
	remote->number = number;
	snprintf(path, sizeof path, "/%u/checkpoint", number);
	hm_result result = get_note(remote->client, path, remote->note, &remote->length, why);
	if (result != HM_OK) {
		free(remote);
		return result;
	}
	*log = (struct log_shard){
		.checkpoint = checkpoint, .tile = tile, .bundle = bundle, .close = free, .context = remote};
	return HM_OK;
}

/* ---- the ledger ---- */

/* The number in the origin of the open shard's checkpoint; 0: it has none. Whose it is, is verified where it is used.
 */
static unsigned shard_of(const char *note, size_t length)
{
	struct checkpoint checkpoint;
	struct hm_problem fault;
	if (checkpoint_read(note, length, &checkpoint, &fault) != HM_OK)
		return 0;
	const char *slash = strrchr(checkpoint.origin, '/');
	unsigned long number =
		slash && strspn(slash + 1, "0123456789") == strlen(slash + 1) ? strtoul(slash + 1, NULL, 10) : 0;
	return number <= HM_SHARDS_MAX ? (unsigned)number : 0;
}

/* Those that were moved elsewhere are the oldest ones. */
static hm_result find_first(struct http_client *client, unsigned last, unsigned *first, struct hm_problem *why)
{
	for (*first = last; *first > 1; --*first) {
		char path[PATH_MAX_LENGTH];
		struct http_answer answer;
		snprintf(path, sizeof path, "/%u/checkpoint", *first - 1);
		HM_TRY(http_get(client, path, NOTE_MAX, &answer, why));
		int status = answer.status;
		http_answer_free(&answer);
		if (status == 404)
			return HM_OK;
		if (status != 200)
			return refuse_status(path, status, why);
	}
	return HM_OK;
}

hm_result log_url(struct http_client *client, struct log_ledger *ledger, struct hm_problem *why)
{
	char note[NOTE_MAX];
	size_t length;
	*ledger = (struct log_ledger){.open = open_shard, .context = client};
	HM_TRY(get_note(client, "/checkpoint", note, &length, why));
	ledger->last = shard_of(note, length);
	if (!ledger->last)
		return hm_refuse(why, "ledger", NULL, "/checkpoint: is not the checkpoint of a ledger's shard");
	return find_first(client, ledger->last, &ledger->first, why);
}
