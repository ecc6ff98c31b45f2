/* SPDX-License-Identifier: Apache-2.0 */
#include "url_normal.h"

#include <string.h>
#include <strings.h>

static bool is_letter_or_digit(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* RFC 3986, section 2.3 */
static bool is_unreserved(char c)
{
	return is_letter_or_digit(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

/* Of the characters that a URL is made of; '%' is looked at by itself. */
static bool is_allowed(char c)
{
	return is_unreserved(c) || (c && strchr(":/[]@!$&'()*+,;=", c));
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* ---- escapes: section 6.2.2.2, and 6.2.2.1 for those that stay ---- */

/* `url` begins with '%'. Returns how many characters were written; 0: it is no escape. */
static size_t put_escape(const char *url, char *out)
{
	static const char digits[] = "0123456789ABCDEF";
	int high = hex_value(url[1]), low = high < 0 ? -1 : hex_value(url[2]);
	if (low < 0)
		return 0;
	char c = (char)(high << 4 | low);
	out[0] = is_unreserved(c) ? c : '%';
	out[1] = digits[high];
	out[2] = digits[low];
	return out[0] == '%' ? 3 : 1;
}

/* All up to query and fragment. */
static bool copy(const char *url, char *out, size_t size)
{
	size_t used = 0;
	while (*url && *url != '?' && *url != '#') {
		bool is_escape = *url == '%';
		if (size - used <= 3 || (!is_escape && !is_allowed(*url)))
			return false;
		out[used] = *url;
		size_t written = is_escape ? put_escape(url, out + used) : 1;
		if (!written)
			return false;
		used += written;
		url += is_escape ? 3 : 1;
	}
	out[used] = 0;
	return true;
}

/* ---- parts ---- */

static void to_lower(char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (text[i] >= 'A' && text[i] <= 'Z')
			text[i] |= 0x20;
}

/* The length of scheme, colon and both slashes; 0: it is another scheme. */
static size_t scheme_length(const char *url)
{
	if (strncasecmp(url, "https://", 8) == 0)
		return 8;
	return strncasecmp(url, "http://", 7) == 0 ? 7 : 0;
}

/* Where the colon of a port is, or the end: within brackets stands an address (section 3.2.2). */
static size_t host_length(const char *authority, size_t length)
{
	size_t at = 0;
	if (authority[0] == '[')
		while (at < length && authority[at] != ']')
			at++;
	while (at < length && authority[at] != ':')
		at++;
	return at;
}

/* Section 6.2.3. What is no number stays as it is, and so is nobody's port. */
static bool is_needless_port(const char *colon, size_t length, bool is_https)
{
	const char *usual = is_https ? ":443" : ":80";
	return length == 1 || (length == strlen(usual) && memcmp(colon, usual, length) == 0);
}

/* Section 5.2.4, in place: what is written never passes what is still to be read. */
static void remove_dot_segments(char *path)
{
	char *to = path;
	for (const char *from = path; *from == '/';) {
		const char *segment = from + 1;
		size_t length = strcspn(segment, "/");
		bool is_last = !segment[length];
		bool stays = length == 1 && segment[0] == '.';
		bool goes_up = length == 2 && memcmp(segment, "..", 2) == 0;
		while (goes_up && to > path && *--to != '/')
			;
		if (!stays && !goes_up) {
			memmove(to, from, length + 1);
			to += length + 1;
		} else if (is_last) {
			*to++ = '/';
		}
		from = segment + length;
	}
	*to = 0;
}

bool url_normal(const char *url, char *out, size_t size)
{
	if (!copy(url, out, size))
		return false;
	size_t scheme = scheme_length(out);
	char *authority = out + scheme;
	size_t length = strcspn(authority, "/"), host = host_length(authority, length);
	if (!scheme || !host || memchr(authority, '@', length) || memchr(authority, '%', length))
		return false;
	to_lower(out, scheme + length);
	char *path = authority + length;
	if (is_needless_port(authority + host, length - host, scheme == 8)) {
		memmove(authority + host, path, strlen(path) + 1);
		path = authority + host;
	}
	if (!*path)
		memcpy(path, "/", 2); /* copy() left room for it */
	remove_dot_segments(path);
	return true;
}
