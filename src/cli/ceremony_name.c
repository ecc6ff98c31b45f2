/* SPDX-License-Identifier: Apache-2.0 */
#include "ceremony_name.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { ENTRIES_MAX = 16 };

static void free_bio(BIO **bio)
{
	BIO_free(*bio);
}

static void free_name(X509_NAME **name)
{
	X509_NAME_free(*name);
}

struct entry {
	int nid;
	size_t length;
	uint8_t value[HM_SUBJECT_MAX];
};

/* RFC 4514, section 2.4: a backslash before a character, or before two hexadecimal digits. */
static bool take_escaped(const char **at, uint8_t *out)
{
	const char *text = *at + 1;
	unsigned byte;
	if (isxdigit((unsigned char)text[0]) && isxdigit((unsigned char)text[1])) {
		if (sscanf(text, "%2x", &byte) != 1)
			return false;
		*out = (uint8_t)byte;
		*at += 3;
		return true;
	}
	*out = (uint8_t)text[0];
	*at += 2;
	return text[0] && strchr(",+\"\\<>;=# ", text[0]);
}

static bool take_value(const char **at, struct entry *entry)
{
	for (entry->length = 0; **at && **at != ','; entry->length++) {
		if (entry->length == sizeof entry->value || strchr("+\"<>;", **at))
			return false;
		if (**at != '\\')
			entry->value[entry->length] = (uint8_t) * (*at)++;
		else if (!take_escaped(at, &entry->value[entry->length]))
			return false;
	}
	return entry->length && entry->value[0] != ' ' && entry->value[entry->length - 1] != ' ';
}

static bool take_entry(const char **at, struct entry *entry)
{
	char type[32];
	*at += strspn(*at, " ");
	size_t length = strcspn(*at, "=,");
	if ((*at)[length] != '=' || length == 0 || length >= sizeof type)
		return false;
	snprintf(type, sizeof type, "%.*s", (int)length, *at);
	entry->nid = OBJ_sn2nid(type);
	*at += length + 1;
	return entry->nid != NID_undef && take_value(at, entry);
}

/* The text names the most specific first, the DER the most general: each goes in front of those before. */
static bool fill_name(const char *text, X509_NAME *name)
{
	struct entry entry;
	do {
		if (!take_entry(&text, &entry) || X509_NAME_entry_count(name) == ENTRIES_MAX ||
			X509_NAME_add_entry_by_NID(
				name, entry.nid, MBSTRING_UTF8, entry.value, (int)entry.length, 0, 0) != 1)
			return false;
	} while (*text++ == ',');
	return true;
}

hm_result name_parse(const char *text, uint8_t der[HM_SUBJECT_MAX], size_t *length, struct hm_problem *why)
{
	__attribute__((cleanup(free_name))) X509_NAME *name = X509_NAME_new();
	if (!name || !fill_name(text, name))
		return hm_refuse(why, "config", NULL,
			"subject '%.128s' is not CN=…,O=…,C=… with values that X.509 allows (RFC 4514: a comma in a "
			"value is written \\,)",
			text);
	int size = i2d_X509_NAME(name, NULL);
	if (size <= 0 || size > HM_SUBJECT_MAX)
		return hm_refuse(why, "config", NULL, "the subject has more than %d bytes", HM_SUBJECT_MAX);
	*length = (size_t)i2d_X509_NAME(name, &der);
	return HM_OK;
}

/* UTF-8 as it is; control characters stay escaped. */
bool name_text(const X509_NAME *name, char text[NAME_TEXT])
{
	char *data;
	__attribute__((cleanup(free_bio))) BIO *bio = BIO_new(BIO_s_mem());
	if (!bio || X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) < 0)
		return false;
	long length = BIO_get_mem_data(bio, &data);
	return length >= 0 && snprintf(text, NAME_TEXT, "%.*s", (int)length, data) < NAME_TEXT;
}
