/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A nonce is a number and a time under a code that only this process can make. So nothing is kept of those that were
 * given out, however many somebody asks for; only of those that were used, until they are too old.
 */
#include "http_signature.h"

#include "base64url.h"
#include "limits.h"
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { KEY = 32, CODE = 8, SLOTS = 2 * HM_NONCES_MAX };

struct nonce {
	uint32_t time, number; /* its first and second four bytes */
	uint8_t code[CODE];
};
_Static_assert(sizeof(struct nonce) == 16, "128 bits");

/* Those that were used in one period; a slot of 0 is free. */
struct used {
	unsigned count;
	uint64_t slots[SLOTS];
};

struct nonces {
	uint8_t key[KEY];
	uint32_t numbers; /* given out */
	int64_t now;      /* never goes back */
	int64_t began;    /* the period that is now; the other one is the one before */
	struct used *current, *before;
};

struct nonces *nonces_open(void)
{
	struct nonces *nonces = calloc(1, sizeof *nonces);
	if (nonces) {
		nonces->current = calloc(1, sizeof *nonces->current);
		nonces->before = calloc(1, sizeof *nonces->before);
	}
	if (nonces && nonces->current && nonces->before && getrandom(nonces->key, KEY, 0) == KEY)
		return nonces;
	nonces_close(nonces);
	return NULL;
}

void nonces_close(struct nonces *nonces)
{
	if (!nonces)
		return;
	free(nonces->current);
	free(nonces->before);
	free(nonces);
}

/* ---- time ---- */

static void forget(struct used *used)
{
	if (used->count)
		memset(used, 0, sizeof *used);
}

static void next_period(struct nonces *nonces)
{
	struct used *oldest = nonces->before;
	forget(oldest);
	nonces->before = nonces->current;
	nonces->current = oldest;
}

/* A period is longer than a nonce is good for, so that two of them have all that could come again. */
static void tell_time(struct nonces *nonces, int64_t now)
{
	enum { PERIOD = HM_NONCE_SECONDS + 1 };
	if (now <= nonces->now)
		return;
	nonces->now = now;
	if (now - nonces->began < PERIOD)
		return;
	next_period(nonces);
	if (now - nonces->began >= 2 * PERIOD)
		next_period(nonces);
	nonces->began = now;
}

/* ---- nonces ---- */

static bool make_code(const struct nonces *nonces, const struct nonce *nonce, uint8_t code[CODE])
{
	uint8_t whole[32];
	unsigned length = sizeof whole;
	if (!HMAC(EVP_sha256(), nonces->key, KEY, (const uint8_t *)nonce, offsetof(struct nonce, code), whole, &length))
		return false;
	memcpy(code, whole, CODE);
	return true;
}

hm_result nonces_make(struct nonces *nonces, int64_t now, char text[HM_ID_MAX + 1], struct hm_problem *why)
{
	tell_time(nonces, now);
	struct nonce nonce = {.time = (uint32_t)nonces->now, .number = nonces->numbers++};
	if (!make_code(nonces, &nonce, nonce.code))
		return hm_broken(why, "HMAC failed");
	text[base64url_encode(&nonce, sizeof nonce, text)] = 0;
	return HM_OK;
}

static hm_result refuse(struct hm_problem *why)
{
	return hm_refuse(why, "signature_refused", "nonce", "one from POST /v1/nonces, at most %d seconds old, once",
		HM_NONCE_SECONDS);
}

/* Where it is, or where it goes. */
static uint64_t *find(struct used *used, uint64_t nonce)
{
	size_t at = (size_t)(nonce * UINT64_C(0x9e3779b97f4a7c15) >> 32) % SLOTS;
	while (used->slots[at] && used->slots[at] != nonce)
		at = (at + 1) % SLOTS;
	return &used->slots[at];
}

hm_result nonces_use(struct nonces *nonces, int64_t now, const char *text, struct hm_problem *why)
{
	struct nonce nonce;
	uint8_t code[CODE];
	tell_time(nonces, now);
	if (base64url_decode(text, strlen(text), &nonce, sizeof nonce) != sizeof nonce)
		return refuse(why);
	if (!make_code(nonces, &nonce, code))
		return hm_broken(why, "HMAC failed");
	if (CRYPTO_memcmp(code, nonce.code, CODE) != 0 || (uint32_t)nonces->now - nonce.time > HM_NONCE_SECONDS)
		return refuse(why);
	uint64_t number = ((uint64_t)nonce.time << 32 | nonce.number) + 1; /* of which none is 0 */
	uint64_t *slot = find(nonces->current, number);
	if (*slot || *find(nonces->before, number))
		return refuse(why);
	if (nonces->current->count == HM_NONCES_MAX)
		return hm_overload(why, HM_NONCE_SECONDS, "too many signed requests came within a minute");
	*slot = number;
	nonces->current->count++;
	return HM_OK;
}
