/* SPDX-License-Identifier: Apache-2.0 */
#include "entry.h"

#include "limits.h"
#include <string.h>

static const char *const type_names[ENTRY_TYPES] = {"credential", "retry", "void", "refused", "open", "close", "start",
	"stop", "configuration", "command", "token", "key", "unlock", "counts", "forgotten", "agent", "task",
	"approval", "revocation", "status_list", "clock"};

/* In the order of their names, as they stand in an entry. */
static const char *const member_names[ENTRY_MEMBERS] = {"approval", "carried", "context", "epoch", "event", "final",
	"from", "humans", "id", "kid", "name", "of", "origin", "previous", "restored", "signed", "subject", "task",
	"tbs", "tbs_hmac", "time", "token", "type", "v"};

struct scan {
	const uint8_t *at, *end;
	const char *fault;
};

static bool fail(struct scan *scan, const char *fault)
{
	scan->fault = fault;
	return false;
}

static bool take(struct scan *scan, char c)
{
	if (scan->at == scan->end || *scan->at != (uint8_t)c)
		return false;
	scan->at++;
	return true;
}

/* ---- strings ---- */

/* Some byte of the eight is not printable ASCII, or a quote or backslash. A false alarm costs a look at each byte. */
static bool has_special(uint64_t eight)
{
	const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones << 7;
	uint64_t quote = eight ^ ones * '"', backslash = eight ^ ones * '\\';
	return ((eight | (eight - ones * 0x20) | (quote - ones) | (backslash - ones)) & tops) != 0;
}

static void skip_plain(struct scan *scan)
{
	uint64_t eight;
	for (; scan->end - scan->at >= (ptrdiff_t)sizeof eight; scan->at += sizeof eight) {
		memcpy(&eight, scan->at, sizeof eight);
		if (has_special(eight))
			break;
	}
	while (scan->at < scan->end && *scan->at >= 0x20 && *scan->at < 0x80 && *scan->at != '"' && *scan->at != '\\')
		scan->at++;
}

/* One character of two to four bytes: the shortest form, no surrogate, at most U+10FFFF. */
static bool skip_utf8(struct scan *scan)
{
	const uint8_t *at = scan->at;
	uint8_t lead = at[0];
	unsigned more = lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
	if (lead < 0xc2 || lead > 0xf4 || scan->end - at <= (ptrdiff_t)more)
		return fail(scan, "is not UTF-8");
	uint8_t least = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
	uint8_t most = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
	for (unsigned i = 1; i <= more; i++, least = 0x80, most = 0xbf)
		if (at[i] < least || at[i] > most)
			return fail(scan, "is not UTF-8");
	scan->at += 1 + more;
	return true;
}

