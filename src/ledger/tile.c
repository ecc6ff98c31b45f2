/* SPDX-License-Identifier: Apache-2.0 */
#include "tile.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Groups of three digits, all but the last with an x before: 1234067 is x001/x234/067. */
static size_t write_number(uint64_t number, char *text, size_t size)
{
	uint64_t above = number / 1000;
	size_t used = 0;
	char groups[TILE_NAME_MAX] = "";
	if (above) {
		uint64_t left = above;
		size_t at = sizeof groups - 1;
		for (; left; left /= 1000) {
			char group[6];
			snprintf(group, sizeof group, "x%03u/", (unsigned)(left % 1000));
			at -= 5;
			memcpy(groups + at, group, 5);
		}
		used = sizeof groups - 1 - at;
		memcpy(text, groups + at, used);
	}
	return used + (size_t)snprintf(text + used, size - used, "%03u", (unsigned)(number % 1000));
}

void tile_name_write(const struct tile_name *name, char text[TILE_NAME_MAX])
{
	size_t used;
	if (name->level == TILE_ENTRIES)
		used = (size_t)snprintf(text, TILE_NAME_MAX, "entries/");
	else
		used = (size_t)snprintf(text, TILE_NAME_MAX, "%d/", name->level);
	used += write_number(name->number, text + used, TILE_NAME_MAX - used);
	if (name->width < TILE_WIDTH)
		snprintf(text + used, TILE_NAME_MAX - used, ".p/%u", name->width);
}

/* What strtoull takes beside digits is found when the name is written again and compared. */
static bool read_level(const char **text, int *level)
{
	char *end;
	if (strncmp(*text, "entries/", 8) == 0) {
		*level = TILE_ENTRIES;
		*text += 8;
		return true;
	}
	unsigned long value = strtoul(*text, &end, 10);
	if (end == *text || *end != '/' || value >= TILE_LEVELS)
		return false;
	*level = (int)value;
	*text = end + 1;
	return true;
}

static bool read_number(const char **text, uint64_t *number)
{
	*number = 0;
	for (;;) {
		bool is_last = **text != 'x';
		const char *at = *text + !is_last;
		for (unsigned i = 0; i < 3; i++, at++) {
			if (*at < '0' || *at > '9' || *number > UINT64_MAX / 10 - 10)
				return false;
			*number = *number * 10 + (uint64_t)(*at - '0');
		}
		*text = at;
		if (is_last)
			return true;
		if (*at != '/')
			return false;
		*text = at + 1;
	}
}

bool tile_name_read(const char *text, struct tile_name *name)
{
	char again[TILE_NAME_MAX];
	const char *at = text;
	if (strlen(text) >= TILE_NAME_MAX || !read_level(&at, &name->level) || !read_number(&at, &name->number))
		return false;
	name->width = TILE_WIDTH;
	if (strncmp(at, ".p/", 3) == 0) {
		unsigned long width = strtoul(at + 3, NULL, 10);
		if (width < 1 || width >= TILE_WIDTH)
			return false;
		name->width = (unsigned)width;
	}
	tile_name_write(name, again);
	return strcmp(text, again) == 0;
}

void tile_subtree(const struct merkle_hash *hashes, unsigned level, unsigned at, struct merkle_hash *hash)
{
	merkle_root_of(hashes + ((size_t)at << level), 1U << level, hash);
}

bool tile_next_entry(const uint8_t **bundle, size_t *left, const uint8_t **entry, size_t *length)
{
	if (*left < 2)
		return false;
	*length = (size_t)(*bundle)[0] << 8 | (*bundle)[1];
	if (*left - 2 < *length)
		return false;
	*entry = *bundle + 2;
	*bundle = *entry + *length;
	*left -= 2 + *length;
	return true;
}
