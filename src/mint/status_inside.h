/* SPDX-License-Identifier: Apache-2.0 */
/* What the rooms of the status lists share: status_lists.c (rows, and what each place says), status_blocks.c (blocks
 * in memory), status_places.c (who gets which). */
#ifndef HSMINT_STATUS_INSIDE_H
#define HSMINT_STATUS_INSIDE_H

#include "status_lists.h"
#include "words.h"

enum { STATUS_WORDS = STATUS_LIST_PLACES / 32 };

/* Of a block in memory; 0: none. */
typedef uint32_t status_number;

/* Places of one holder, a row of RECORD_BLOCK. There may be a million of them: mind what a member more costs. */
struct status_block {
	uint64_t version;
	const char *agent, *kid;                     /* words */
	status_number next_of_holder, next_of_agent; /* in their buckets */
	/* Seconds since 1970. given: the last place, 0: none by this process. */
	uint32_t leased, given;
	char task[HM_ID_MAX + 1]; /* "": none */
	uint8_t issuer, list;     /* issuer: of status_lists */
	uint8_t count, used;      /* used: places given out; of a block that another leased, or an earlier life: all */
	bool shared : 1, ended : 1;
	uint16_t first;
};

struct status_list {
	uint32_t taken[STATUS_WORDS];   /* a bit a place: it belongs to a block, or to one that we are committing */
	uint32_t revoked[STATUS_WORDS]; /* the one credential there was */
	uint8_t bits[STATUS_LIST_PLACES / 4];
	bool changed;
	status_number blocks[STATUS_LIST_PLACES]; /* by their first place */
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
	struct status_block **pieces; /* memory for blocks */
	unsigned pieces_count;
	status_number free;                  /* the first block that is not in use, chained by next_of_holder */
	status_number *by_holder, *by_agent; /* hash tables of `size` buckets */
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

/* ---- status_blocks.c ---- */

bool status_blocks_open(struct status_lists *lists) HM_MUST_USE; /* false: no memory */
void status_blocks_close(struct status_lists *lists);

struct status_block *status_block(const struct status_lists *lists, status_number number); /* NULL: of 0 */
const char *status_block_issuer(const struct status_lists *lists, const struct status_block *block);

/* All zero; 0: no memory. It is found by nothing until it is linked, and must not be any more when it is freed. */
status_number status_block_new(struct status_lists *lists);
void status_block_free(struct status_lists *lists, status_number number);
void status_block_link(struct status_lists *lists, status_number number);
void status_block_unlink(struct status_lists *lists, status_number number);

/* The first block in the bucket of this holder, the newest; others' are in it too. */
struct status_block *status_holder_first(
	const struct status_lists *lists, const char *issuer, const char *agent, const char *task);

/* Likewise of this agent. */
struct status_block *status_agent_first(const struct status_lists *lists, const char *issuer, const char *agent);

/* What all places of the block say, whatever was revoked alone. */
enum status_value status_block_value(const struct status_lists *lists, const struct status_block *block);

/* The block with this place; NULL: none. */
struct status_block *status_block_at(const struct status_lists *lists, const char *issuer, struct status_place place);

#endif
