/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger_heads.h"

#include "anchors.h"
#include "clock.h"
#include "clock_watch.h"
#include "file.h"
#include "log.h"
#include "mint.h"
#include "note.h"
#include "record.h"
#include "record_token.h"
#include "store.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CARRIED_MAX = 12 * 1024 /* fits the first entry of a shard */ };

struct ledger_heads {
	struct service *service;
	struct ledger_head wanted; /* to be signed when it is on stable storage */
	bool has_wanted;
	bool is_verified; /* the newest checkpoint of before the start, or there is none */
	char fault[sizeof((struct hm_problem *)0)->detail]; /* why there is no newer checkpoint, or it is not kept */

	unsigned signed_shard;
	uint64_t signed_size;
	int64_t signed_at;

	/* the one that is being signed, */
	struct pending *pending;
	struct ledger_head signing;
	struct note_key key;
	/* and written */
	uv_work_t work;
	bool is_writing;
	char path[HM_PATH_MAX];
	char note[NOTE_MAX];
	size_t note_length;
	struct hm_problem why;
	hm_result written, kept;
	struct hm_problem unkept;

	void (*done)(struct service *service);
};

static void finish_if_done(struct ledger_heads *heads);

static void set_fault(struct ledger_heads *heads, const char *fault)
{
	if (strcmp(heads->fault, fault) != 0 && fault[0])
		hm_log(HM_WARNING, "no_checkpoint", "detail=\"%s\"", fault);
	snprintf(heads->fault, sizeof heads->fault, "%s", fault);
}

hm_result ledger_heads_open(struct service *service, struct hm_problem *why)
{
	struct ledger_heads *heads = service->heads = calloc(1, sizeof *heads);
	if (!heads)
		return hm_unavailable(why, "system", "no memory");
	heads->service = service;
	heads->work.data = heads;
	return HM_OK;
}

void ledger_heads_close(struct ledger_heads *heads)
{
	free(heads);
}

static void put_path(const struct service *service, unsigned shard, char path[HM_PATH_MAX])
{
	snprintf(path, HM_PATH_MAX, "%s/%u/checkpoint", ledger_directory(service->ledger), shard);
}

/* ---- who signs ---- */

/* The version that signs now; NULL: none is configured. */
static const struct issuing_key *checkpoint_key(const struct service *service)
{
	unsigned index = service->config->ledger.key_index;
	return index < service->config->keys_count ? service->keys.active[index] : NULL;
}

static bool has_key(const struct service *service)
{
	return service->config->ledger.key_index < service->config->keys_count;
}

static hm_result note_key_of(
	const struct service *service, const struct issuing_key *issuing, struct note_key *key, struct hm_problem *why)
{
	const struct token_key_ready *shown = token_shown(issuing->token, issuing->place);
	if (!issuing->known || !shown)
		return hm_unavailable(why, "ledger_unavailable", "key %s is not known yet", issuing->config->name);
	return note_key_make(service->config->ledger.origin, shown->spki, shown->spki_length, key, why);
}

/* ---- the newest of before the start ---- */

/* Whether a version of the key is still to be shown: a token is started with what signs, and learns the others. */
static bool waits_for_key(const struct service *service)
{
	for (unsigned i = 0; i < service->keys.count; i++)
		if (service->keys.items[i].config->use == KEY_USE_CHECKPOINT && !service->keys.items[i].known)
			return true;
	return false;
}

/* Those versions that are known: one may have signed it and sign no more. */
static unsigned known_keys(const struct service *service, struct note_key *keys, unsigned most)
{
	struct hm_problem why;
	unsigned count = 0;
	for (unsigned i = 0; i < service->keys.count && count < most; i++) {
		const struct issuing_key *issuing = &service->keys.items[i];
		if (issuing->config->use == KEY_USE_CHECKPOINT &&
			note_key_of(service, issuing, &keys[count], &why) == HM_OK)
			count++;
	}
	return count;
}

