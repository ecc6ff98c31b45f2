/* SPDX-License-Identifier: Apache-2.0 */
#include "note.h"

#include "note_vectors.h"
#include <criterion/criterion.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEYS_MAX = 4 };

static struct hm_problem why;
static struct note_key keys[KEYS_MAX];
static unsigned count;
static uint64_t times[KEYS_MAX];

static void know(const char *text)
{
	cr_assert_eq(note_key_read(text, &keys[count++], &why), HM_OK, "%s: %s", text, why.detail);
}

static hm_result verify_bytes(const char *note, size_t length, size_t *text_length)
{
	char *exact = malloc(length ? length : 1); /* so that a sanitizer sees a read beyond it */
	cr_assert_not_null(exact);
	memcpy(exact, note, length);
	hm_result result = note_verify(exact, length, keys, count, text_length, times, &why);
	free(exact);
	return result;
}

static hm_result verify(const char *note)
{
	size_t text_length;
	return verify_bytes(note, strlen(note), &text_length);
}

static void expect_refused(const char *note, const char *detail)
{
	cr_expect_eq(verify(note), HM_REFUSED, "%s", note);
	cr_expect_str_eq(why.code, "ledger");
	cr_expect(strstr(why.detail, detail), "'%s' in: %s", detail, why.detail);
}

/* ---- what others signed ---- */

Test(note, of_go)
{
	size_t length = 0;
	know(PETER);
	know(ENOCH);
	cr_expect_eq(verify_bytes(GO_TEXT "\n" PETER_LINE, strlen(GO_TEXT "\n" PETER_LINE), &length), HM_OK, "%s",
		why.detail);
	cr_expect_eq(length, strlen(GO_TEXT));
	cr_expect_eq(verify(GO_TEXT "\n" ENOCH_LINE), HM_OK, "%s", why.detail);
	cr_expect_eq(verify(GO_TEXT "\n" PETER_LINE ENOCH_LINE), HM_OK, "%s", why.detail);
	cr_expect_eq(verify(GO_TEXT "\n" PETER_LINE PETER_LINE), HM_OK, "twice the same: %s", why.detail);
}

Test(note, of_logs)
{
	know(SUMDB);
	know(REKOR);
	know(PIXEL);
	know(ARCHE);
	cr_expect_eq(verify(SUMDB_NOTE), HM_OK, "%s", why.detail);
	cr_expect_eq(verify(REKOR_NOTE), HM_OK, "%s", why.detail);
	cr_expect_eq(verify(PIXEL_NOTE), HM_OK, "%s", why.detail);
	cr_expect_eq(verify(ARCHE_NOTE), HM_OK, "%s", why.detail);
}

Test(note, a_witness_says_its_time)
{
	know(ARCHE);
	know(REMORA);
	know(SUMDB);
	memset(times, 0xff, sizeof times);
	cr_assert_eq(verify(ARCHE_NOTE), HM_OK, "%s", why.detail);
	cr_expect_eq(times[0], 0);
	cr_expect_eq(times[1], REMORA_TIME);
	cr_expect_eq(times[2], 0);
	size_t length;
	cr_expect_eq(note_verify(ARCHE_NOTE, strlen(ARCHE_NOTE), keys, count, &length, NULL, &why), HM_OK);
}

/* ---- trust ---- */

Test(note, keys_that_are_not_known_are_passed_over)
{
	know(PETER);
	cr_expect_eq(verify(GO_TEXT "\n" ENOCH_LINE PETER_LINE), HM_OK, "%s", why.detail);
	cr_expect_eq(
		verify(GO_TEXT "\n" DASH "x AAAAAAA=\n" PETER_LINE), HM_OK, "a signature of one byte: %s", why.detail);
	expect_refused(GO_TEXT "\n" ENOCH_LINE, "none of its signatures");
	count = 0;
	expect_refused(GO_TEXT "\n" PETER_LINE, "none of its signatures");
}

/* C2SP signed-note: those that share a name or an id, but not both, with a known key. */
Test(note, a_name_or_an_id_alone_does_not_make_a_key_known)
{
	know(PETER);
	expect_refused(GO_TEXT
		"\n" DASH "PeterNeumann "
		"x08gpPZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n",
		"none of its signatures");
	expect_refused(GO_TEXT
		"\n" DASH "CarmenSandiego "
		"x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n",
		"none of its signatures");
}

/* One character of it changed; of one key that is known, even beside a good one of another or of its own. */
#define PETER_WRONG          \
	DASH "PeterNeumann " \
	     "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwKnAM=\n"

