/* SPDX-License-Identifier: Apache-2.0 */
#include "note.h"

#include "base64.h"
#include "note_vectors.h"
#include <criterion/criterion.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <string.h>

static struct hm_problem why;

static const struct {
	const char *text, *name;
	uint8_t algorithm;
	const char *id;
} known[] = {
	{PETER, "PeterNeumann", NOTE_ED25519, "\xc7\x4f\x20\xa3"},
	{ENOCH, "EnochRoot", NOTE_ED25519, "\xaf\x0c\xfe\x78"},
	{SUMDB, "sum.golang.org", NOTE_ED25519, "\x03\x3d\xe0\xae"},
	{REKOR, "rekor.sigstore.dev", NOTE_ECDSA, "\xc0\xd2\x3d\x6a"},
	{PIXEL, "pixel6_transparency_log", NOTE_ECDSA, "\x91\xc1\x6e\x30"},
	{ARCHE, "arche2025h1.staging.ct.transparency.dev", NOTE_ED25519, "\xba\x2f\x06\xc0"},
	{REMORA, "remora.n621.de", NOTE_COSIGNATURE, "\xda\x77\xad\xe7"},
};

Test(note_key, keys_that_others_made_are_read_and_written_again)
{
	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		struct note_key key;
		char text[NOTE_KEY_TEXT_MAX];
		cr_assert_eq(note_key_read(known[i].text, &key, &why), HM_OK, "%s: %s", known[i].text, why.detail);
		cr_expect_str_eq(key.name, known[i].name);
		cr_expect_eq(key.algorithm, known[i].algorithm);
		cr_expect_arr_eq(key.id, known[i].id, sizeof key.id);
		note_key_write(&key, text);
		cr_expect_str_eq(text, known[i].text);
	}
}

/* Its SubjectPublicKeyInfo is all that the token's process tells of a key. */
Test(note_key, a_key_is_made_of_its_public_key)
{
	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		struct note_key read, made;
		char text[NOTE_KEY_TEXT_MAX];
		if (known[i].algorithm == NOTE_COSIGNATURE)
			continue;
		cr_assert_eq(note_key_read(known[i].text, &read, &why), HM_OK);
		cr_assert_eq(note_key_make(read.name, read.spki, read.spki_length, &made, &why), HM_OK);
		note_key_write(&made, text);
		cr_expect_str_eq(text, known[i].text);
	}
}

/* The tests of Go's sumdb/note do the same to its keys. Of ECDSA, the id says nothing of the name. */
Test(note_key, every_part_and_every_change_of_a_key_is_refused)
{
	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		size_t name = known[i].algorithm == NOTE_ECDSA ? strlen(known[i].name) : 0;
		char text[NOTE_KEY_TEXT_MAX];
		struct note_key key;
		size_t length = strlen(known[i].text);
		for (size_t from = name; from < length; from++)
			for (size_t to = from + 1; to <= length; to++) {
				if (from == 0 && to == length)
					continue;
				memcpy(text, known[i].text + from, to - from);
				text[to - from] = 0;
				cr_assert_eq(note_key_read(text, &key, &why), HM_REFUSED, "%s", text);
			}
		for (size_t at = name; at < length; at++) {
			strcpy(text, known[i].text);
			text[at]++;
			cr_assert_eq(note_key_read(text, &key, &why), HM_REFUSED, "%s", text);
		}
	}
}

static const struct {
	const char *what, *text;
} refused[] = {
	{"nothing", ""},
	{"an upper-case id: two texts of one key",
		"PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"},
	{"a fourth part", PETER "+"},
	{"a newline behind it", PETER "\n"},
	{"bytes behind the key, with an id to match (of Go's tests)",
		"PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY=="},
	{"another algorithm, with an id to match (of Go's tests)",
		"PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"},
	{"a type for signatures of RFC 6962",
		"ct.googleapis.com/logs/us1/"
		"argon2024+7deb49d0+BTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABB25bKnLaZTFXOa2pgO70rjcVE"
		"MXKJkMBgFQHZ1kwFlGK9zIAx0FtC2oCfeZQe0E++VXuiYE9hFSzhRlOy92K8A="},
	{"no type", "name+00000000+"},
	{"a type and no key", "rekor.sigstore.dev+12345678+AQ=="},
	{"something short", "rekor.sigstore.dev+12345678+AwEB"},
};

Test(note_key, other_texts_are_refused)
{
	struct note_key key;
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
		cr_expect_eq(note_key_read(refused[i].text, &key, &why), HM_REFUSED, "%s", refused[i].what);
		cr_expect(strstr(why.detail, "hsmint ledger vkey"), "%s: %s", refused[i].what, why.detail);
	}
}

