/* SPDX-License-Identifier: Apache-2.0 */
#include "note.h"

#include "base64.h"
#include <openssl/asn1.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ED25519_LENGTH = 32 };

static void free_key(EVP_PKEY **key)
{
	EVP_PKEY_free(*key);
}

/* ---- names ---- */

/* White space and line ends of Unicode above ASCII, and its second set of control characters. */
static bool is_space(unsigned long c)
{
	return (c >= 0x7f && c <= 0xa0) || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 ||
	       c == 0x202f || c == 0x205f || c == 0x3000;
}

bool note_is_name(const char *name)
{
	const unsigned char *at = (const unsigned char *)name;
	size_t left = strlen(name);
	if (!left || left > HM_ORIGIN_MAX)
		return false;
	while (left) {
		unsigned long c;
		int used = UTF8_getc(at, (int)left, &c);
		if (used < 1 || c <= ' ' || c == '+' || is_space(c))
			return false;
		at += used;
		left -= (size_t)used;
	}
	return true;
}

/* ---- making ---- */

static bool is_p256(EVP_PKEY *key)
{
	char group[32];
	return EVP_PKEY_get_base_id(key) == EVP_PKEY_EC &&
	       EVP_PKEY_get_group_name(key, group, sizeof group, NULL) == 1 && strcmp(group, "prime256v1") == 0;
}

/* What a verifier key has behind the algorithm's byte: 32 bytes, or the SubjectPublicKeyInfo. */
static size_t put_material(const struct note_key *key, uint8_t *material)
{
	size_t length = key->algorithm == NOTE_ECDSA ? key->spki_length : ED25519_LENGTH;
	material[0] = key->algorithm; /* the bytes of Ed25519 are the last ones of its SubjectPublicKeyInfo */
	memcpy(material + 1, key->spki + key->spki_length - length, length);
	return length + 1;
}

/* C2SP signed-note, "Signatures" and "Signature types": of ECDSA the id is made of the key alone. */
static void set_id(struct note_key *key)
{
	uint8_t text[HM_ORIGIN_MAX + 1 + 1 + HM_SPKI_MAX], digest[32];
	size_t name = strlen(key->name);
	memcpy(text, key->name, name);
	text[name] = '\n';
	size_t length = name + 1 + put_material(key, text + name + 1);
	size_t from = key->algorithm == NOTE_ECDSA ? name + 2 : 0;
	if (EVP_Digest(text + from, length - from, digest, NULL, EVP_sha256(), NULL) != 1)
		abort(); /* there is no SHA-256 to go on with */
	memcpy(key->id, digest, sizeof key->id);
}

/* In one form of those that there are, so that one key has one id. */
static bool set_spki(struct note_key *key, EVP_PKEY *public)
{
	uint8_t *out = key->spki;
	if (key->algorithm == NOTE_ECDSA &&
		(EVP_PKEY_set_utf8_string_param(public, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, "uncompressed") !=
				1 ||
			EVP_PKEY_set_utf8_string_param(public, OSSL_PKEY_PARAM_EC_ENCODING, "named_curve") != 1))
		return false;
	int length = i2d_PUBKEY(public, NULL);
	if (length < 1 || (size_t)length > sizeof key->spki || i2d_PUBKEY(public, &out) != length)
		return false;
	key->spki_length = (size_t)length;
	return true;
}