Test(note, a_wrong_signature_of_a_known_key_refuses_the_note)
{
	know(PETER);
	know(ENOCH);
	expect_refused(GO_TEXT "\n" PETER_WRONG, "signature of PeterNeumann is wrong");
	expect_refused(GO_TEXT "\n" PETER_WRONG PETER_LINE, "signature of PeterNeumann is wrong");
	expect_refused(GO_TEXT "\n" PETER_LINE PETER_WRONG, "signature of PeterNeumann is wrong");
	expect_refused(GO_TEXT "\n" ENOCH_LINE PETER_WRONG, "signature of PeterNeumann is wrong");
	expect_refused(GO_TEXT "\n" DASH "PeterNeumann x08go/ZJkg==\n", "signature of PeterNeumann is wrong");
}

static void expect_no_change(const char *note)
{
	char changed[4096];
	size_t length = strlen(note);
	cr_assert_eq(verify(note), HM_OK, "%s", why.detail);
	for (size_t at = 0; at < length; at++)
		for (unsigned bit = 0; bit < 8; bit++) {
			strcpy(changed, note);
			changed[at] = (char)(changed[at] ^ 1 << bit);
			size_t text_length;
			cr_assert_eq(
				verify_bytes(changed, length, &text_length), HM_REFUSED, "byte %zu, bit %u", at, bit);
		}
	for (size_t cut = 0; cut < length; cut++) {
		size_t text_length;
		cr_assert_eq(verify_bytes(note, cut, &text_length), HM_REFUSED, "%zu bytes", cut);
	}
}

Test(note, every_changed_bit_and_every_cut_is_found)
{
	know(SUMDB);
	know(REKOR);
	expect_no_change(SUMDB_NOTE);
	expect_no_change(REKOR_NOTE);
}

/* ---- form ---- */

static const struct {
	const char *what, *note;
} malformed[] = {
	{"nothing", ""},
	{"text alone", GO_TEXT},
	{"no signature", GO_TEXT "\n"},
	{"no empty line", GO_TEXT PETER_LINE},
	{"two empty lines, so that another text was signed", GO_TEXT "\n\n" PETER_LINE},
	{"an empty line behind", GO_TEXT "\n" PETER_LINE "\n"},
	{"a control character", "\x01" GO_TEXT "\n" PETER_LINE},
	{"a tab", "\t" GO_TEXT "\n" PETER_LINE},
	{"CR", GO_TEXT "\r\n" PETER_LINE},
	{"CR behind a signature", GO_TEXT
		"\n" DASH "PeterNeumann "
		"x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\r\n"},
	{"what is not UTF-8", "\xff" GO_TEXT "\n" PETER_LINE},
	{"a surrogate", "\xed\xa0\x80" GO_TEXT "\n" PETER_LINE},
	{"an overlong form", "\xc0\xaf" GO_TEXT "\n" PETER_LINE},
	{"another line", GO_TEXT "\n" PETER_LINE "Unexpected line.\n"},
	{"another line before", GO_TEXT "\nUnexpected line.\n" PETER_LINE},
	{"a hyphen", GO_TEXT "\n- PeterNeumann x08go/ZJkg==\n" PETER_LINE},
	{"two hyphens", GO_TEXT "\n-- PeterNeumann x08go/ZJkg==\n" PETER_LINE},
	{"an en dash", GO_TEXT "\n\xe2\x80\x93 x x08go/ZJkg==\n" PETER_LINE},
	{"no space behind the dash", GO_TEXT "\n\xe2\x80\x94x x08go/ZJkg==\n" PETER_LINE},
	{"no name", GO_TEXT "\n" DASH " x08go/ZJkg==\n" PETER_LINE},
	{"a name with a space", GO_TEXT "\n" DASH "Bad Name x08go/ZJkg==\n" PETER_LINE},
	{"a name with a space of Unicode", GO_TEXT "\n" DASH "Bad\xe2\x80\x83Name x08go/ZJkg==\n" PETER_LINE},
	{"a name with a plus", GO_TEXT "\n" DASH "Bad+Name x08go/ZJkg==\n" PETER_LINE},
	{"two spaces", GO_TEXT "\n" DASH "x  x08go/ZJkg==\n" PETER_LINE},
	{"a space behind", GO_TEXT "\n" DASH "x x08go/ZJkg== \n" PETER_LINE},
	{"a name alone", GO_TEXT "\n" DASH "x\n" PETER_LINE},
	{"no base64", GO_TEXT "\n" DASH "x \n" PETER_LINE},
	{"a dash alone", GO_TEXT "\n" DASH "\n" PETER_LINE},
	{"an id alone", GO_TEXT "\n" DASH "x x08goA==\n" PETER_LINE},
	{"less than an id", GO_TEXT "\n" DASH "x x08g\n" PETER_LINE},
	{"base64 without padding", GO_TEXT "\n" DASH "x x08go/ZJkg\n" PETER_LINE},
	{"base64 with bits that are not used", GO_TEXT "\n" DASH "x x08go/ZJkh==\n" PETER_LINE},
	{"base64url", GO_TEXT "\n" DASH "x x08go_ZJkg==\n" PETER_LINE},
};

