/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A nonce and the proofs that were used with it are forgotten together. So none is forgotten while it could come again,
 * whatever the clock does: one with a nonce that is forgotten is refused for that.
 */
#include "dpop_inside.h"

#include "id.h"
#include "siphash.h"
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { SLOTS = 2 * HM_DPOP_PROOFS_MAX };

struct period {
	char nonce[HM_ID_MAX + 1]; /* at random: no other process has it, and nobody can know it before */
	unsigned count;
	uint64_t slots[SLOTS]; /* a hash of key and jti, which nobody can choose; 0 is free */
};

struct dpop {
	struct siphash_key key;
	int64_t began; /* the period that is now; the other one is the one before */
	struct period *current, *before;
};

struct dpop *dpop_open(void)
{
	struct dpop *dpop = calloc(1, sizeof *dpop);
	if (dpop) {
		dpop->current = calloc(1, sizeof *dpop->current);
		dpop->before = calloc(1, sizeof *dpop->before);
	}
	if (dpop && dpop->current && dpop->before && id_make(dpop->current->nonce) && id_make(dpop->before->nonce) &&
		getrandom(&dpop->key, sizeof dpop->key, 0) == sizeof dpop->key)
		return dpop;
	dpop_close(dpop);
	return NULL;
}

void dpop_close(struct dpop *dpop)
{
	if (!dpop)
		return;
	free(dpop->current);
	free(dpop->before);
	free(dpop);
}

/* ---- time ---- */

static bool next_period(struct dpop *dpop)
{
	struct period *oldest = dpop->before;
	if (oldest->count)
		memset(oldest->slots, 0, sizeof oldest->slots);
	oldest->count = 0;
	dpop->before = dpop->current;
	dpop->current = oldest;
	return id_make(oldest->nonce);
}

/* A clock that went back ends both periods, else their nonces would be good until it is there again. */
hm_result dpop_tell_time(struct dpop *dpop, int64_t now, struct hm_problem *why)
{
	int64_t age = now - dpop->began;
	bool is_far = age < 0 || age >= 2L * HM_DPOP_SECONDS;
	if (age >= 0 && age < HM_DPOP_SECONDS)
		return HM_OK;
	dpop->began = is_far ? now : dpop->began + HM_DPOP_SECONDS;
	if (!next_period(dpop) || (is_far && !next_period(dpop)))
		return hm_broken(why, "the kernel gave no random bytes for a DPoP nonce");
	return HM_OK;
}

/* ---- nonces ---- */

hm_result dpop_nonce(struct dpop *dpop, int64_t now, char nonce[HM_ID_MAX + 1], struct hm_problem *why)
{
	HM_TRY(dpop_tell_time(dpop, now, why));
	memcpy(nonce, dpop->current->nonce, HM_ID_MAX + 1);
	return HM_OK;
}

static bool is_of(const struct period *period, const char *nonce)
{
	return strlen(nonce) == HM_ID_MAX && CRYPTO_memcmp(period->nonce, nonce, HM_ID_MAX) == 0;
}

bool dpop_is_nonce(const struct dpop *dpop, const char *nonce)
{
	return is_of(dpop->current, nonce) || is_of(dpop->before, nonce);
}

/* ---- proofs that were used ---- */

/* Two of one hash are one in 2^64: the second would be refused, and its client make another. */
static uint64_t hash(const struct dpop *dpop, const char *jkt, const char *jti)
{
	char both[HM_KID_MAX + HM_DPOP_JTI_MAX];
	size_t jkt_length = strnlen(jkt, HM_KID_MAX), jti_length = strnlen(jti, HM_DPOP_JTI_MAX);
	memcpy(both, jkt, jkt_length);
	memcpy(both + jkt_length, jti, jti_length);
	uint64_t hash = siphash(&dpop->key, both, jkt_length + jti_length);
	return hash ? hash : 1;
}

/* Where it is, or where it goes: half of the slots are always free. */
static uint64_t *find(struct period *period, uint64_t hash)
{
	size_t at = (size_t)(hash % SLOTS);
	while (period->slots[at] && period->slots[at] != hash)
		at = (at + 1) % SLOTS;
	return &period->slots[at];
}

hm_result dpop_use(struct dpop *dpop, const char *nonce, const char *jkt, const char *jti, struct hm_problem *why)
{
	uint64_t number = hash(dpop, jkt, jti);
	struct period *period = is_of(dpop->current, nonce) ? dpop->current : dpop->before;
	if (*find(dpop->current, number) || *find(dpop->before, number))
		return dpop_refuse(why, "jti", "one that this key has not used before");
	if (period->count == HM_DPOP_PROOFS_MAX)
		return hm_overload(why, HM_DPOP_SECONDS, "too many DPoP proofs were used with one nonce");
	*find(period, number) = number;
	period->count++;
	return HM_OK;
}
