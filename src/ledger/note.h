/* SPDX-License-Identifier: Apache-2.0 */
/* C2SP signed-note and tlog-checkpoint: verifier keys, signatures, and the three lines of a checkpoint. */
#ifndef HSMINT_NOTE_H
#define HSMINT_NOTE_H

#include "buffer.h"
#include "limits.h"
#include "merkle.h"

enum {
	NOTE_MAX = 16 * 1024,                     /* a note with its signatures */
	NOTE_TEXT_MAX = HM_ORIGIN_MAX + 128,      /* a checkpoint's text */
	NOTE_KEY_TEXT_MAX = HM_ORIGIN_MAX + 2048, /* a verifier key as text */
	NOTE_SIGNATURE_MAX = 160 /* DER of an ECDSA P-256 signature, or 64 bytes; a cosignature has 72 */
};

/* How a key signs a note: the first byte of the key's material (C2SP signed-note). */
enum note_algorithm { NOTE_ED25519 = 1, NOTE_ECDSA = 2, NOTE_COSIGNATURE = 4 };

struct note_key {
	char name[HM_ORIGIN_MAX + 1];
	uint8_t id[4];
	uint8_t algorithm;         /* enum note_algorithm */
	uint8_t spki[HM_SPKI_MAX]; /* DER SubjectPublicKeyInfo, of Ed25519 too */
	size_t spki_length;
};

/* A name may be used for a key: not empty, no space, no plus, printable. Source: note_key.c */
bool note_is_name(const char *name);

/* A key from its SubjectPublicKeyInfo: Ed25519 or P-256. HM_REFUSED: another kind of key. */
hm_result note_key_make(
	const char *name, const uint8_t *spki, size_t length, struct note_key *key, struct hm_problem *why) HM_MUST_USE;

/* "name+hex id+base64". HM_REFUSED: not a verifier key of a kind that is known, or its id is wrong. */
hm_result note_key_read(const char *text, struct note_key *key, struct hm_problem *why) HM_MUST_USE;
void note_key_write(const struct note_key *key, char text[NOTE_KEY_TEXT_MAX]);

struct checkpoint {
	char origin[HM_ORIGIN_MAX + 1];
	uint64_t size;
	struct merkle_hash root;
	uint64_t store; /* which commit the store had reached; 0: it does not say */
};

/* The text that is signed, ending in a newline; returns its length. Source: checkpoint.c */
size_t checkpoint_write(const struct checkpoint *checkpoint, char text[NOTE_TEXT_MAX]);

/* Read the text of a note, with or without its signatures behind. HM_REFUSED: not a checkpoint. Extension lines
 * other than "store N" are passed over. */
hm_result checkpoint_read(
	const char *note, size_t length, struct checkpoint *checkpoint, struct hm_problem *why) HM_MUST_USE;

/* The number of the shard when `origin` is that of `ledger`, a slash and the number; 0: it is another's. */
unsigned checkpoint_shard(const char *ledger, const char *origin);

/* The note of this text signed by `key`: `signature` raw, as a token gives it (of ECDSA r‖s). 0: no room. Source:
 * note.c */
size_t note_write(const char *text, size_t length, const struct note_key *key, const uint8_t *signature,
	size_t signature_length, char *note, size_t size);

/*
 * Read a note: its signatures by `keys` are verified, and at least one must be there; lines of other keys are passed
 * over. HM_REFUSED: malformed, no signature of these keys, or one of theirs is wrong. `*text_length` is that of what
 * was signed, at the beginning of `note`. `*times` (may be NULL) has for each key of algorithm NOTE_COSIGNATURE that
 * signed the time that it says, and 0 for others.
 */
hm_result note_verify(const char *note, size_t length, const struct note_key *keys, unsigned count, size_t *text_length,
	uint64_t *times, struct hm_problem *why) HM_MUST_USE;

#endif