static bool is_there(const char *path)
{
	return access(path, F_OK) == 0 || errno != ENOENT;
}

/* Of the open shard, or while that has none of the one before. */
static bool find_newest(const struct service *service, unsigned *shard, char path[HM_PATH_MAX])
{
	*shard = ledger_shard(service->ledger);
	put_path(service, *shard, path);
	if (is_there(path))
		return true;
	put_path(service, --*shard, path);
	return *shard && is_there(path);
}

static hm_result verify_newest(struct service *service, struct hm_problem *why)
{
	static struct note_key keys[HM_KEY_VERSIONS_MAX];
	struct ledger_heads *heads = service->heads;
	char path[HM_PATH_MAX], detail[sizeof why->detail];
	size_t length, text;
	unsigned shard;
	struct checkpoint checkpoint;
	unsigned count = known_keys(service, keys, HM_KEY_VERSIONS_MAX);
	if (!find_newest(service, &shard, path))
		return HM_OK;
	HM_TRY(file_read(path, false, heads->note, sizeof heads->note, &length, why));
	if (note_verify(heads->note, length, keys, count, &text, NULL, why) == HM_OK &&
		checkpoint_read(heads->note, length, &checkpoint, why) == HM_OK) {
		heads->signed_size = checkpoint.size;
		heads->signed_shard = shard;
		service_publish_checkpoint(service, heads->signed_shard, heads->note, length);
		return HM_OK;
	}
	memcpy(detail, why->detail, sizeof detail);
	return hm_refuse(why, "config", NULL, "%s: %.300s: it is not one that this service signed", path, detail);
}

hm_result ledger_heads_verify(struct service *service, struct hm_problem *why)
{
	struct ledger_heads *heads = service->heads;
	if (heads->is_verified)
		return HM_OK;
	if (has_key(service) && !checkpoint_key(service)->known)
		return HM_OK;
	hm_result result = has_key(service) ? verify_newest(service, why) : HM_OK;
	heads->is_verified = result == HM_OK;
	return result == HM_REFUSED && waits_for_key(service) ? HM_OK : result;
}

hm_result ledger_heads_refusal(const struct service *service, struct hm_problem *why)
{
	const char *fault = ledger_fault(service->ledger);
	if (fault)
		return hm_unavailable(why, "ledger_unavailable", "%s", fault);
	if (!service->heads->is_verified)
		return hm_unavailable(why, "token_unavailable",
			"its newest checkpoint is not verified yet: key %s is not known", service->config->ledger.key);
	return anchors_refusal(service, why);
}

/* ---- signing ---- */

static hm_result submit(struct service *service, const struct ledger_head *head, struct hm_problem *why)
{
	struct ledger_heads *heads = service->heads;
	const struct issuing_key *issuing = checkpoint_key(service);
	struct checkpoint checkpoint = {
		.size = head->size, .root = head->root, .store = store_sequence(service->store)};
	if (!issuing_key_can_sign(issuing))
		return hm_unavailable(why, "token_unavailable", "key %s does not sign", issuing->config->name);
	HM_TRY(note_key_of(service, issuing, &heads->key, why));
	struct pending *pending = pending_take(service->pool, uv_now(&service->loop) + HM_REQUEST_MS);
	if (!pending)
		return hm_overload(why, 1, "all places are taken");
	if (pending_next_due(service->pool) == pending)
		mint_expire(service);
	ledger_origin(service->ledger, head->shard, checkpoint.origin);
	pending->what = PENDING_CHECKPOINT;
	pending->tbs_length = checkpoint_write(&checkpoint, pending->jwt);
	heads->signing = *head;
	heads->pending = pending;
	hm_result result = token_submit_first(issuing->token, issuing->place, pending, why);
	if (result != HM_OK && heads->pending) {
		heads->pending = NULL;
		pending_release(service->pool, pending);
	}
	return result;
}

