/* SPDX-License-Identifier: Apache-2.0 */
#include "log_source.h"

#include "shard.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct opened {
	struct shard *shard;
	char note[NOTE_MAX];
	size_t length;
	hm_result result; /* of reading the checkpoint */
	struct hm_problem why;
};

static void close_shard(void *context)
{
	struct opened *opened = context;
	shard_close(opened->shard);
	free(opened);
}

static hm_result checkpoint(void *context, char note[NOTE_MAX], size_t *length, struct hm_problem *why)
{
	const struct opened *opened = context;
	memcpy(note, opened->note, sizeof opened->note);
	*length = opened->length;
	if (opened->result != HM_OK)
		*why = opened->why;
	return opened->result;
}

static hm_result tile(
	void *context, const struct tile_name *name, struct merkle_hash hashes[TILE_WIDTH], struct hm_problem *why)
{
	struct opened *opened = context;
	HM_TRY(shard_tile(opened->shard, name, hashes, why));
	return shard_check_file(opened->shard, name, hashes, TILE_BYTES, why);
}

static hm_result bundle(
	void *context, const struct tile_name *name, uint8_t **data, size_t *length, struct hm_problem *why)
{
	struct opened *opened = context;
	HM_TRY(shard_bundle(opened->shard, name, data, length, why));
	hm_result result = shard_check_file(opened->shard, name, *data, *length, why);
	if (result != HM_OK) {
		free(*data);
		*data = NULL;
	}
	return result;
}

/* A service may be writing: the checkpoint is read first, so that what it covers is in the segment that is read then.
 */
static hm_result read_shard(const char *path, unsigned number, struct opened *opened, struct hm_problem *why)
{
	HM_TRY(shard_open(path, number, &opened->shard, why));
	opened->result = shard_checkpoint(opened->shard, opened->note, &opened->length, &opened->why);
	shard_close(opened->shard);
	return shard_open(path, number, &opened->shard, why);
}

static bool is_there(const char *path, unsigned number)
{
	char shard[HM_PATH_MAX];
	snprintf(shard, sizeof shard, "%s/%u", path, number);
	return access(shard, F_OK) == 0 || errno != ENOENT;
}

static hm_result open_shard(void *context, unsigned number, struct log_shard *log, struct hm_problem *why)
{
	struct hm_problem fault;
	if (!is_there(context, number))
		return hm_unavailable(why, "ledger", "it is not there");
	struct opened *opened = calloc(1, sizeof *opened);
	if (!opened)
		return hm_refuse(why, "ledger", NULL, "no memory");
	if (read_shard(context, number, opened, &fault) != HM_OK) {
		close_shard(opened);
		return hm_refuse(why, "ledger", NULL, "%s", fault.detail);
	}
	*log = (struct log_shard){.checkpoint = checkpoint,
		.tile = tile,
		.bundle = bundle,
		.close = close_shard,
		.context = opened,
		.is_directory = true,
		.size = shard_size(opened->shard),
		.bundled = shard_bundled(opened->shard)};
	return HM_OK;
}

hm_result log_directory(const char *path, struct log_ledger *ledger, struct hm_problem *why)
{
	*ledger = (struct log_ledger){.open = open_shard, .context = (void *)path};
	HM_TRY(shard_numbers(path, &ledger->first, &ledger->last, why));
	if (!ledger->first)
		return hm_unavailable(why, "ledger", "%s: no shard of a ledger is there", path);
	return HM_OK;
}

void log_close(struct log_shard *log)
{
	if (log->close)
		log->close(log->context);
	*log = (struct log_shard){.close = NULL};
}
