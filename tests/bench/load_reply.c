/* SPDX-License-Identifier: Apache-2.0 */
#include "load_reply.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define END_OF_HEAD "\r\n\r\n"

/* What a mint request is answered with, and a token request. */
static const char *const members[] = {"\"credential\":\"", "\"access_token\":\""};

enum { STATUS_LINE_MIN = sizeof "HTTP/1.1 200" - 1, CONTENT_LENGTH_DIGITS = 9 };

/* The value of a header field (RFC 9112, section 5): from its first visible character; NULL when it is not there. */
static const char *field(const char *head, const char *end, const char *name)
{
	size_t length = strlen(name);
	for (const char *line = head; (line = memmem(line, (size_t)(end - line), "\r\n", 2));) {
		line += 2;
		if ((size_t)(end - line) <= length || line[length] != ':' || strncasecmp(line, name, length) != 0)
			continue;
		for (line += length + 1; *line == ' ' || *line == '\t'; line++)
			;
		return line;
	}
	return NULL;
}

static bool read_content_length(const char *text, size_t *length)
{
	size_t digits = strspn(text, "0123456789");
	if (digits == 0 || digits > CONTENT_LENGTH_DIGITS || text[digits] != '\r')
		return false;
	*length = strtoul(text, NULL, 10);
	return true;
}

static long count_member(const char *body, size_t length, const char *member)
{
	long count = 0;
	const char *end = body + length;
	for (const char *found = body; (found = memmem(found, (size_t)(end - found), member, strlen(member)));) {
		found += strlen(member);
		const char *quote = memchr(found, '"', (size_t)(end - found));
		count += quote && quote > found;
	}
	return count;
}

static long count_credentials(const char *body, size_t length)
{
	return count_member(body, length, members[0]) + count_member(body, length, members[1]);
}

enum load_reading load_reply_read(const char *text, size_t length, struct load_reply *reply)
{
	size_t body_length;
	const char *end = memmem(text, length, END_OF_HEAD, sizeof END_OF_HEAD - 1);
	if (!end)
		return LOAD_REPLY_MORE;
	end += 2; /* the last field's line end belongs to it */
	if (end - text < STATUS_LINE_MIN || memcmp(text, "HTTP/1.1 ", 9) != 0 || text[9] < '1' || text[9] > '5')
		return LOAD_REPLY_BAD;
	const char *content_length = field(text, end, "Content-Length");
	if (!content_length || !read_content_length(content_length, &body_length))
		return LOAD_REPLY_BAD;
	const char *body = end + 2;
	if (length - (size_t)(body - text) < body_length)
		return LOAD_REPLY_MORE;
	const char *connection = field(text, end, "Connection");
	*reply = (struct load_reply){.length = (size_t)(body - text) + body_length,
		.status = (int)strtol(text + 9, NULL, 10),
		.credentials = count_credentials(body, body_length),
		.closes = connection && strncasecmp(connection, "close", 5) == 0};
	return LOAD_REPLY_WHOLE;
}