/* The id is right, so what is refused is that the key is not the one that its type says. */
Test(note_key, an_ed25519_key_is_no_ecdsa_key)
{
	struct note_key key;
	uint8_t material[64], digest[32];
	char text[128];
	cr_assert_eq(note_key_read(PETER, &key, &why), HM_OK);
	material[0] = NOTE_ECDSA;
	memcpy(material + 1, key.spki, key.spki_length);
	cr_assert_eq(EVP_Digest(key.spki, key.spki_length, digest, NULL, EVP_sha256(), NULL), 1);
	int used = sprintf(text, "PeterNeumann+%02x%02x%02x%02x+", digest[0], digest[1], digest[2], digest[3]);
	text[(size_t)used + base64_encode(material, 1 + key.spki_length, text + used)] = 0;
	cr_expect_eq(note_key_read(text, &key, &why), HM_REFUSED);
	cr_expect(strstr(why.detail, "its type"), "%s", why.detail);
}

/* ---- names ---- */

Test(note_key, names)
{
	char name[HM_ORIGIN_MAX + 2];
	static const char *const good[] = {
		"a", "mint.example.org/ledger/1", "M\xc3\xbcnze", "\xf0\x9f\x94\x91", "a:b-_~%"};
	static const char *const bad[] = {"", " ", "a b", "a+b", "a\tb", "a\nb", "a\x01", "a\x7f", "a\xc2\x85",
		"a\xc2\xa0", "a\xe1\x9a\x80", "a\xe2\x80\x83z", "a\xe2\x80\xa8", "a\xe2\x80\xaf", "a\xe3\x80\x80",
		"a\xff", "a\xc3", "a\xc0\xaf", "a\xed\xa0\x80", "a\xf5\x80\x80\x80"};
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		cr_expect(note_is_name(good[i]), "%s", good[i]);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		cr_expect_not(note_is_name(bad[i]), "number %zu", i);
	memset(name, 'a', sizeof name);
	name[HM_ORIGIN_MAX + 1] = 0;
	cr_expect_not(note_is_name(name));
	name[HM_ORIGIN_MAX] = 0;
	cr_expect(note_is_name(name));
}

Test(note_key, a_key_with_the_longest_name_is_written_and_read_again)
{
	struct note_key key, again;
	char name[HM_ORIGIN_MAX + 1], text[NOTE_KEY_TEXT_MAX];
	memset(name, 'a', HM_ORIGIN_MAX);
	name[HM_ORIGIN_MAX] = 0;
	cr_assert_eq(note_key_read(REKOR, &key, &why), HM_OK);
	cr_assert_eq(note_key_make(name, key.spki, key.spki_length, &key, &why), HM_OK);
	note_key_write(&key, text);
	cr_expect_eq(note_key_read(text, &again, &why), HM_OK, "%s", why.detail);
	cr_expect_str_eq(again.name, name);
}

/* ---- keys of other kinds ---- */

static hm_result make_of(EVP_PKEY *pair, const char *name)
{
	struct note_key key;
	uint8_t *spki = NULL;
	cr_assert_not_null(pair);
	int length = i2d_PUBKEY(pair, &spki);
	cr_assert_gt(length, 0);
	hm_result result = note_key_make(name, spki, (size_t)length, &key, &why);
	OPENSSL_free(spki);
	EVP_PKEY_free(pair);
	return result;
}

Test(note_key, only_keys_on_p256_and_ed25519_sign_checkpoints)
{
	cr_expect_eq(make_of(EVP_EC_gen("P-256"), "a"), HM_OK);
	cr_expect_eq(make_of(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), "a"), HM_OK);
	cr_expect_eq(make_of(EVP_EC_gen("P-384"), "a"), HM_REFUSED);
	cr_expect(strstr(why.detail, "P-256"));
	cr_expect_eq(make_of(EVP_EC_gen("secp256k1"), "a"), HM_REFUSED);
	cr_expect_eq(make_of(EVP_PKEY_Q_keygen(NULL, NULL, "ED448"), "a"), HM_REFUSED);
	cr_expect_eq(make_of(EVP_RSA_gen(2048), "a"), HM_REFUSED);
	cr_expect_eq(make_of(EVP_EC_gen("P-256"), "a b"), HM_REFUSED);
}

/* A compressed point would be another SubjectPublicKeyInfo, and another id, of the same key. */
Test(note_key, a_key_has_one_form)
{
	static const char *const forms[][2] = {
		{"point-format", "compressed"}, {"point-format", "hybrid"}, {"encoding", "explicit"}};
	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
		EVP_PKEY *pair = EVP_EC_gen("P-256");
		cr_assert_eq(EVP_PKEY_set_utf8_string_param(pair, forms[i][0], forms[i][1]), 1);
		cr_expect_eq(make_of(pair, "a"), HM_REFUSED, "%s", forms[i][1]);
	}
}

Test(note_key, a_cut_or_longer_public_key_is_refused)
{
	struct note_key key, made;
	uint8_t spki[HM_SPKI_MAX + 1] = {0};
	cr_assert_eq(note_key_read(REKOR, &key, &why), HM_OK);
	memcpy(spki, key.spki, key.spki_length);
	for (size_t length = 0; length < key.spki_length; length++)
		cr_expect_eq(note_key_make("a", spki, length, &made, &why), HM_REFUSED, "%zu bytes", length);
	cr_expect_eq(note_key_make("a", spki, key.spki_length + 1, &made, &why), HM_REFUSED);
}
