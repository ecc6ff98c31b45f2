/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PIN latch's file, as a crash, a full disk or a hand left it. What is accepted must be written again as the same
 * bytes: no line is read in two ways or overlooked, for it may be the one that says `wrong`. All else is damage, and
 * after an unlatch it is forgotten.
 */
#include "fuzz.h"

#include "latch.h"
#include "scratch.h"
#include <stdlib.h>
#include <string.h>

#define FILE_NAME "latch/soft"
#define FIRST     "hsmint-latch 1\nsalt AAECAwQFBgcICQoLDA0ODw\n"
#define TRYING    "trying cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s 0\n"
#define GOOD      "good cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-t 2\n"
#define WRONG     "wrong cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-u 0\n"
#define UNLOCK    "good AQIDBAUGBwgJCgsMDQ4P_w 1\n"
#define SIXTEEN   WRONG WRONG WRONG WRONG WRONG WRONG WRONG WRONG GOOD GOOD GOOD GOOD GOOD GOOD GOOD GOOD

static const char *const well_formed[] = {
	FIRST, FIRST TRYING, FIRST GOOD, FIRST WRONG GOOD TRYING, FIRST SIXTEEN, FIRST WRONG UNLOCK};
enum { WELL_FORMED = sizeof well_formed / sizeof *well_formed };

static void check(bool holds)
{
	if (!holds)
		abort();
}

/* An answer to a PIN that has no place in the file leaves the others as they were. */
static void check_written_equal(struct latch *latch, const uint8_t *data, size_t size)
{
	static uint8_t again[FUZZ_INPUT_MAX];
	struct latch_entry elsewhere;
	struct token_failure why;
	latch->current = &elsewhere;
	check(latch_answer(latch, LATCH_GOOD, &why) == HM_OK);
	check(scratch_read(FILE_NAME, again, sizeof again) == size && memcmp(again, data, size) == 0);
}

static bool is_accepted(const uint8_t *data, size_t size, bool forget, struct latch *latch)
{
	struct token_failure why = {.class = TOKEN_CLASSES};
	(void)scratch_write(FILE_NAME, data, size);
	if (latch_open(scratch_directory(), "soft", forget, latch, &why) == HM_OK)
		return true;
	check(why.class == TOKEN_LATCH && strstr(why.detail, FILE_NAME));
	return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct latch latch;
	bool accepted = is_accepted(data, size, false, &latch);
	if (accepted)
		check_written_equal(&latch, data, size);
	if (!is_accepted(data, size, true, &latch))
		return 0; /* too long a file */
	for (unsigned i = 0; i < latch.count; i++)
		check(accepted && latch.entries[i].state == LATCH_GOOD && latch.entries[i].unanswered == 0);
	return 0;
}

size_t fuzz_seed(unsigned number, uint8_t *data)
{
	static struct latch latch;
	if (number >= WELL_FORMED)
		return 0;
	size_t length = strlen(well_formed[number]);
	memcpy(data, well_formed[number], length);
	check(is_accepted(data, length, false, &latch));
	return length;
}
