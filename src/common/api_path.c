/* SPDX-License-Identifier: Apache-2.0 */
#include "api_path.h"

#include <string.h>

static size_t id_length(const char *text)
{
	return strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_");
}

bool api_path_matches(const char *pattern, const char *path, char id[HM_API_ID_MAX + 1])
{
	static const char place[] = "{id}";
	const char *at = strstr(pattern, place);
	if (id)
		id[0] = 0;
	if (!at)
		return strcmp(pattern, path) == 0;
	size_t before = (size_t)(at - pattern);
	if (strncmp(pattern, path, before) != 0)
		return false;
	path += before;
	size_t length = id_length(path);
	if (!length || length > HM_API_ID_MAX || strcmp(path + length, at + sizeof place - 1) != 0)
		return false;
	if (id) {
		memcpy(id, path, length);
		id[length] = 0;
	}
	return true;
}