static bool is_hex(uint8_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

static unsigned hex(uint8_t c)
{
	return c <= '9' ? c - (unsigned)'0' : c - (unsigned)'a' + 10;
}

/* RFC 8785, section 3.2.2.2: two characters where JSON has such an escape, else \u00 and two small digits. */
static bool skip_escape(struct scan *scan)
{
	const uint8_t *at = scan->at;
	ptrdiff_t left = scan->end - at;
	if (left >= 2 && at[1] && strchr("\"\\bfnrt", at[1])) {
		scan->at += 2;
		return true;
	}
	if (left < 6 || memcmp(at, "\\u00", 4) != 0 || !is_hex(at[4]) || !is_hex(at[5]))
		return fail(scan, "is an escape that nothing needs");
	unsigned value = hex(at[4]) * 16 + hex(at[5]);
	if (value >= 0x20 || (value && strchr("\b\t\n\f\r", (int)value)))
		return fail(scan, "is an escape that nothing needs");
	scan->at += 6;
	return true;
}

static bool scan_string(struct scan *scan)
{
	if (!take(scan, '"'))
		return fail(scan, "is not the beginning of a string");
	for (;;) {
		skip_plain(scan);
		if (scan->at == scan->end)
			return fail(scan, "ends within a string");
		if (take(scan, '"'))
			return true;
		if (*scan->at < 0x20)
			return fail(scan, "is a control character");
		if (!(*scan->at == '\\' ? skip_escape(scan) : skip_utf8(scan)))
			return false;
	}
}

/* ---- the order of names ---- */

/* The next byte of a string of which the form was checked, its escapes resolved. */
static unsigned next_byte(struct hm_bytes *text)
{
	static const char letters[] = "bfnrt", meant[] = "\b\f\n\r\t";
	uint8_t c = text->data[0];
	unsigned used = 1;
	if (c == '\\') {
		used = text->data[1] == 'u' ? 6 : 2;
		const char *letter = strchr(letters, text->data[1]);
		c = used == 6 ? (uint8_t)(hex(text->data[4]) * 16 + hex(text->data[5]))
		    : letter  ? (uint8_t)meant[letter - letters]
			      : text->data[1];
	}
	text->data += used;
	text->length -= used;
	return c;
}

/*
 * RFC 8785, section 3.2.3: by UTF-16 code units. UTF-8's bytes have the same order but that characters of four bytes,
 * which are surrogates in UTF-16, come before those from U+E000 on.
 */
static bool is_before(struct hm_bytes a, struct hm_bytes b)
{
	while (a.length && b.length) {
		unsigned one = next_byte(&a), other = next_byte(&b);
		if (one == other)
			continue;
		if (one >= 0xee && other >= 0xee && (one >= 0xf0) != (other >= 0xf0))
			return one >= 0xf0;
		return one < other;
	}
	return b.length > 0;
}

/* ---- values ---- */

static bool scan_number(struct scan *scan)
{
	bool is_negative = take(scan, '-');
	const uint8_t *first = scan->at;
	int64_t value = 0;
	while (scan->at < scan->end && *scan->at >= '0' && *scan->at <= '9' && value <= HM_INTEGER_MAX)
		value = value * 10 + (*scan->at++ - '0');
	if (scan->at == first)
		return fail(scan, "is not the beginning of a value");
	if ((*first == '0' && (scan->at - first > 1 || is_negative)) || value > HM_INTEGER_MAX)
		return fail(scan, "is not an integer as it must be written");
	return true;
}

static bool scan_word(struct scan *scan, const char *word)
{
	size_t length = strlen(word);
	if ((size_t)(scan->end - scan->at) < length || memcmp(scan->at, word, length) != 0)
		return fail(scan, "is not the beginning of a value");
	scan->at += length;
	return true;
}

static bool scan_value(struct scan *scan, unsigned depth);

static bool scan_array(struct scan *scan, unsigned depth)
{
	if (take(scan, ']'))
		return true;
	do {
		if (!scan_value(scan, depth))
			return false;
	} while (take(scan, ','));
	return take(scan, ']') || fail(scan, "is neither a comma nor the end of the array");
}

/* A name with its colon; it must come behind `*name`, which it becomes. */
static bool scan_name(struct scan *scan, struct hm_bytes *name)
{
	const uint8_t *first = scan->at + 1;
	if (!scan_string(scan))
		return false;
	struct hm_bytes next = {.data = first, .length = (size_t)(scan->at - 1 - first)};
	if (name->data && !is_before(*name, next)) {
		scan->at = first;
		return fail(scan, "begins a member that is not in order, or is there twice");
	}
	*name = next;
	return take(scan, ':') || fail(scan, "is not a colon");
}

static bool scan_object(struct scan *scan, unsigned depth)
{
	struct hm_bytes name = {.data = NULL};
	if (take(scan, '}'))
		return true;
	do {
		if (!scan_name(scan, &name) || !scan_value(scan, depth))
			return false;
	} while (take(scan, ','));
	return take(scan, '}') || fail(scan, "is neither a comma nor the end of the object");
}

static bool scan_value(struct scan *scan, unsigned depth)
{
	if (scan->at == scan->end)
		return fail(scan, "is the end where a value belongs");
	switch (*scan->at) {
	case '"':
		return scan_string(scan);
	case '{':
	case '[':
		if (depth == HM_JSON_MAX_DEPTH)
			return fail(scan, "is nested too deeply");
		return *scan->at++ == '{' ? scan_object(scan, depth + 1) : scan_array(scan, depth + 1);
	case 't':
		return scan_word(scan, "true");
	case 'f':
		return scan_word(scan, "false");
	case 'n':
		return scan_word(scan, "null");
	default:
		return scan_number(scan);
	}
}

/* ---- entries ---- */

static int compare(struct hm_bytes text, const char *word)
{
	size_t length = strlen(word);
	int order = memcmp(text.data, word, text.length < length ? text.length : length);
	return order ? order : (text.length > length) - (text.length < length);
}

/* Members come in order, as those that are known do: `*known` is the first that may still come. */
static void keep_member(struct entry *entry, struct hm_bytes name, struct hm_bytes value, unsigned *known)
{
	int order = 1;
	while (*known < ENTRY_MEMBERS && (order = compare(name, member_names[*known])) > 0)
		++*known;
	if (order == 0)
		entry->members[(*known)++] = value;
}

static bool scan_entry(struct scan *scan, struct entry *entry)
{
	struct hm_bytes name = {.data = NULL};
	unsigned known = 0;
	if (!take(scan, '{'))
		return fail(scan, "is not the beginning of an object");
	do {
		if (!scan_name(scan, &name))
			return false;
		const uint8_t *value = scan->at;
		if (!scan_value(scan, 1))
			return false;
		keep_member(
			entry, name, (struct hm_bytes){.data = value, .length = (size_t)(scan->at - value)}, &known);
	} while (take(scan, ','));
	if (!take(scan, '}'))
		return fail(scan, "is neither a comma nor the end of the object");
	return scan->at == scan->end || fail(scan, "stands behind the end");
}

static bool find_type(struct hm_bytes value, enum entry_type *type)
{
	struct hm_bytes text;
	if (!entry_string(value, &text))
		return false;
	for (unsigned i = 0; i < ENTRY_TYPES; i++)
		if (compare(text, type_names[i]) == 0) {
			*type = (enum entry_type)i;
			return true;
		}
	return false;
}

hm_result entry_read(const uint8_t *data, size_t length, struct entry *entry, struct hm_problem *why)
{
	struct scan scan = {.at = data, .end = data + length};
	memset(entry, 0, sizeof *entry);
	if (!scan_entry(&scan, entry))
		return hm_refuse(
			why, "ledger", NULL, "not canonical JSON: byte %zu %s", (size_t)(scan.at - data), scan.fault);
	if (!entry_is(entry->members[ENTRY_V], "1"))
		return hm_refuse(why, "ledger", NULL, "`v` is not 1");
	if (!entry_number(entry->members[ENTRY_TIME], &entry->time) || entry->time < 0)
		return hm_refuse(why, "ledger", NULL, "`time` is not a number of seconds");
	if (!find_type(entry->members[ENTRY_TYPE], &entry->type))
		return hm_refuse(why, "ledger", NULL, "`type` is none that is known");
	return HM_OK;
}

const char *entry_type_name(enum entry_type type)
{
	return type_names[type];
}

bool entry_type_read(const char *name, enum entry_type *type)
{
	for (unsigned i = 0; i < ENTRY_TYPES; i++)
		if (strcmp(name, type_names[i]) == 0) {
			*type = (enum entry_type)i;
			return true;
		}
	return false;
}

/* ---- values of an entry ---- */

bool entry_string(struct hm_bytes value, struct hm_bytes *text)
{
	if (!value.data || *value.data != '"')
		return false;
	*text = (struct hm_bytes){.data = value.data + 1, .length = value.length - 2};
	return true;
}

bool entry_number(struct hm_bytes value, int64_t *number)
{
	bool is_negative = value.data && *value.data == '-';
	*number = 0;
	if (!value.data || (!is_negative && (*value.data < '0' || *value.data > '9')))
		return false;
	for (size_t i = is_negative; i < value.length; i++)
		*number = *number * 10 + (value.data[i] - '0');
	*number = is_negative ? -*number : *number;
	return true;
}

bool entry_is(struct hm_bytes value, const char *json)
{
	return value.data && compare(value, json) == 0;
}

/* Go over a value whose form is known to be right. */
static struct hm_bytes take_value(struct scan *scan)
{
	const uint8_t *first = scan->at;
	(void)scan_value(scan, 0);
	return (struct hm_bytes){.data = first, .length = (size_t)(scan->at - first)};
}

bool entry_next(struct hm_bytes *at, struct hm_bytes *element)
{
	struct scan scan = {.at = at->data, .end = at->data + at->length};
	if (!at->data || (!take(&scan, '[') && !take(&scan, ',')) || scan.end - scan.at < 2)
		return false;
	*element = take_value(&scan);
	*at = (struct hm_bytes){.data = scan.at, .length = (size_t)(scan.end - scan.at)};
	return true;
}

bool entry_find(struct hm_bytes object, const char *name, struct hm_bytes *value)
{
	struct scan scan = {.at = object.data, .end = object.data + object.length};
	struct hm_bytes found = {.data = NULL};
	if (!object.data || !take(&scan, '{'))
		return false;
	while (scan.at < scan.end && *scan.at == '"') {
		found.data = NULL;
		if (!scan_name(&scan, &found))
			return false;
		*value = take_value(&scan);
		if (compare(found, name) == 0)
			return true;
		(void)take(&scan, ',');
	}
	return false;
}
