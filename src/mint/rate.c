/* SPDX-License-Identifier: Apache-2.0 */
#include "rate.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

enum { CHAINS = HM_BUCKETS_MAX / 2, OLDEST_LOOKED_AT = 64, OWNERS = HM_CALLERS_MAX };

/* A bucket that was filled in steps may lack a rounding error to what the time says. */
#define ALMOST 1e-9

struct bucket {
	LIST_ENTRY(bucket) in_chain;
	TAILQ_ENTRY(bucket) by_use; /* the one used longest ago first */
	struct identity who;
	double level, rate;
	unsigned burst, owner;
	uint64_t filled_ms;
};

struct rates {
	unsigned used;
	unsigned owned[OWNERS]; /* buckets, by the owner's number modulo OWNERS */
	TAILQ_HEAD(, bucket) by_use;
	LIST_HEAD(, bucket) chains[CHAINS];
	struct bucket places[HM_BUCKETS_MAX];
};

struct rates *rates_open(void)
{
	struct rates *rates = calloc(1, sizeof *rates);
	if (rates)
		TAILQ_INIT(&rates->by_use);
	return rates;
}

void rates_close(struct rates *rates)
{
	free(rates);
}

static void fill(struct bucket *bucket, uint64_t now_ms)
{
	bucket->level += (double)(now_ms - bucket->filled_ms) * bucket->rate / 1000;
	if (bucket->level > bucket->burst)
		bucket->level = bucket->burst;
	bucket->filled_ms = now_ms;
}

static double until(const struct bucket *bucket, double level)
{
	return (level - bucket->level) / bucket->rate;
}

/* A bucket that is full says no more than none: one of those used longest ago is given up, if it is. Else NULL, and the
 * time until one of them will be. */
static struct bucket *find_full(struct rates *rates, uint64_t now_ms, double *wait_s)
{
	struct bucket *bucket = TAILQ_FIRST(&rates->by_use);
	*wait_s = HM_RETRY_AFTER_MAX;
	for (unsigned i = 0; bucket && i < OLDEST_LOOKED_AT; i++) {
		fill(bucket, now_ms);
		if (bucket->level >= bucket->burst - ALMOST)
			return bucket;
		if (until(bucket, bucket->burst) < *wait_s)
			*wait_s = until(bucket, bucket->burst);
		bucket = TAILQ_NEXT(bucket, by_use);
	}
	return NULL;
}

static struct bucket *free_place(struct rates *rates, unsigned owner, uint64_t now_ms, double *wait_s)
{
	if (rates->used < HM_BUCKETS_MAX && rates->owned[owner] < HM_BUCKETS_CALLER_MAX)
		return &rates->places[rates->used++];
	struct bucket *full = find_full(rates, now_ms, wait_s);
	if (!full)
		return NULL;
	rates->owned[full->owner]--;
	LIST_REMOVE(full, in_chain);
	TAILQ_REMOVE(&rates->by_use, full, by_use);
	return full;
}

static struct bucket *find(struct rates *rates, const struct identity *who)
{
	struct bucket *bucket = LIST_FIRST(&rates->chains[identity_number(who) % CHAINS]);
	while (bucket && memcmp(&bucket->who, who, sizeof *who) != 0)
		bucket = LIST_NEXT(bucket, in_chain);
	if (bucket)
		TAILQ_REMOVE(&rates->by_use, bucket, by_use);
	return bucket;
}

static struct bucket *add(struct rates *rates, const struct rate *rate, uint64_t now_ms, double *wait_s)
{
	unsigned owner = (unsigned)(rate->owner % OWNERS);
	struct bucket *bucket = free_place(rates, owner, now_ms, wait_s);
	if (!bucket)
		return NULL;
	*bucket = (struct bucket){.who = rate->who, .level = rate->burst, .owner = owner, .filled_ms = now_ms};
	rates->owned[owner]++;
	LIST_INSERT_HEAD(&rates->chains[identity_number(&rate->who) % CHAINS], bucket, in_chain);
	return bucket;
}

hm_result rates_look(
	struct rates *rates, const struct rate *rate, uint64_t now_ms, struct bucket **out, struct hm_problem *why)
{
	double wait_s = 0;
	struct bucket *bucket = find(rates, &rate->who);
	if (!bucket)
		bucket = add(rates, rate, now_ms, &wait_s);
	if (!bucket)
		return hm_overload(why, wait_s, "too many rates are watched");
	TAILQ_INSERT_TAIL(&rates->by_use, bucket, by_use);
	bucket->rate = rate->per_second; /* a reload may have changed them */
	bucket->burst = rate->burst;
	fill(bucket, now_ms);
	*out = bucket;
	if (bucket->level >= 1 - ALMOST)
		return HM_OK;
	hm_result result =
		hm_refuse(why, "rate_limited", rate->field, "%g a second, %u at once", rate->per_second, rate->burst);
	why->retry_after = hm_retry_after(until(bucket, 1));
	return result;
}

void bucket_take(struct bucket *bucket)
{
	bucket->level -= 1;
}
