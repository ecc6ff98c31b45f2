/* SPDX-License-Identifier: Apache-2.0 */
/* What the rooms of the status lists share: status_lists.c (rows, and what each place says), status_places.c (who gets
 * which). */
#ifndef HSMINT_STATUS_INSIDE_H
#define HSMINT_STATUS_INSIDE_H

#include "status_lists.h"
#include "words.h"

enum { STATUS_WORDS = STATUS_LIST_PLACES / 32 };

/* Places of one holder, a row of RECORD_BLOCK. */
struct status_block {
	struct status_block *next_of_holder, *next_of_agent; /* in their buckets */
	const char *issuer, *agent, *kid;                    /* words */
	uint64_t version;
	int64_t leased, given;    /* given: the last place, as far as is known: at the start, or when it came, else */
	char task[HM_ID_MAX + 1]; /* "": none */
	uint8_t count, used;      /* used: places given out; of a block that another leased, or an earlier life: all */
	bool shared, ended;
	uint16_t list, first;
};

struct status_list {
	uint32_t taken[STATUS_WORDS];   /* a bit a place: it belongs to a block, or to one that is being committed */
	uint32_t leasing[STATUS_WORDS]; /* to one that we are committing */
	uint32_t revoked[STATUS_WORDS]; /* the one credential there was */
	uint8_t bits[STATUS_LIST_PLACES / 4];
	bool changed;
	struct status_block *blocks[STATUS_LIST_PLACES]; /* by their first place */
};

struct status_issuer {
	const char *name; /* a word */
	struct status_list *lists[HM_STATUS_LISTS_MAX];
	unsigned count;
	unsigned list, word; /* where a free place was found last */
};

struct status_lists {
	const struct agents *agents;
	const struct tasks *tasks;
	const struct revocations *revocations;
	struct words words;
	struct status_issuer issuers[HM_ISSUERS_MAX];
	unsigned issuers_count;
	struct status_block **by_holder, **by_agent; /* hash tables of `size` buckets */
	unsigned size, count;
	struct {
		unsigned issuer, list, index;
	} looked_at; /* by status_lists_expire, before this place */
	struct siphash_key *key;
};

/* NULL: it has none. */
struct status_issuer *status_issuer(const struct status_lists *lists, const char *name);
/* NULL: no memory, or too many. */
struct status_issuer *status_issuer_make(struct status_lists *lists, const char *name);
struct status_list *status_list_make(struct status_issuer *issuer, unsigned number);

/* The first block in the bucket of this holder; others' are in it too. */
struct status_block *status_holder_first(
	const struct status_lists *lists, const char *issuer, const char *agent, const char *task);

/* What all places of the block say, whatever was revoked alone. */
enum status_value status_block_value(const struct status_lists *lists, const struct status_block *block);

/* The block with this place; NULL: none. */
struct status_block *status_block_at(const struct status_lists *lists, const char *issuer, struct status_place place);

#endif
