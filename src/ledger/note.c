/* SPDX-License-Identifier: Apache-2.0 */
#include "note.h"

#include "base64.h"
#include <inttypes.h>
#include <openssl/asn1.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

#define DASH "\xe2\x80\x94 " /* U+2014 and a space */

enum {
	DASH_LENGTH = sizeof DASH - 1,
	SIGNATURES_MAX = 32, /* C2SP signed-note: at least 16 are accepted */
	KEY_ID = 4,
	ED25519_SIGNATURE = 64,
	TIME = 8, /* bytes before a cosignature */
	COSIGNED_MAX = NOTE_MAX + 64
};

static void free_key(EVP_PKEY **key)
{
	EVP_PKEY_free(*key);
}

static void free_context(EVP_MD_CTX **context)
{
	EVP_MD_CTX_free(*context);
}

static void free_signature(ECDSA_SIG **signature)
{
	ECDSA_SIG_free(*signature);
}

static hm_result refuse(struct hm_problem *why, const char *what)
{
	return hm_refuse(why, "ledger", NULL, "not a signed note: %s", what);
}

/* ---- writing ---- */

/* Of r‖s, which tokens give; 0: it is not that. */
static size_t write_der(const uint8_t *raw, size_t length, uint8_t der[NOTE_SIGNATURE_MAX])
{
	__attribute__((cleanup(free_signature))) ECDSA_SIG *signature = ECDSA_SIG_new();
	uint8_t *out = der;
	if (length != 64 || !signature)
		return 0;
	BIGNUM *r = BN_bin2bn(raw, 32, NULL), *s = BN_bin2bn(raw + 32, 32, NULL);
	if (!r || !s || ECDSA_SIG_set0(signature, r, s) != 1) {
		BN_free(r);
		BN_free(s);
		return 0;
	}
	int used = i2d_ECDSA_SIG(signature, &out); /* 72 bytes at most */
	return used > 0 ? (size_t)used : 0;
}

static size_t as_in_notes(const struct note_key *key, const uint8_t *signature, size_t length, uint8_t *out)
{
	if (key->algorithm == NOTE_ECDSA)
		return write_der(signature, length, out);
	if (length != ED25519_SIGNATURE + (key->algorithm == NOTE_COSIGNATURE ? TIME : 0))
		return 0;
	memcpy(out, signature, length);
	return length;
}

size_t note_write(const char *text, size_t length, const struct note_key *key, const uint8_t *signature,
	size_t signature_length, char *note, size_t size)
{
	uint8_t blob[KEY_ID + NOTE_SIGNATURE_MAX];
	memcpy(blob, key->id, KEY_ID);
	size_t used = as_in_notes(key, signature, signature_length, blob + KEY_ID);
	size_t name = strlen(key->name), base64 = base64_length(KEY_ID + used);
	size_t whole = length + 1 + DASH_LENGTH + name + 1 + base64 + 1;
	if (!used || size <= whole)
		return 0;
	memcpy(note, text, length);
	int head = snprintf(note + length, size - length, "\n" DASH "%s ", key->name);
	base64_encode(blob, KEY_ID + used, note + length + head);
	note[whole - 1] = '\n';
	note[whole] = 0;
	return whole;
}

/* ---- one signature ---- */

static bool verify_bytes(
	const struct note_key *key, const void *text, size_t length, const uint8_t *signature, size_t signature_length)
{
	const uint8_t *der = key->spki;
	__attribute__((cleanup(free_key))) EVP_PKEY *public = d2i_PUBKEY(NULL, &der, (long)key->spki_length);
	__attribute__((cleanup(free_context))) EVP_MD_CTX *context = EVP_MD_CTX_new();
	const EVP_MD *digest = key->algorithm == NOTE_ECDSA ? EVP_sha256() : NULL;
	return public && context && EVP_DigestVerifyInit(context, NULL, digest, NULL, public) == 1 &&
	       EVP_DigestVerify(context, signature, signature_length, text, length) == 1;
}

static uint64_t get_time(const uint8_t *data)
{
	uint64_t value = 0;
	for (unsigned i = 0; i < TIME; i++)
		value = value << 8 | data[i];
	return value;
}

/* C2SP tlog-cosignature: what is signed has two lines before the text. */
static bool verify_cosignature(
	const struct note_key *key, const char *text, size_t length, const uint8_t *signature, uint64_t *time)
{
	char signed_text[COSIGNED_MAX];
	*time = get_time(signature);
	int head = snprintf(signed_text, sizeof signed_text, "cosignature/v1\ntime %" PRIu64 "\n", *time);
	if (*time > INT64_MAX || length > sizeof signed_text - (size_t)head)
		return false;
	memcpy(signed_text + head, text, length);
	return verify_bytes(key, signed_text, (size_t)head + length, signature + TIME, ED25519_SIGNATURE);
}

