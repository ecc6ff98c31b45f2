/* SPDX-License-Identifier: Apache-2.0 */
#include "replay.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

enum { CHAINS = 64 * 1024, SHARES = 1024, LIFE_MS = HM_IDEMPOTENCY_SECONDS * 1000 };

/* What one tenant's replies take of a caller's memory. */
struct share {
	LIST_ENTRY(share) next;
	struct identity tenant;
	size_t bytes; /* never 0: it is released then */
};

/* The memory that one caller's keys take. */
struct account {
	LIST_ENTRY(account) next;
	struct identity caller;
	size_t bytes;
	TAILQ_HEAD(, replay) keys; /* the oldest first */
	LIST_HEAD(, share) shares[SHARES];
};

struct item {
	struct pending *leader; /* in flight */
	struct kept *kept;
	struct share *share;
	size_t charged; /* bytes of account and share, while it is in flight or kept */
};

struct replay {
	LIST_ENTRY(replay) in_chain;
	TAILQ_ENTRY(replay) by_age, of_account;
	struct account *account;
	struct identity id;
	uint8_t digest[32];
	uint64_t began_ms;
	unsigned in_flight, kept;
	uint16_t items;
	struct item item[];
};

struct replays {
	size_t bytes;
	unsigned count;
	TAILQ_HEAD(, replay) by_age; /* the oldest first */
	LIST_HEAD(, account) accounts;
	LIST_HEAD(, replay) chains[CHAINS];
};

struct replays *replays_open(void)
{
	struct replays *replays = calloc(1, sizeof *replays);
	if (replays)
		TAILQ_INIT(&replays->by_age);
	return replays;
}

static size_t own_bytes(unsigned items)
{
	return sizeof(struct replay) + items * sizeof(struct item);
}

static void charge(struct replays *replays, struct account *account, size_t bytes)
{
	replays->bytes += bytes;
	account->bytes += bytes;
}

static void discharge(struct replays *replays, struct account *account, size_t bytes)
{
	replays->bytes -= bytes;
	account->bytes -= bytes;
}

static void charge_item(struct replays *replays, struct account *account, struct item *item, size_t bytes)
{
	charge(replays, account, bytes);
	item->share->bytes += bytes;
	item->charged += bytes;
}

static void discharge_item(struct replays *replays, struct account *account, struct item *item, size_t bytes)
{
	if (!bytes)
		return;
	discharge(replays, account, bytes);
	item->charged -= bytes;
	item->share->bytes -= bytes;
	if (item->share->bytes)
		return;
	LIST_REMOVE(item->share, next);
	free(item->share);
	item->share = NULL;
}

/* ---- forgetting ---- */

static void wipe(struct kept *kept)
{
	if (kept)
		explicit_bzero(kept->text, kept->length);
	free(kept);
}

static void forget(struct replays *replays, struct replay *replay)
{
	struct account *account = replay->account;
	for (unsigned i = 0; i < replay->items; i++) {
		wipe(replay->item[i].kept);
		discharge_item(replays, account, &replay->item[i], replay->item[i].charged);
	}
	discharge(replays, account, own_bytes(replay->items));
	LIST_REMOVE(replay, in_chain);
	TAILQ_REMOVE(&replays->by_age, replay, by_age);
	TAILQ_REMOVE(&account->keys, replay, of_account);
	replays->count--;
	free(replay);
	if (TAILQ_EMPTY(&account->keys)) {
		LIST_REMOVE(account, next);
		free(account);
	}
}

static bool is_over(const struct replay *replay, uint64_t now_ms)
{
	return now_ms - replay->began_ms >= LIFE_MS && !replay->in_flight;
}

void replays_expire(struct replays *replays, uint64_t now_ms)
{
	struct replay *replay = TAILQ_FIRST(&replays->by_age);
	while (replay && now_ms - replay->began_ms >= LIFE_MS) {
		struct replay *next = TAILQ_NEXT(replay, by_age);
		if (is_over(replay, now_ms))
			forget(replays, replay);
		replay = next;
	}
}

