/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger_inside.h"

#include "base64url.h"
#include "clock.h"
#include "json_write.h"
#include "log.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A tree head as members of an object. */
static void put_head(struct hm_json *json, const char *name, const struct checkpoint *head)
{
	char root[44];
	root[base64url_encode(head->root.bytes, sizeof head->root.bytes, root)] = 0;
	hm_json_key(json, name);
	hm_json_begin(json, '{');
	hm_json_member_string(json, "origin", head->origin);
	hm_json_member_string(json, "root", root);
	hm_json_member_number(json, "size", (int64_t)head->size);
	if (head->store)
		hm_json_member_number(json, "store", (int64_t)head->store);
	hm_json_end(json, '}');
}

size_t ledger_write_open(
	const struct ledger *ledger, const struct ledger_beginning *beginning, char *entry, size_t size)
{
	char origin[HM_ORIGIN_MAX + 1];
	struct hm_json json = hm_json(entry, size);
	ledger_origin(ledger, ledger->shard, origin);
	hm_json_begin(&json, '{');
	if (beginning->carried && strcmp(beginning->carried, "[]") != 0) {
		hm_json_key(&json, "carried");
		hm_json_raw(&json, beginning->carried, strlen(beginning->carried));
	}
	hm_json_member_string(&json, "origin", origin);
	if (beginning->previous)
		put_head(&json, "previous", beginning->previous);
	if (beginning->restored)
		put_head(&json, "restored", beginning->restored);
	hm_json_member_number(&json, "time", ledger->began);
	hm_json_member_string(&json, "type", "open");
	hm_json_member_number(&json, "v", 1);
	hm_json_end(&json, '}');
	return json.out.failed ? 0 : json.out.used;
}

/* The closing entry alone, written at once. When it cannot be, the shard goes on as if it had not been tried: what may
 * be on the disk of it is cut off, or found at the next start. */
static bool write_close(struct ledger *ledger, struct ledger_head *closed)
{
	char entry[64], fault[LEDGER_FAULT_MAX] = "";
	uint8_t frame[sizeof entry + 2 + SEGMENT_FRAME_MORE];
	struct hm_problem why;
	struct merkle_hash leaf;
	static struct edge edge;
	size_t length =
		(size_t)snprintf(entry, sizeof entry, "{\"time\":%" PRId64 ",\"type\":\"close\",\"v\":1}", hm_time());
	merkle_leaf(entry, length, &leaf);
	frame[SEGMENT_HEAD] = 0;
	frame[SEGMENT_HEAD + 1] = (uint8_t)length;
	memcpy(frame + SEGMENT_HEAD + 2, entry, length);
	segment_frame(frame, length + 2, ledger->edge.size, 1, &leaf);
	const struct block block = {frame, length + 2 + SEGMENT_FRAME_MORE, sizeof frame};
	edge = ledger->edge;
	if (!ledger_write_block(ledger->segment, ledger->segment_used, &block, fault) ||
		edge_add(&edge, &leaf, NULL, NULL, &why) != HM_OK) {
		hm_log(HM_ERROR, "ledger_not_closed", "shard=%u detail=\"%s\"", ledger->shard, fault);
		ledger->wants_fresh = true;
		return false;
	}
	*closed = (struct ledger_head){.shard = ledger->shard, .size = edge.size};
	edge_root(&edge, &closed->root);
	return true;
}

/* Nothing of the shard before is left in memory: its files have it all. */
static void forget_shard(struct ledger *ledger)
{
	ledger_drop(ledger);
	ledger_drop_room(ledger->shard_fd, ledger->room);
	close(ledger->shard_fd);
	close(ledger->segment);
	ledger->segment = ledger->room = -1;
	ledger->segment_used = 0;
	ledger->bundled = ledger->durable_size = 0;
	ledger->edge = (struct edge){.size = 0};
	ledger->next_count = 0;
}

bool ledger_begin_next(struct ledger *ledger, int shard_fd, const struct ledger_head *closed, const char *carried,
	struct hm_problem *why)
{
	char entry[LEDGER_OPEN_MAX];
	struct checkpoint previous = {.size = closed->size, .root = closed->root};
	const struct ledger_beginning beginning = {.previous = &previous, .carried = carried};
	ledger_origin(ledger, closed->shard, previous.origin);
	forget_shard(ledger);
	ledger->shard++;
	ledger->shard_fd = shard_fd;
	ledger->began = hm_time();
	size_t length = ledger_write_open(ledger, &beginning, entry, sizeof entry);
	if (!length || !ledger_add(ledger, entry, length, false, NULL))
		abort(); /* the shard before is closed: this one begins at the next start */
	ledger->closed = *closed;
	ledger->has_unsigned_close = true;
	return ledger_write_all(ledger, why) == HM_OK;
}

bool ledger_next_shard(struct ledger *ledger, const char *carried)
{
	char fault[LEDGER_FAULT_MAX] = "";
	struct ledger_head closed;
	struct hm_problem why;
	if (ledger->is_writing || ledger->is_flushing || ledger->fault[0] || ledger->wants_fresh ||
		ledger->has_unsigned_close || ledger->shard == HM_SHARDS_MAX || !ledger_write_now(ledger))
		return false;
	int shard_fd = ledger_make_shard(ledger->directory, ledger->shard + 1, fault);
	if (shard_fd < 0 || !write_close(ledger, &closed)) {
		if (shard_fd >= 0)
			close(shard_fd);
		else
			hm_log(HM_ERROR, "ledger_not_closed", "shard=%u detail=\"%s\"", ledger->shard, fault);
		return false;
	}
	hm_log(HM_INFO, "ledger_shard_closed", "shard=%u size=%" PRIu64, closed.shard, closed.size);
	if (!ledger_begin_next(ledger, shard_fd, &closed, carried, &why)) {
		ledger->wants_fresh = true;
		ledger_set_fault(ledger, why.detail);
	}
	return true;
}

bool ledger_unsigned_close(const struct ledger *ledger, struct ledger_head *closed)
{
	*closed = ledger->closed;
	return ledger->has_unsigned_close;
}

void ledger_close_signed(struct ledger *ledger)
{
	ledger->has_unsigned_close = false;
}
