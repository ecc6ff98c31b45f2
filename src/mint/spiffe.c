/* SPDX-License-Identifier: Apache-2.0 */
#include "spiffe.h"

#include "limits.h"
#include <string.h>

static bool is_trust_domain_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
}

static bool is_path_char(char c)
{
	return is_trust_domain_char(c) || (c >= 'A' && c <= 'Z');
}

bool spiffe_is_trust_domain(const char *text, size_t length)
{
	if (length == 0 || length > HM_TRUST_DOMAIN_MAX)
		return false;
	for (size_t i = 0; i < length; i++)
		if (!is_trust_domain_char(text[i]))
			return false;
	return true;
}

/* Section 2.2: no empty segment, none that is "." or "..", so no trailing '/' either. */
static const char *segment_fault(const char *segment, size_t length)
{
	if (length == 0)
		return "a path has no empty segment and no trailing '/'";
	if ((length == 1 && segment[0] == '.') || (length == 2 && segment[0] == '.' && segment[1] == '.'))
		return "a path has no '.' or '..' segment";
	for (size_t i = 0; i < length; i++)
		if (!is_path_char(segment[i]))
			return "a path segment has only letters, digits, '.', '-' and '_'";
	return NULL;
}

static const char *path_fault(const char *path, size_t length)
{
	for (const char *end = path + length;;) {
		const char *slash = memchr(path, '/', (size_t)(end - path));
		const char *fault = segment_fault(path, (size_t)((slash ? slash : end) - path));
		if (fault || !slash)
			return fault;
		path = slash + 1;
	}
}

static const char scheme[] = "spiffe://";

bool spiffe_begins(const char *text)
{
	return strncmp(text, scheme, sizeof scheme - 1) == 0;
}

bool spiffe_parse(const char *text, size_t length, struct spiffe_id *id, const char **rule)
{
	*rule = "at most 2048 bytes";
	if (length > HM_SPIFFE_ID_MAX)
		return false;
	*rule = "spiffe://trust.domain/path";
	if (length < sizeof scheme - 1 || memcmp(text, scheme, sizeof scheme - 1) != 0)
		return false;
	id->trust_domain = text + sizeof scheme - 1;
	const char *slash = memchr(id->trust_domain, '/', length - (sizeof scheme - 1));
	if (!slash)
		return false;
	id->trust_domain_length = (size_t)(slash - id->trust_domain);
	*rule = "a trust domain has 1 to 255 of lower-case letters, digits, '.', '-' and '_'";
	if (!spiffe_is_trust_domain(id->trust_domain, id->trust_domain_length))
		return false;
	id->path = slash + 1;
	id->path_length = (size_t)(text + length - id->path);
	*rule = path_fault(id->path, id->path_length);
	return !*rule;
}

bool spiffe_is_in(const struct spiffe_id *id, const char *trust_domain)
{
	return strlen(trust_domain) == id->trust_domain_length &&
	       memcmp(trust_domain, id->trust_domain, id->trust_domain_length) == 0;
}

/* A `*` stands for one character or more, so the shortest ID that matches has one in its place. */
bool spiffe_is_pattern(const char *pattern, const char *trust_domain)
{
	char shortest[HM_SPIFFE_ID_MAX];
	struct spiffe_id id;
	const char *rule;
	size_t length = strlen(pattern);
	if (length > sizeof shortest)
		return false;
	for (size_t i = 0, slashes = 0; i < length; i++) {
		slashes += pattern[i] == '/';
		shortest[i] = pattern[i] == '*' && slashes > 2 ? 'x' : pattern[i];
	}
	return spiffe_parse(shortest, length, &id, &rule) && spiffe_is_in(&id, trust_domain);
}
