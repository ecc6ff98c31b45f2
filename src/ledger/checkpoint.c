/* SPDX-License-Identifier: Apache-2.0 */
#include "note.h"

#include "base64.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROOT_TEXT = 44 }; /* base64 of a hash */

#define STORE "store "

size_t checkpoint_write(const struct checkpoint *checkpoint, char text[NOTE_TEXT_MAX])
{
	char root[ROOT_TEXT + 1];
	root[base64_encode(checkpoint->root.bytes, sizeof checkpoint->root.bytes, root)] = 0;
	int length = snprintf(text, NOTE_TEXT_MAX, "%s\n%" PRIu64 "\n%s\n", checkpoint->origin, checkpoint->size, root);
	if (checkpoint->store)
		length += snprintf(
			text + length, NOTE_TEXT_MAX - (size_t)length, STORE "%" PRIu64 "\n", checkpoint->store);
	return (size_t)length;
}

static hm_result refuse(struct hm_problem *why, const char *what)
{
	return hm_refuse(why, "ledger", NULL, "not a checkpoint: %s", what);
}

/* The next line, of at least one character; without its newline. */
static bool take_line(const char **text, size_t *left, const char **line, size_t *length)
{
	const char *end = *left ? memchr(*text, '\n', *left) : NULL;
	if (!end || end == *text)
		return false;
	*line = *text;
	*length = (size_t)(end - *text);
	*text = end + 1;
	*left -= *length + 1;
	return true;
}

static bool read_origin(const char *line, size_t length, char origin[HM_ORIGIN_MAX + 1])
{
	if (length > HM_ORIGIN_MAX)
		return false;
	for (size_t i = 0; i < length; i++)
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			return false;
	memcpy(origin, line, length);
	origin[length] = 0;
	return true;
}

static bool read_size(const char *line, size_t length, uint64_t *size)
{
	*size = 0;
	if (length > 1 && line[0] == '0')
		return false;
	for (size_t i = 0; i < length; i++) {
		unsigned digit = (unsigned)line[i] - '0';
		if (digit > 9 || *size > (UINT64_MAX - digit) / 10)
			return false;
		*size = *size * 10 + digit;
	}
	return true;
}

/* The first is ours, if it is as we write it. */
static void read_extension(const char *line, size_t length, uint64_t *store)
{
	uint64_t number;
	size_t name = sizeof STORE - 1;
	if (length > name && memcmp(line, STORE, name) == 0 && read_size(line + name, length - name, &number))
		*store = number;
}

hm_result checkpoint_read(const char *note, size_t length, struct checkpoint *checkpoint, struct hm_problem *why)
{
	const char *line;
	size_t line_length;
	if (!take_line(&note, &length, &line, &line_length) || !read_origin(line, line_length, checkpoint->origin))
		return refuse(why, "its first line is an origin");
	if (!take_line(&note, &length, &line, &line_length) || !read_size(line, line_length, &checkpoint->size))
		return refuse(why, "its second line is a size in decimal");
	if (!take_line(&note, &length, &line, &line_length) || line_length != ROOT_TEXT ||
		base64_decode(line, line_length, checkpoint->root.bytes, sizeof checkpoint->root.bytes) !=
			sizeof checkpoint->root.bytes)
		return refuse(why, "its third line is the base64 of a hash");
	checkpoint->store = 0;
	if (take_line(&note, &length, &line, &line_length))
		read_extension(line, line_length, &checkpoint->store);
	while (take_line(&note, &length, &line, &line_length))
		; /* extension lines of others */
	if (length && note[0] != '\n')
		return refuse(why, "its last line has no end");
	if (length && (length < 4 || memcmp(note + 1, "\xe2\x80\x94", 3) != 0))
		return refuse(why, "what follows an empty line is not a signature");
	return HM_OK;
}

unsigned checkpoint_shard(const char *ledger, const char *origin)
{
	char again[24];
	size_t length = strlen(ledger);
	if (strncmp(origin, ledger, length) != 0 || origin[length] != '/')
		return 0;
	unsigned long number = strtoul(origin + length + 1, NULL, 10);
	if (number < 1 || number > HM_SHARDS_MAX)
		return 0;
	snprintf(again, sizeof again, "%lu", number); /* there is one way to write it */
	return strcmp(origin + length + 1, again) == 0 ? (unsigned)number : 0;
}