Test(note, what_is_malformed_is_refused)
{
	know(PETER);
	for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++)
		cr_expect_eq(verify(malformed[i].note), HM_REFUSED, "%s", malformed[i].what);
	size_t length;
	cr_expect_eq(verify_bytes("a\0\n\n" PETER_LINE, sizeof "a\0\n\n" PETER_LINE - 1, &length), HM_REFUSED, "a NUL");
}

/* Lines of a key that is not known, so that only their number or their length is at fault. */
static hm_result verify_beside(unsigned lines, size_t length)
{
	char note[NOTE_MAX * 2] = GO_TEXT "\n" PETER_LINE;
	size_t used = strlen(note);
	for (unsigned i = 0; i < lines; i++) {
		used += (size_t)sprintf(note + used, DASH "x ");
		memset(note + used, 'A', length);
		used += length;
		used += (size_t)sprintf(note + used, "\n");
	}
	return verify_bytes(note, used, &length);
}

Test(note, a_note_has_bounds)
{
	know(PETER);
	cr_expect_eq(verify_beside(15, 120), HM_OK, "C2SP signed-note: at least 16 are accepted; %s", why.detail);
	cr_expect_eq(verify_beside(31, 120), HM_OK, "%s", why.detail);
	cr_expect_eq(verify_beside(32, 120), HM_REFUSED);
	cr_expect(strstr(why.detail, "too many"), "%s", why.detail);
	cr_expect_eq(verify_beside(1, 16000), HM_OK, "%s", why.detail);
	cr_expect_eq(verify_beside(1, 16400), HM_REFUSED);
	cr_expect(strstr(why.detail, "too long"), "%s", why.detail);
}

/* ---- our own ---- */

static EVP_PKEY *pair;

static void make_pair(EVP_PKEY *made)
{
	uint8_t spki[HM_SPKI_MAX], *out = spki;
	pair = made;
	int length = i2d_PUBKEY(pair, &out);
	cr_assert_eq(note_key_make("mint.example.org/ledger", spki, (size_t)length, &keys[0], &why), HM_OK);
	count = 1;
}

static size_t sign(const void *text, size_t length, uint8_t *signature)
{
	size_t used = 80;
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	const EVP_MD *digest = EVP_PKEY_get_base_id(pair) == EVP_PKEY_EC ? EVP_sha256() : NULL;
	cr_assert_eq(EVP_DigestSignInit(context, NULL, digest, NULL, pair), 1);
	cr_assert_eq(EVP_DigestSign(context, signature, &used, text, length), 1);
	EVP_MD_CTX_free(context);
	return used;
}

/* As a token gives it: r‖s of 32 bytes each. */
static void sign_raw(const char *text, uint8_t raw[64])
{
	uint8_t der[NOTE_SIGNATURE_MAX];
	const uint8_t *at = der;
	size_t used = sign(text, strlen(text), der);
	ECDSA_SIG *signature = d2i_ECDSA_SIG(NULL, &at, (long)used);
	cr_assert_eq(BN_bn2binpad(ECDSA_SIG_get0_r(signature), raw, 32), 32);
	cr_assert_eq(BN_bn2binpad(ECDSA_SIG_get0_s(signature), raw + 32, 32), 32);
	ECDSA_SIG_free(signature);
}

static const char own[] = "mint.example.org/ledger/1\n5\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";