static void sign(struct service *service, const struct ledger_head *head)
{
	struct hm_problem why;
	if (submit(service, head, &why) != HM_OK)
		set_fault(service->heads, why.detail);
}

static void look(struct service *service)
{
	struct ledger_heads *heads = service->heads;
	struct ledger_head closed;
	struct hm_problem why;
	if (!has_key(service) || heads->pending || heads->is_writing || !heads->is_verified ||
		anchors_refusal(service, &why) != HM_OK)
		return;
	if (ledger_unsigned_close(service->ledger, &closed))
		sign(service, &closed);
	else if (heads->has_wanted && ledger_head_is_durable(service->ledger, &heads->wanted))
		sign(service, &heads->wanted);
}

static void want_head(struct service *service)
{
	struct ledger_heads *heads = service->heads;
	heads->wanted = ledger_head(service->ledger);
	heads->has_wanted = true;
	ledger_head_taken(service->ledger);
}

static void start_shard_if_due(struct service *service)
{
	int64_t age = hm_time() - ledger_shard_began(service->ledger);
	char carried[CARRIED_MAX];
	/* What a token that is ending has signed is not among what is carried: it tells that soon. */
	struct hm_problem why;
	if (!has_key(service))
		ledger_close_signed(service->ledger); /* it never will be */
	if (age < (int64_t)service->config->ledger.shard || service->stopping || service->ending_tokens ||
		clock_watch_look(service, &why) != HM_OK || ledger_heads_refusal(service, &why) != HM_OK ||
		!record_carried(service, carried, sizeof carried))
		return;
	if (ledger_next_shard(service->ledger, carried))
		want_head(service);
	mint_recorded(service, ledger_durable(service->ledger));
}

/* Under load something is being written at each tick: this is the moment between two writes. */
void ledger_heads_durable(struct service *service)
{
	start_shard_if_due(service);
	look(service);
}

void ledger_heads_tick(struct service *service)
{
	struct ledger_heads *heads = service->heads;
	ledger_tick(service->ledger);
	anchors_tick(service);
	start_shard_if_due(service);
	bool is_waiting = heads->has_wanted && !ledger_head_is_durable(service->ledger, &heads->wanted);
	if (!heads->pending && !heads->is_writing && !is_waiting && ledger_wants_checkpoint(service->ledger))
		want_head(service);
	look(service);
}

/* ---- what a token made of it ---- */

/* In the directory first: an anchor is never ahead of it. What a witness adds goes there, too. */
static void write_in_worker(uv_work_t *work)
{
	struct ledger_heads *heads = work->data;
	size_t before = heads->note_length;
	heads->written = file_replace(heads->path, heads->note, heads->note_length, 0600, &heads->why);
	if (heads->written != HM_OK)
		return;
	heads->kept = anchors_keep(
		heads->service->anchors, heads->signing.shard, heads->note, &heads->note_length, &heads->unkept);
	if (heads->note_length != before)
		heads->written = file_replace(heads->path, heads->note, heads->note_length, 0600, &heads->why);
}

static bool is_close(const struct service *service, const struct ledger_head *head)
{
	struct ledger_head closed;
	return ledger_unsigned_close(service->ledger, &closed) && head->shard == closed.shard &&
	       head->size == closed.size;
}

static void on_written(uv_work_t *work, int status)
{
	struct ledger_heads *heads = work->data;
	struct service *service = heads->service;
	(void)status;
	heads->is_writing = false;
	if (heads->written != HM_OK) {
		set_fault(heads, heads->why.detail); /* it is signed again with the next tick */
		finish_if_done(heads);
		return;
	}
	set_fault(heads, heads->kept == HM_OK ? "" : heads->unkept.detail);
	if (heads->kept == HM_REFUSED)
		service_fail_start(service, heads->unkept.detail);
	if (is_close(service, &heads->signing))
		ledger_close_signed(service->ledger);
	else if (heads->signing.shard == heads->wanted.shard && heads->signing.size == heads->wanted.size)
		heads->has_wanted = false;
	heads->signed_shard = heads->signing.shard;
	heads->signed_size = heads->signing.size;
	heads->signed_at = hm_time();
	service_publish_checkpoint(service, heads->signing.shard, heads->note, heads->note_length);
	anchors_keep_in_token(service, heads->note, heads->note_length, heads->done);
	look(service);
	finish_if_done(heads);
}

