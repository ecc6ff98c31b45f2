/* SPDX-License-Identifier: Apache-2.0 */
#include "assertions.h"

#include "identity.h"
#include <inttypes.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

enum { BODY_MAX = 64, APART_SECONDS = 300 }; /* by which clocks of nodes differ at most */

struct used {
	TAILQ_ENTRY(used) link;
	struct assertion assertion;
	uint64_t version;
};

/* In the order in which they are looked at: some live minutes, others a day. */
struct assertions {
	void *tree;
	TAILQ_HEAD(, used) order;
};

hm_result assertion_of(const char *issuer, const char *client, const char *id, int64_t until, struct assertion *out,
	struct hm_problem *why)
{
	struct identity identity;
	HM_TRY(identity_of_words("assertion", issuer, client, id, &identity, why));
	identity_text(&identity, out->key);
	out->until = until;
	return HM_OK;
}

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct used *)a)->assertion.key, ((const struct used *)b)->assertion.key);
}

struct assertions *assertions_open(void)
{
	struct assertions *assertions = calloc(1, sizeof *assertions);
	if (assertions)
		TAILQ_INIT(&assertions->order);
	return assertions;
}

void assertions_close(struct assertions *assertions)
{
	if (!assertions)
		return;
	tdestroy(assertions->tree, free);
	free(assertions);
}

static bool copy_key(const char *key, struct assertion *out)
{
	size_t size = strlen(key) + 1;
	if (size > sizeof out->key)
		return false;
	memcpy(out->key, key, size);
	return true;
}

static struct used *find(const struct assertions *assertions, const char *key)
{
	struct used wanted = {.version = 0};
	if (!copy_key(key, &wanted.assertion))
		return NULL;
	struct used **found = tfind(&wanted, &assertions->tree, compare);
	return found ? *found : NULL;
}

static void drop(struct assertions *assertions, struct used *used)
{
	if (!used)
		return;
	tdelete(used, &assertions->tree, compare);
	TAILQ_REMOVE(&assertions->order, used, link);
	free(used);
}

/* {"until":N}: the canonical form is the only one. */
static bool read_row(const struct store_row *row, struct assertion *out)
{
	char again[BODY_MAX];
	if (!copy_key(row->key, out) || sscanf(row->body, "{\"until\":%" SCNd64 "}", &out->until) != 1)
		return false;
	snprintf(again, sizeof again, "{\"until\":%" PRId64 "}", out->until);
	return strcmp(again, row->body) == 0;
}

hm_result assertions_take(struct assertions *assertions, const struct store_row *row, struct hm_problem *why)
{
	struct used *before = find(assertions, row->key), *used;
	struct assertion assertion;
	if (!row->body) {
		drop(assertions, before);
		return HM_OK;
	}
	if (!read_row(row, &assertion))
		return hm_broken(why, "the store's row of assertion '%.64s' is not as it should be", row->key);
	drop(assertions, before);
	used = calloc(1, sizeof *used);
	if (!used)
		return hm_broken(why, "no memory for an assertion");
	used->assertion = assertion;
	used->version = row->version;
	if (!tsearch(used, &assertions->tree, compare)) {
		free(used);
		return hm_broken(why, "no memory for an assertion");
	}
	TAILQ_INSERT_TAIL(&assertions->order, used, link);
	return HM_OK;
}

bool assertions_was_used(const struct assertions *assertions, const struct assertion *assertion)
{
	return find(assertions, assertion->key) != NULL;
}

bool assertions_put(struct changes *changes, const struct assertion *assertion)
{
	char body[BODY_MAX];
	int length = snprintf(body, sizeof body, "{\"until\":%" PRId64 "}", assertion->until);
	return changes_put(changes, RECORD_ASSERTION, assertion->key, 0, body, (size_t)length);
}

unsigned assertions_expire(struct assertions *assertions, int64_t now, unsigned most, struct changes *changes)
{
	unsigned count = 0;
	struct used *used, *next;
	for (used = TAILQ_FIRST(&assertions->order); used && most; used = next, most--) {
		next = TAILQ_NEXT(used, link);
		if (used->assertion.until + APART_SECONDS <= now) {
			count += changes_delete(changes, RECORD_ASSERTION, used->assertion.key, used->version);
			continue;
		}
		TAILQ_REMOVE(&assertions->order, used, link);
		TAILQ_INSERT_TAIL(&assertions->order, used, link);
	}
	return count;
}