Test(note, of_an_ed25519_key_is_written_and_verified)
{
	char note[NOTE_MAX];
	uint8_t signature[NOTE_SIGNATURE_MAX];
	make_pair(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"));
	size_t signature_length = sign(own, strlen(own), signature);
	size_t length = note_write(own, strlen(own), &keys[0], signature, signature_length, note, sizeof note), text;
	cr_assert_eq(length, strlen(note));
	cr_expect_eq(strncmp(note, own, strlen(own)), 0);
	cr_expect_eq(strncmp(note + strlen(own), "\n" DASH "mint.example.org/ledger ", 28), 0);
	cr_expect_eq(verify_bytes(note, length, &text), HM_OK, "%s", why.detail);
	cr_expect_eq(text, strlen(own));
	cr_expect_eq(note_write(own, strlen(own), &keys[0], signature, 63, note, sizeof note), 0);
	EVP_PKEY_free(pair);
}

/* C2SP signed-note: the last empty line ends the text, even if what is before it looks like signatures. */
Test(note, a_text_may_have_empty_lines)
{
	static const char text[] = "one\n\n" DASH "Bad Name ABCDEFGH\n\n" PETER_LINE;
	char note[NOTE_MAX];
	uint8_t signature[NOTE_SIGNATURE_MAX];
	size_t text_length = 0;
	make_pair(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"));
	size_t used = sign(text, strlen(text), signature);
	size_t length = note_write(text, strlen(text), &keys[0], signature, used, note, sizeof note);
	cr_expect_eq(verify_bytes(note, length, &text_length), HM_OK, "%s", why.detail);
	cr_expect_eq(text_length, strlen(text));
	EVP_PKEY_free(pair);
}

/* Often enough that r or s is short, or has its highest bit set: each is another DER. */
Test(note, of_an_ecdsa_key_is_written_as_der)
{
	make_pair(EVP_EC_gen("P-256"));
	for (unsigned i = 0; i < 700; i++) {
		char note[NOTE_MAX];
		uint8_t raw[64];
		sign_raw(own, raw);
		cr_assert_gt(note_write(own, strlen(own), &keys[0], raw, sizeof raw, note, sizeof note), 0);
		cr_assert_eq(verify(note), HM_OK, "%s: %s", why.detail, note);
		cr_expect_eq(note_write(own, strlen(own), &keys[0], raw, 63, note, sizeof note), 0);
	}
	EVP_PKEY_free(pair);
}

Test(note, a_raw_ecdsa_signature_in_a_note_is_wrong)
{
	char note[NOTE_MAX];
	uint8_t raw[64];
	make_pair(EVP_EC_gen("P-256"));
	sign_raw(own, raw);
	keys[0].algorithm = NOTE_ED25519; /* so that nothing is made of it */
	cr_assert_gt(note_write(own, strlen(own), &keys[0], raw, sizeof raw, note, sizeof note), 0);
	keys[0].algorithm = NOTE_ECDSA;
	expect_refused(note, "is wrong");
	EVP_PKEY_free(pair);
}

Test(note, is_not_written_where_there_is_no_room)
{
	uint8_t signature[64] = {1};
	char note[NOTE_MAX];
	know(PETER);
	size_t length = note_write(own, strlen(own), &keys[0], signature, sizeof signature, note, sizeof note);
	cr_assert_gt(length, 0);
	for (size_t size = 0; size <= length; size++) {
		char *exact = malloc(size ? size : 1);
		cr_expect_eq(note_write(own, strlen(own), &keys[0], signature, sizeof signature, exact, size), 0);
		free(exact);
	}
	cr_expect_eq(note_write(own, strlen(own), &keys[0], signature, sizeof signature, note, length + 1), length);
}

/* ---- witnesses ---- */

/* C2SP tlog-cosignature, "Ed25519 signed message", byte for byte. */
static void cosign(const char *head, uint64_t time, uint8_t signature[NOTE_SIGNATURE_MAX])
{
	char message[512];
	snprintf(message, sizeof message, "%s%s", head, own);
	for (unsigned i = 0; i < 8; i++)
		signature[i] = (uint8_t)(time >> (56 - 8 * i));
	cr_assert_eq(sign(message, strlen(message), signature + 8), 64);
}

static hm_result verify_cosigned(const char *head, uint64_t time)
{
	char note[NOTE_MAX], text[NOTE_KEY_TEXT_MAX];
	uint8_t signature[NOTE_SIGNATURE_MAX];
	cosign(head, time, signature);
	keys[0].algorithm = NOTE_COSIGNATURE;
	note_key_write(&keys[0], text);
	cr_assert_gt(note_write(own, strlen(own), &keys[0], signature, 72, note, sizeof note), 0);
	return verify(note);
}

Test(note, a_cosignature_is_over_its_time_and_the_text)
{
	make_pair(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"));
	cr_expect_eq(verify_cosigned("cosignature/v1\ntime 1679315147\n", 1679315147), HM_OK, "%s", why.detail);
	cr_expect_eq(times[0], 1679315147);
	cr_expect_eq(verify_cosigned("cosignature/v1\ntime 9223372036854775807\n", INT64_MAX), HM_OK, "%s", why.detail);
	cr_expect_eq(verify_cosigned("cosignature/v1\ntime 1679315147\n", 1679315148), HM_REFUSED);
	cr_expect_eq(verify_cosigned("cosignature/v2\ntime 1679315147\n", 1679315147), HM_REFUSED);
	cr_expect_eq(verify_cosigned("", 1679315147), HM_REFUSED, "the text alone");
	cr_expect_eq(verify_cosigned("cosignature/v1\ntime 9223372036854775808\n", (uint64_t)INT64_MAX + 1), HM_REFUSED,
		"2^63");
	EVP_PKEY_free(pair);
}