void replays_close(struct replays *replays)
{
	if (!replays)
		return;
	while (!TAILQ_EMPTY(&replays->by_age))
		forget(replays, TAILQ_FIRST(&replays->by_age));
	free(replays);
}

/* ---- finding ---- */

static struct replay *find(const struct replays *replays, const struct identity *id)
{
	struct replay *replay = LIST_FIRST(&replays->chains[identity_number(id) % CHAINS]);
	while (replay && memcmp(&replay->id, id, sizeof *id) != 0)
		replay = LIST_NEXT(replay, in_chain);
	return replay;
}

hm_result replays_find(struct replays *replays, const struct identity *id, const struct gate_key *key, uint64_t now_ms,
	struct replay **found, struct hm_problem *why)
{
	*found = find(replays, id);
	if (*found && is_over(*found, now_ms)) {
		forget(replays, *found);
		*found = NULL;
	}
	if (!*found ||
		(memcmp((*found)->digest, key->digest, sizeof key->digest) == 0 && (*found)->items == key->items))
		return HM_OK;
	return hm_refuse(why, "idempotency_mismatch", "Idempotency-Key", "the request that it was first used with");
}

struct pending *replay_leader(const struct replay *replay, uint16_t item)
{
	return replay->item[item].leader;
}

const struct kept *replay_kept(const struct replay *replay, uint16_t item)
{
	return replay->item[item].kept;
}

/* ---- remembering ---- */

static struct account *find_account(const struct replays *replays, const struct identity *caller)
{
	struct account *account = LIST_FIRST(&replays->accounts);
	while (account && memcmp(&account->caller, caller, sizeof *caller) != 0)
		account = LIST_NEXT(account, next);
	return account;
}

static struct share *find_share(const struct account *account, const struct identity *tenant)
{
	struct share *share = account ? LIST_FIRST(&account->shares[identity_number(tenant) % SHARES]) : NULL;
	while (share && memcmp(&share->tenant, tenant, sizeof *tenant) != 0)
		share = LIST_NEXT(share, next);
	return share;
}

static bool is_tenant(const struct identity *tenant)
{
	static const struct identity none;
	return memcmp(tenant, &none, sizeof none) != 0;
}

/* A tenant may have as much as is left free, so that one that takes all it can leaves half to the others, and so on. */
static bool is_full(const struct account *account, const struct identity *tenant, size_t bytes)
{
	if (account->bytes + bytes > HM_IDEMPOTENCY_CALLER_BYTES)
		return true;
	const struct share *share = is_tenant(tenant) ? find_share(account, tenant) : NULL;
	return share && share->bytes + bytes > HM_IDEMPOTENCY_CALLER_BYTES - account->bytes;
}

static hm_result check_room(const struct replays *replays, const struct account *account, const struct identity *tenant,
	size_t bytes, uint64_t now_ms, struct hm_problem *why)
{
	const struct replay *oldest = NULL;
	if (account && is_full(account, tenant, bytes))
		oldest = TAILQ_FIRST(&account->keys);
	else if (replays->bytes + bytes > HM_IDEMPOTENCY_BYTES)
		oldest = TAILQ_FIRST(&replays->by_age);
	if (!oldest)
		return HM_OK;
	double age_s = (double)(now_ms - oldest->began_ms) / 1000;
	hm_result result = hm_unavailable(why, "idempotency_full", "%u keys are remembered", replays->count);
	why->retry_after = hm_retry_after(age_s < HM_IDEMPOTENCY_SECONDS ? HM_IDEMPOTENCY_SECONDS - age_s : 1);
	return result;
}

static struct account *add_account(struct replays *replays, const struct identity *caller)
{
	struct account *account = calloc(1, sizeof *account);
	if (!account)
		return NULL;
	account->caller = *caller;
	TAILQ_INIT(&account->keys);
	LIST_INSERT_HEAD(&replays->accounts, account, next);
	return account;
}

