/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries read (docs/ledger.md): a scanner of canonical JSON (RFC 8785) that goes over the bytes once and keeps
 * nothing. A value is the span of bytes that it has in the entry.
 */
#ifndef HSMINT_ENTRY_H
#define HSMINT_ENTRY_H

#include "buffer.h"

enum entry_type {
	ENTRY_CREDENTIAL,
	ENTRY_RETRY,
	ENTRY_VOID,
	ENTRY_REFUSED,
	ENTRY_OPEN,
	ENTRY_CLOSE,
	ENTRY_START,
	ENTRY_STOP,
	ENTRY_CONFIGURATION,
	ENTRY_COMMAND,
	ENTRY_TOKEN,
	ENTRY_KEY,
	ENTRY_UNLOCK,
	ENTRY_COUNTS,
	ENTRY_FORGOTTEN,
	ENTRY_OF_AGENT,
	ENTRY_OF_TASK,
	ENTRY_OF_APPROVAL,
	ENTRY_OF_REVOCATION,
	ENTRY_STATUS_LIST,
	ENTRY_CLOCK,
	ENTRY_TYPES
};

/* The members that verification and search need. */
enum entry_member {
	ENTRY_APPROVAL,
	ENTRY_CARRIED,
	ENTRY_CONTEXT,
	ENTRY_EPOCH,
	ENTRY_EVENT,
	ENTRY_FINAL,
	ENTRY_FROM,
	ENTRY_HUMANS,
	ENTRY_ID,
	ENTRY_KID,
	ENTRY_NAME,
	ENTRY_OF,
	ENTRY_ORIGIN,
	ENTRY_PREVIOUS,
	ENTRY_RESTORED,
	ENTRY_SIGNED,
	ENTRY_SUBJECT,
	ENTRY_TASK,
	ENTRY_TBS,
	ENTRY_TBS_HMAC,
	ENTRY_TIME,
	ENTRY_TOKEN_NAME,
	ENTRY_TYPE,
	ENTRY_V,
	ENTRY_MEMBERS
};

struct entry {
	int64_t time;
	enum entry_type type;
	struct hm_bytes members[ENTRY_MEMBERS]; /* `data` NULL: it has none */
};

/* HM_REFUSED: not canonical JSON, or `v`, `time` or `type` is missing or not known; `why` names the byte. Source:
 * entry.c */
hm_result entry_read(const uint8_t *data, size_t length, struct entry *entry, struct hm_problem *why) HM_MUST_USE;

const char *entry_type_name(enum entry_type type);
bool entry_type_read(const char *name, enum entry_type *type) HM_MUST_USE;

/* ---- values of an entry that was read; false when the value is another kind ---- */

/* What stands between the quotes, escapes and all: two strings are the same when these are. */
bool entry_string(struct hm_bytes value, struct hm_bytes *text) HM_MUST_USE;
bool entry_number(struct hm_bytes value, int64_t *number) HM_MUST_USE;
bool entry_is(struct hm_bytes value, const char *json); /* exactly these bytes */

/* The next element of an array; `*at` begins as the array and is moved on. False: there are no more. */
bool entry_next(struct hm_bytes *at, struct hm_bytes *element) HM_MUST_USE;

/* A member of an object, by its name as it is written. */
bool entry_find(struct hm_bytes object, const char *name, struct hm_bytes *value) HM_MUST_USE;

#endif
