/* SPDX-License-Identifier: Apache-2.0 */
#include "latch.h"

#include "base64url.h"
#include "file.h"
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* 16 MiB and some 40 ms a guess: the file alone gives no PIN away quickly. */
enum { SCRYPT_N = 1 << 14, SCRYPT_R = 8, SCRYPT_P = 1, SCRYPT_MEMORY = 32 * 1024 * 1024, DIGEST = 32 };
enum { FILE_MAX = 4096 };

static const char first_line[] = "hsmint-latch 1\n";
static const char *const state_names[LATCH_STATES] = {"trying", "good", "wrong"};

/* ---- the file ---- */

static bool is_of_unlock(const struct latch_entry *entry)
{
	return strlen(entry->mark) == LATCH_UNLOCK_TEXT;
}

static bool parse_entry(const char *line, struct latch_entry *entry)
{
	char state[8];
	if (sscanf(line, "%7s %43s %u", state, entry->mark, &entry->unanswered) != 3 ||
		(strlen(entry->mark) != LATCH_DIGEST_TEXT && !is_of_unlock(entry)))
		return false;
	for (entry->state = 0; entry->state < LATCH_STATES; entry->state++)
		if (strcmp(state, state_names[entry->state]) == 0)
			return true;
	return false;
}

static bool parse(char *text, struct latch *latch)
{
	char *rest = NULL;
	if (strncmp(text, first_line, sizeof first_line - 1) != 0)
		return false;
	char *line = strtok_r(text + sizeof first_line - 1, "\n", &rest);
	if (!line || strncmp(line, "salt ", 5) != 0 ||
		base64url_decode(line + 5, strlen(line + 5), latch->salt, LATCH_SALT) != LATCH_SALT)
		return false;
	while ((line = strtok_r(NULL, "\n", &rest)))
		if (latch->count == LATCH_ENTRIES || !parse_entry(line, &latch->entries[latch->count++]))
			return false;
	return true;
}

static size_t print(const struct latch *latch, char text[FILE_MAX])
{
	char salt[2 * LATCH_SALT];
	salt[base64url_encode(latch->salt, LATCH_SALT, salt)] = 0;
	size_t used = (size_t)snprintf(text, FILE_MAX, "%ssalt %s\n", first_line, salt);
	for (unsigned i = 0; i < latch->count; i++) {
		const struct latch_entry *entry = &latch->entries[i];
		used += (size_t)snprintf(text + used, FILE_MAX - used, "%s %s %u\n", state_names[entry->state],
			entry->mark, entry->unanswered);
	}
	return used;
}

/* Reading is lenient: a file counts only if it is, byte for byte, what we would have written. */
static bool is_whole(const char *text, size_t length, struct latch *latch)
{
	char torn[FILE_MAX], again[FILE_MAX];
	memcpy(torn, text, length);
	torn[length] = 0;
	return parse(torn, latch) && print(latch, again) == length && memcmp(again, text, length) == 0;
}

static hm_result start_anew(struct latch *latch, struct token_failure *why)
{
	latch->count = 0;
	return RAND_bytes(latch->salt, LATCH_SALT) == 1 ? HM_OK : fail(why, TOKEN_DEVICE, "no random bytes");
}

static void forget_all_but_good(struct latch *latch)
{
	unsigned kept = 0;
	for (unsigned i = 0; i < latch->count; i++)
		if (latch->entries[i].state == LATCH_GOOD) {
			latch->entries[kept] = latch->entries[i];
			latch->entries[kept++].unanswered = 0;
		}
	latch->count = kept;
}

hm_result latch_open(const char *state, const char *token, bool forget, struct latch *latch, struct token_failure *why)
{
	struct hm_problem problem;
	char text[FILE_MAX];
	size_t length;

	*latch = (struct latch){.count = 0};
	if (snprintf(latch->path, sizeof latch->path, "%s/latch/%s", state, token) >= (int)sizeof latch->path - 8)
		return fail(why, TOKEN_PERMANENT, "%s: path too long", state);
	if (access(latch->path, F_OK) < 0 && errno == ENOENT)
		return start_anew(latch, why);
	if (file_read(latch->path, true, text, sizeof text - 1, &length, &problem) != HM_OK)
		return fail(why, TOKEN_LATCH, "PIN latch: %s", problem.detail);
	bool whole = is_whole(text, length, latch);
	if (!whole && forget)
		return start_anew(latch, why);
	if (!whole)
		return fail(why, TOKEN_LATCH,
			"PIN latch: %s is damaged: hsmint token unlatch, once the PIN is known to "
			"be right",
			latch->path);
	if (forget)
		forget_all_but_good(latch);
	return HM_OK;
}

