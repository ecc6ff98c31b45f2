/* SPDX-License-Identifier: Apache-2.0 */
/* How many credentials a caller, an agent or a tenant may have: a bucket each, filled at `rate` a second up to `burst`.
 */
#ifndef HSMINT_RATE_H
#define HSMINT_RATE_H

#include "identity.h"

struct rates;  /* opaque: the buckets of all, at most HM_BUCKETS_MAX; made by rates_open, released by rates_close */
struct bucket; /* opaque; good until the second rates_look after its own, since one request looks at two */

struct rates *rates_open(void); /* NULL: no memory */
void rates_close(struct rates *rates);

/* Whose rate it is ("caller", "agent", "tenant"), how many a second and at once, and a number for the caller that asks.
 */
struct rate {
	const char *field;
	struct identity who;
	double per_second;
	unsigned burst;
	uint64_t owner;
};

/*
 * May they have one more now? HM_REFUSED: rate_limited, with the time until there is one more. HM_UNAVAILABLE:
 * overload, too many buckets are in use, by this caller (HM_BUCKETS_CALLER_MAX) or by all. Nothing is taken yet.
 */
hm_result rates_look(struct rates *rates, const struct rate *rate, uint64_t now_ms, struct bucket **bucket,
	struct hm_problem *why) HM_MUST_USE;
void bucket_take(struct bucket *bucket);

#endif