static bool verify(const struct note_key *key, const char *text, size_t length, const uint8_t *signature,
	size_t signature_length, uint64_t *time)
{
	*time = 0;
	if (key->algorithm != NOTE_COSIGNATURE)
		return verify_bytes(key, text, length, signature, signature_length);
	return signature_length == TIME + ED25519_SIGNATURE && verify_cosignature(key, text, length, signature, time);
}

/* ---- a note ---- */

static bool is_text(const char *note, size_t length)
{
	while (length) {
		unsigned long c;
		int used = UTF8_getc((const unsigned char *)note, (int)length, &c);
		if (used < 1 || (c < ' ' && c != '\n'))
			return false;
		note += used;
		length -= (size_t)used;
	}
	return true;
}

/* The text ends before the last empty line. 0: there is none. */
static size_t find_text(const char *note, size_t length)
{
	for (size_t end = length; end >= 2; end--)
		if (note[end - 2] == '\n' && note[end - 1] == '\n')
			return end - 1;
	return 0;
}

struct line {
	char name[HM_ORIGIN_MAX + 1];
	uint8_t blob[NOTE_MAX / 4 * 3]; /* key id and signature */
	size_t length;
};

/* Read a signature's line, without its newline. */
static bool read_line(const char *text, size_t length, struct line *line)
{
	if (length < DASH_LENGTH || memcmp(text, DASH, DASH_LENGTH) != 0)
		return false;
	const char *name = text + DASH_LENGTH, *space = memchr(name, ' ', length - DASH_LENGTH);
	size_t name_length = space ? (size_t)(space - name) : 0;
	if (!space || name_length > HM_ORIGIN_MAX)
		return false;
	memcpy(line->name, name, name_length);
	line->name[name_length] = 0;
	line->length = base64_decode(space + 1, (size_t)(text + length - space - 1), line->blob, sizeof line->blob);
	return note_is_name(line->name) && line->length != SIZE_MAX && line->length > KEY_ID;
}

struct note {
	const char *text;
	size_t length; /* of what is signed */
	const struct note_key *keys;
	unsigned count;
	uint64_t *times;
	unsigned verified;
};

static hm_result check_line(struct note *note, const struct line *line, struct hm_problem *why)
{
	for (unsigned i = 0; i < note->count; i++) {
		const struct note_key *key = &note->keys[i];
		uint64_t time;
		if (strcmp(line->name, key->name) != 0 || memcmp(line->blob, key->id, KEY_ID) != 0)
			continue;
		if (!verify(key, note->text, note->length, line->blob + KEY_ID, line->length - KEY_ID, &time))
			return hm_refuse(why, "ledger", NULL, "the signature of %s is wrong", key->name);
		if (note->times)
			note->times[i] = time;
		note->verified++;
	}
	return HM_OK;
}

static hm_result check_lines(struct note *note, const char *at, size_t left, struct hm_problem *why)
{
	struct line line;
	for (unsigned i = 0; left; i++) {
		const char *end = memchr(at, '\n', left);
		if (i == SIGNATURES_MAX)
			return refuse(why, "it has too many signatures");
		if (!end || !read_line(at, (size_t)(end - at), &line))
			return refuse(why, "a line behind its text is not a signature");
		HM_TRY(check_line(note, &line, why));
		left -= (size_t)(end + 1 - at);
		at = end + 1;
	}
	return HM_OK;
}

hm_result note_verify(const char *note, size_t length, const struct note_key *keys, unsigned count, size_t *text_length,
	uint64_t *times, struct hm_problem *why)
{
	if (length > NOTE_MAX || !is_text(note, length))
		return refuse(why, "it is too long, or not text");
	size_t text = find_text(note, length);
	if (!text || text + 1 == length)
		return refuse(why, "no signatures follow an empty line");
	struct note checked = {.text = note, .length = text, .keys = keys, .count = count, .times = times};
	if (times)
		memset(times, 0, count * sizeof *times);
	HM_TRY(check_lines(&checked, note + text + 1, length - text - 1, why));
	if (!checked.verified)
		return hm_refuse(why, "ledger", NULL, "none of its signatures is by a key that is known");
	*text_length = text;
	return HM_OK;
}