/* An account without a key does not outlive this call. */
static struct replay *add(struct replays *replays, const struct identity *caller, const struct identity *id,
	const struct gate_key *key, uint64_t now_ms)
{
	struct replay *replay = calloc(1, own_bytes(key->items));
	struct account *account = replay ? find_account(replays, caller) : NULL;
	if (replay && !account)
		account = add_account(replays, caller);
	if (!account) {
		free(replay);
		return NULL;
	}
	replay->account = account;
	replay->id = *id;
	replay->items = key->items;
	replay->began_ms = now_ms;
	memcpy(replay->digest, key->digest, sizeof replay->digest);
	charge(replays, account, own_bytes(key->items));
	LIST_INSERT_HEAD(&replays->chains[identity_number(id) % CHAINS], replay, in_chain);
	TAILQ_INSERT_TAIL(&replays->by_age, replay, by_age);
	TAILQ_INSERT_TAIL(&account->keys, replay, of_account);
	replays->count++;
	return replay;
}

static struct share *open_share(struct account *account, const struct identity *tenant)
{
	struct share *share = find_share(account, tenant);
	if (share || !(share = calloc(1, sizeof *share)))
		return share;
	share->tenant = *tenant;
	LIST_INSERT_HEAD(&account->shares[identity_number(tenant) % SHARES], share, next);
	return share;
}

hm_result replays_begin(struct replays *replays, const struct identity *caller, const struct identity *tenant,
	const struct identity *id, const struct gate_key *key, size_t length, uint64_t now_ms, struct pending *leader,
	struct hm_problem *why)
{
	size_t bytes = sizeof(struct kept) + length;
	replays_expire(replays, now_ms);
	struct replay *replay = find(replays, id);
	HM_TRY(check_room(replays, find_account(replays, caller), tenant, bytes + (replay ? 0 : own_bytes(key->items)),
		now_ms, why));
	if (!replay)
		replay = add(replays, caller, id, key, now_ms);
	struct share *share = replay ? open_share(replay->account, tenant) : NULL;
	if (replay && !share && !replay->in_flight && !replay->kept)
		forget(replays, replay);
	if (!share)
		return hm_unavailable(why, "overload", "no memory");
	struct item *item = &replay->item[key->item];
	item->leader = leader;
	item->share = share;
	charge_item(replays, replay->account, item, bytes);
	replay->in_flight++;
	leader->replay = replay;
	leader->item = key->item;
	return HM_OK;
}

bool replay_keep(struct replays *replays, struct pending *leader, const char *text, size_t length)
{
	struct replay *replay = leader->replay;
	struct item *item = &replay->item[leader->item];
	if (sizeof *item->kept + length > item->charged)
		return false;
	struct kept *kept = malloc(sizeof *kept + length);
	if (!kept)
		return false;
	*kept = (struct kept){.issued = leader->issued, .expires = leader->expires, .length = length};
	memcpy(kept->terms, leader->terms, sizeof kept->terms);
	memcpy(kept->kid, leader->kid, sizeof kept->kid);
	memcpy(kept->id, leader->id_text, sizeof kept->id);
	memcpy(kept->text, text, length);
	item->kept = kept;
	item->leader = NULL;
	discharge_item(replays, replay->account, item, item->charged - sizeof *kept - length);
	leader->replay = NULL;
	replay->in_flight--;
	replay->kept++;
	return true;
}

void replay_drop(struct replays *replays, struct pending *leader)
{
	struct replay *replay = leader->replay;
	struct item *item = &replay->item[leader->item];
	discharge_item(replays, replay->account, item, item->charged);
	*item = (struct item){0};
	leader->replay = NULL;
	replay->in_flight--;
	if (!replay->in_flight && !replay->kept)
		forget(replays, replay);
}

unsigned replays_count(const struct replays *replays)
{
	return replays->count;
}