void ledger_heads_signed(struct service *service, struct pending *pending, const uint8_t *signature, size_t length)
{
	struct ledger_heads *heads = service->heads;
	if (pending != heads->pending) { /* it came too late */
		pending_release(service->pool, pending);
		return;
	}
	heads->note_length = note_write(
		pending->jwt, pending->tbs_length, &heads->key, signature, length, heads->note, sizeof heads->note);
	heads->pending = NULL;
	pending_release(service->pool, pending);
	put_path(service, heads->signing.shard, heads->path);
	if (!heads->note_length)
		set_fault(heads, "no room for the checkpoint");
	else
		heads->is_writing = uv_queue_work(&service->loop, &heads->work, write_in_worker, on_written) == 0;
}

void ledger_heads_failed(struct service *service, struct pending *pending, const char *detail)
{
	struct ledger_heads *heads = service->heads;
	if (pending == heads->pending) {
		heads->pending = NULL;
		set_fault(heads, detail);
	}
	pending_release(service->pool, pending);
	finish_if_done(heads);
}

void ledger_heads_expired(struct service *service, struct pending *pending)
{
	struct ledger_heads *heads = service->heads;
	heads->pending = NULL;
	set_fault(heads, "the token took too long to sign it");
	pending_mark_answered(service->pool, pending);
	if (!pending->token || token_forget(pending->token, pending))
		pending_release(service->pool, pending);
	finish_if_done(heads);
}

/* ---- the last one ---- */

static void end_wait(struct ledger_heads *heads)
{
	void (*done)(struct service * service) = heads->done;
	heads->done = NULL;
	uv_timer_stop(&heads->service->last_checkpoint);
	done(heads->service);
}

static void on_time_over(uv_timer_t *timer)
{
	const struct service *service = timer->data;
	end_wait(service->heads);
}

/* Whatever went wrong with the last one is not tried again, nor is a key waited for that never showed itself: the next
 * start signs what there is. */
static void finish_if_done(struct ledger_heads *heads)
{
	struct hm_problem why;
	bool can_sign = has_key(heads->service) && heads->is_verified && !heads->fault[0] &&
			anchors_refusal(heads->service, &why) == HM_OK;
	if (heads->done && !heads->pending && !heads->is_writing && !(heads->has_wanted && can_sign) &&
		!anchors_wait(heads->service))
		end_wait(heads);
}

void ledger_heads_finish(struct service *service, void (*done)(struct service *service))
{
	struct ledger_heads *heads = service->heads;
	heads->done = done;
	heads->fault[0] = 0;
	want_head(service);
	uv_timer_start(&service->last_checkpoint, on_time_over, HM_REQUEST_MS, 0);
	look(service);
	finish_if_done(heads);
}

void ledger_heads_kept(struct service *service)
{
	finish_if_done(service->heads);
}

struct ledger_heads_facts ledger_heads_facts(const struct service *service)
{
	const struct ledger_heads *heads = service->heads;
	unsigned shard = ledger_shard(service->ledger);
	return (struct ledger_heads_facts){.size = ledger_size(service->ledger),
		.shard = shard,
		.signed_size = heads->signed_shard == shard ? heads->signed_size : 0,
		.signed_at = heads->signed_at,
		.is_signing = heads->pending,
		.anchor = anchors_names(&service->config->ledger),
		.fault = !has_key(service) ? "no key is configured"
			 : heads->fault[0] ? heads->fault
					   : anchors_fault(service)};
}
