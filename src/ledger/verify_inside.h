/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the verifier share: verify.c (shards and trees), verify_entry.c and verify_counts.c. */
#ifndef HSMINT_VERIFY_INSIDE_H
#define HSMINT_VERIFY_INSIDE_H

#include "edge.h"
#include "verify.h"

enum {
	VERIFY_KIDS = 2048,   /* keys that may occur in a shard; a power of two, twice what is ever used */
	VERIFY_EPOCHS = 256,  /* processes of tokens of which the last counts are awaited */
	VERIFY_RECENT = 65536 /* entries of which the type is remembered; a power of two */
};

/* What entries and counts say of a key. */
struct verify_kids {
	struct verify_kid {
		char text[HM_KID_MAX];
		uint8_t length;   /* 0: free */
		uint64_t entries; /* credentials or status lists, retries, and what was carried */
		uint64_t signatures;
		bool signs_any; /* it is known what it signs: */
		enum verify_what signs;
	} slots[VERIFY_KIDS];
	unsigned count;
	struct verify_kid *last; /* looked up */
};

struct verify_epoch {
	char text[HM_ID_MAX];
	char token[HM_NAME_MAX];
	uint8_t length, token_length;
	unsigned shard;
	uint64_t began; /* the entry that says so */
	bool is_ended;
};

struct verify {
	const struct log_ledger *ledger;
	const struct verify_terms *terms;
	const struct verify_listener *listener;
	uint64_t faults;

	struct log_shard log;
	struct verify_shard shard;
	struct checkpoint checkpoint; /* of this shard; `size` 0 and no origin when it is not right */
	bool has_checkpoint;
	struct edge edge;
	struct verify_kids *kids;

	struct checkpoint trusted;
	bool has_trusted; /* and the shard is the one it is of */

	bool has_before; /* the shard before was read */
	struct log_shard log_before;
	struct verify_shard before;
	struct verify_kids *kids_before;

	struct verify_epoch epochs[VERIFY_EPOCHS];
	unsigned epoch_count;
	bool knows_epochs; /* all were seen to begin */
	uint8_t types[VERIFY_RECENT];
};

/* Source: verify.c */
void verify_found(struct verify *verify, bool is_fault, const char *place, const uint64_t *entry, const char *format,
	...) HM_PRINTF(5, 6);
/* The same for a fault of an entry of this shard. */
void verify_entry_fault(struct verify *verify, uint64_t index, const char *format, ...) HM_PRINTF(3, 4);

/* What an entry says, against all before. Source: verify_entry.c */
void verify_entry(struct verify *verify, uint64_t index, const uint8_t *data, size_t length);

/* An entry was read as `type`, or (-1) could not be. */
void verify_remember(struct verify *verify, uint64_t index, int type);

/* Source: verify_counts.c */
struct verify_kid *verify_kid(struct verify_kids *kids, struct hm_bytes kid); /* NULL: too long, or too many */
/* False: it signs something else; no key signs credentials and status lists. */
bool verify_kid_signs(struct verify_kid *key, enum verify_what what);
void verify_carried(struct verify *verify, uint64_t index, struct hm_bytes carried);
void verify_counts(struct verify *verify, uint64_t index, const struct entry *entry);
void verify_token(struct verify *verify, uint64_t index, const struct entry *entry);
void verify_service_started(struct verify *verify); /* all epochs before have ended */
void verify_epochs_end(struct verify *verify);      /* nothing more is read */

#endif