static hm_result write_file(const struct latch *latch, struct token_failure *why)
{
	struct hm_problem problem;
	char directory[HM_PATH_MAX], text[FILE_MAX];

	snprintf(directory, sizeof directory, "%s", latch->path);
	*strrchr(directory, '/') = 0;
	if (file_make_directory(directory, &problem) != HM_OK)
		return fail(why, TOKEN_DEVICE, "PIN latch: %s", problem.detail);
	if (file_replace(latch->path, text, print(latch, text), 0600, &problem) != HM_OK)
		return fail(why, TOKEN_DEVICE, "PIN latch: %s", problem.detail);
	return HM_OK;
}

/* ---- what may be tried ---- */

static void choose(struct latch *latch, const uint8_t *mark, size_t length)
{
	latch->mark[base64url_encode(mark, length, latch->mark)] = 0;
	latch->current = NULL;
	for (unsigned i = 0; i < latch->count; i++)
		if (strcmp(latch->entries[i].mark, latch->mark) == 0)
			latch->current = &latch->entries[i];
}

hm_result latch_choose(struct latch *latch, const struct pin *pin, struct token_failure *why)
{
	uint8_t digest[DIGEST];
	if (EVP_PBE_scrypt((const char *)pin->text, pin->length, latch->salt, LATCH_SALT, SCRYPT_N, SCRYPT_R, SCRYPT_P,
		    SCRYPT_MEMORY, digest, sizeof digest) != 1)
		return fail(why, TOKEN_DEVICE, "PIN latch: scrypt failed");
	choose(latch, digest, sizeof digest);
	return HM_OK;
}

/* Nobody has the ids of the unlocks before any more. */
void latch_choose_unlock(struct latch *latch, const uint8_t id[HM_UNLOCK_ID])
{
	unsigned kept = 0;
	choose(latch, id, HM_UNLOCK_ID);
	for (unsigned i = 0; i < latch->count; i++)
		if (!is_of_unlock(&latch->entries[i]) || &latch->entries[i] == latch->current)
			latch->entries[kept++] = latch->entries[i];
	latch->count = kept;
	choose(latch, id, HM_UNLOCK_ID);
}

bool latch_is_good(const struct latch *latch)
{
	return latch->current && latch->current->state == LATCH_GOOD;
}

bool latch_is_in_doubt(const struct latch *latch)
{
	return latch_is_good(latch) && latch->current->unanswered;
}

static hm_result check(const struct latch_entry *entry, struct token_failure *why)
{
	const char *mend = is_of_unlock(entry) ? "unlock" : "unlatch";
	if (entry->state == LATCH_WRONG)
		return fail(
			why, TOKEN_LATCH, "the token has refused this PIN: give another one, or hsmint token %s", mend);
	if (entry->state == LATCH_TRYING)
		return fail(why, TOKEN_LATCH,
			"a first attempt with this PIN ended without an answer: make sure that it is "
			"right, then hsmint token %s",
			mend);
	if (entry->unanswered >= HM_LOGIN_UNANSWERED_MAX)
		return fail(why, TOKEN_LATCH,
			"%u attempts in a row ended without an answer: look at the token, then "
			"hsmint token %s",
			entry->unanswered, mend);
	return HM_OK;
}

/* A place for another PIN. PINs get changed for years: the oldest good one without unanswered attempts makes room. */
static struct latch_entry *find_room(struct latch *latch)
{
	if (latch->count < LATCH_ENTRIES)
		return &latch->entries[latch->count++];
	for (unsigned i = 0; i < LATCH_ENTRIES; i++) {
		struct latch_entry *entry = &latch->entries[i];
		if (entry->state != LATCH_GOOD || entry->unanswered)
			continue;
		memmove(entry, entry + 1, (LATCH_ENTRIES - 1 - i) * sizeof *entry);
		return &latch->entries[LATCH_ENTRIES - 1];
	}
	return NULL;
}

hm_result latch_try(struct latch *latch, struct token_failure *why)
{
	if (latch->current) {
		HM_TRY(check(latch->current, why));
		latch->current->unanswered++;
		return write_file(latch, why);
	}
	latch->current = find_room(latch);
	if (!latch->current)
		return fail(why, TOKEN_LATCH, "%d PINs were tried already: hsmint token unlatch", LATCH_ENTRIES);
	*latch->current = (struct latch_entry){.state = LATCH_TRYING};
	memcpy(latch->current->mark, latch->mark, sizeof latch->mark);
	return write_file(latch, why);
}

hm_result latch_answer(struct latch *latch, enum latch_state answer, struct token_failure *why)
{
	latch->current->state = answer;
	latch->current->unanswered = 0;
	return write_file(latch, why);
}

hm_result latch_withdraw(struct latch *latch, struct token_failure *why)
{
	if (latch->current->state != LATCH_GOOD || !latch->current->unanswered)
		return HM_OK;
	latch->current->unanswered--;
	return write_file(latch, why);
}