hm_result note_key_make(
	const char *name, const uint8_t *spki, size_t length, struct note_key *key, struct hm_problem *why)
{
	const uint8_t *der = spki;
	if (!note_is_name(name))
		return hm_refuse(
			why, "ledger", NULL, "a key's name has 1 to %d bytes without space and plus", HM_ORIGIN_MAX);
	__attribute__((cleanup(free_key))) EVP_PKEY *public = d2i_PUBKEY(NULL, &der, (long)length);
	if (!public || der != spki + length)
		return hm_refuse(why, "ledger", NULL, "the public key is not a DER SubjectPublicKeyInfo");
	bool is_ed25519 = EVP_PKEY_get_base_id(public) == EVP_PKEY_ED25519;
	if (!is_ed25519 && !is_p256(public))
		return hm_refuse(why, "ledger", NULL, "a checkpoint's key is on P-256 (ES256) or Ed25519 (EdDSA)");
	*key = (struct note_key){.algorithm = is_ed25519 ? NOTE_ED25519 : NOTE_ECDSA};
	snprintf(key->name, sizeof key->name, "%s", name);
	if (!set_spki(key, public) || key->spki_length != length || memcmp(key->spki, spki, length) != 0)
		return hm_refuse(why, "ledger", NULL,
			"the SubjectPublicKeyInfo is not in the usual form: named curve, uncompressed point");
	set_id(key);
	return HM_OK;
}

/* ---- as text ---- */

static hm_result refuse_text(struct hm_problem *why, const char *what)
{
	return hm_refuse(
		why, "ledger", NULL, "a verifier key is name+id+base64, as `hsmint ledger vkey` prints it: %s", what);
}

static hm_result make_ed25519(
	const char *name, uint8_t algorithm, const uint8_t *bytes, struct note_key *key, struct hm_problem *why)
{
	uint8_t spki[HM_SPKI_MAX], *out = spki;
	__attribute__((cleanup(free_key))) EVP_PKEY *public =
		EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, bytes, ED25519_LENGTH);
	int length = public ? i2d_PUBKEY(public, &out) : 0;
	if (length < 1)
		return refuse_text(why, "not an Ed25519 key");
	HM_TRY(note_key_make(name, spki, (size_t)length, key, why));
	key->algorithm = algorithm;
	set_id(key);
	return HM_OK;
}

static hm_result make(
	const char *name, const uint8_t *material, size_t length, struct note_key *key, struct hm_problem *why)
{
	uint8_t algorithm = length ? material[0] : 0;
	if ((algorithm == NOTE_ED25519 || algorithm == NOTE_COSIGNATURE) && length == 1 + ED25519_LENGTH)
		return make_ed25519(name, algorithm, material + 1, key, why);
	if (algorithm != NOTE_ECDSA)
		return refuse_text(why, "neither Ed25519 (1), ECDSA (2) nor an Ed25519 cosignature (4)");
	HM_TRY(note_key_make(name, material + 1, length - 1, key, why));
	return key->algorithm == NOTE_ECDSA ? HM_OK : refuse_text(why, "the key is not the one that its type says");
}

static void write_id(const struct note_key *key, char text[9])
{
	snprintf(text, 9, "%02x%02x%02x%02x", key->id[0], key->id[1], key->id[2], key->id[3]);
}

hm_result note_key_read(const char *text, struct note_key *key, struct hm_problem *why)
{
	char name[HM_ORIGIN_MAX + 1], id[9];
	uint8_t material[1 + HM_SPKI_MAX];
	size_t name_length = strcspn(text, "+");
	const char *hex = text + name_length + 1;
	if (!text[name_length] || strcspn(hex, "+") != 8 || !hex[8])
		return refuse_text(why, "not three parts");
	if (name_length > HM_ORIGIN_MAX)
		return refuse_text(why, "its name is too long");
	memcpy(name, text, name_length);
	name[name_length] = 0;
	size_t length = base64_decode(hex + 9, strlen(hex + 9), material, sizeof material);
	if (length == SIZE_MAX)
		return refuse_text(why, "its last part is not base64 of a key");
	HM_TRY(make(name, material, length, key, why));
	write_id(key, id);
	return strncmp(hex, id, 8) == 0 ? HM_OK : refuse_text(why, "its id is not that of this name and key");
}

void note_key_write(const struct note_key *key, char text[NOTE_KEY_TEXT_MAX])
{
	char id[9];
	uint8_t material[1 + HM_SPKI_MAX];
	write_id(key, id);
	size_t used = (size_t)snprintf(text, NOTE_KEY_TEXT_MAX, "%s+%s+", key->name, id);
	used += base64_encode(material, put_material(key, material), text + used);
	text[used] = 0;
}
