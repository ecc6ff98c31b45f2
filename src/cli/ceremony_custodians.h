/* SPDX-License-Identifier: Apache-2.0 */
/* The people of a key ceremony: their names, what they are asked, and when they answered. */
#ifndef HSMINT_CEREMONY_CUSTODIANS_H
#define HSMINT_CEREMONY_CUSTODIANS_H

#include "limits.h"
#include "result.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

enum { TIME_TEXT = 21, READ_BACK = 8 };

/* "2026-11-25T15:10:37Z" (RFC 3339), of now. */
void time_now(char text[TIME_TEXT]);
/* The time that the text tells, and tells in this form alone. False: it does not. */
bool time_read(const char *text, int64_t *seconds);

/* Whether the text is UTF-8 of 1 to `most` bytes without control characters, so that it can be shown to people. */
bool is_plain_text(const char *text, size_t most);

struct custodian {
	const char *name; /* the caller's */
	char agreed[TIME_TEXT], confirmed[TIME_TEXT];
	bool read_back; /* the characters were typed; otherwise "yes", which only a script may answer */
};

struct custodians {
	struct custodian list[HM_CUSTODIANS_MAX];
	unsigned count;
};

/* One more. False: no such name is accepted, it is there already, or there are too many. */
bool custodians_add(struct custodians *custodians, const char *name);

/* Where answers come from: a terminal, where a slip may be mended, or lines of a file or pipe. */
struct answers {
	FILE *in;
	bool terminal;
};
/* NULL: standard input. */
hm_result answers_open(const char *path, struct answers *answers, struct hm_problem *why) HM_MUST_USE;
void answers_close(struct answers *answers);

/* Each custodian types their name. HM_REFUSED: one did not. */
hm_result custodians_agree(struct custodians *custodians, struct answers *answers, struct hm_problem *why) HM_MUST_USE;

/* Each reads back the last READ_BACK characters of the fingerprint `sha256`, in hexadecimal. */
hm_result custodians_confirm(
	struct custodians *custodians, struct answers *answers, const char *sha256, struct hm_problem *why) HM_MUST_USE;

/* As they stand in a record: an array, NULL without memory. */
json_t *custodians_json(const struct custodians *custodians);
/* Whether this array is what custodians_json may have written, all within these times. */
bool custodians_are_sound(const json_t *array, int64_t begun, int64_t ended);

#endif
