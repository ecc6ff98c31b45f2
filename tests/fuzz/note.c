/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Notes, checkpoints and verifier keys, as they come from witnesses and from ledgers of others. Each has one way to be
 * written: what is read is written again the same. A signature is right only on what it was made for.
 */
#include "fuzz.h"

#include "../unit/note_vectors.h"
#include "note.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const texts[] = {PETER, ENOCH, SUMDB, REKOR, PIXEL, ARCHE, REMORA};
static const char *const notes[] = {GO_TEXT "\n" PETER_LINE ENOCH_LINE, SUMDB_NOTE, REKOR_NOTE, PIXEL_NOTE, ARCHE_NOTE,
	"a\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\nextension\n"};
enum { TEXTS = sizeof texts / sizeof *texts, NOTES = sizeof notes / sizeof *notes };

static struct note_key keys[TEXTS];

static void check(bool holds)
{
	if (!holds)
		abort();
}

static void read_keys(void)
{
	struct hm_problem why;
	for (unsigned i = 0; i < TEXTS && !keys[i].algorithm; i++)
		check(note_key_read(texts[i], &keys[i], &why) == HM_OK);
}

static void check_refusal(const struct hm_problem *why)
{
	check(strcmp(why->code, "ledger") == 0 && why->detail[0] && memchr(why->detail, 0, sizeof why->detail));
}

static void try_key(const char *text)
{
	struct note_key key;
	struct hm_problem why = {0};
	char again[NOTE_KEY_TEXT_MAX];
	if (note_key_read(text, &key, &why) != HM_OK) {
		check_refusal(&why);
		return;
	}
	note_key_write(&key, again);
	check(strcmp(text, again) == 0 && note_is_name(key.name));
}

static void try_checkpoint(const char *text, size_t length)
{
	struct checkpoint checkpoint;
	struct hm_problem why = {0};
	char again[NOTE_TEXT_MAX];
	if (checkpoint_read(text, length, &checkpoint, &why) != HM_OK) {
		check_refusal(&why);
		return;
	}
	size_t used = checkpoint_write(&checkpoint, again);
	check(used <= length && memcmp(text, again, used) == 0);
}

/* Only the texts among the seeds were ever signed by these keys. */
static bool is_signed_text(const char *note, size_t length)
{
	for (unsigned i = 0; i < NOTES; i++) {
		const char *end = strstr(notes[i], "\n\n");
		if (end && (size_t)(end + 1 - notes[i]) == length && memcmp(notes[i], note, length) == 0)
			return true;
	}
	return false;
}

static void try_note(const char *note, size_t length)
{
	struct hm_problem why = {0};
	size_t text;
	uint64_t times[TEXTS];
	if (note_verify(note, length, keys, TEXTS, &text, times, &why) == HM_OK)
		check(is_signed_text(note, text));
	else
		check_refusal(&why);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	check(text != NULL);
	memcpy(text, data, size);
	text[size] = 0;
	read_keys();
	try_key(text);
	try_checkpoint((const char *)data, size);
	try_note((const char *)data, size);
	free(text);
	return 0;
}

size_t fuzz_seed(unsigned number, uint8_t *data)
{
	if (number >= TEXTS + NOTES)
		return 0;
	const char *seed = number < TEXTS ? texts[number] : notes[number - TEXTS];
	memcpy(data, seed, strlen(seed));
	return strlen(seed);
}
