/* SPDX-License-Identifier: Apache-2.0 */
#include "tile.h"

#include <criterion/criterion.h>
#include <string.h>

/* C2SP tlog-tiles has the first two as its examples. */
Test(tile, names)
{
	static const struct {
		const char *text;
		struct tile_name name;
	} names[] = {
		{"0/x001/x234/067", {0, 1234067, 256}},
		{"3/x001/x234/067.p/1", {3, 1234067, 1}},
		{"entries/000", {TILE_ENTRIES, 0, 256}},
		{"entries/999.p/255", {TILE_ENTRIES, 999, 255}},
		{"1/x001/000", {1, 1000, 256}},
		{"7/x072/x057/x594/x037/927", {7, 72057594037927, 256}},
	};
	char text[TILE_NAME_MAX];
	struct tile_name name;
	for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
		tile_name_write(&names[i].name, text);
		cr_assert_str_eq(text, names[i].text);
		cr_assert(tile_name_read(text, &name), "%s", text);
		cr_assert_eq(name.level, names[i].name.level);
		cr_assert_eq(name.number, names[i].name.number);
		cr_assert_eq(name.width, names[i].name.width);
	}
}

Test(tile, other_names_are_refused)
{
	static const char *const bad[] = {"", "0", "0/", "/000", "0/0", "0/00", "0/0000", "0/x000/001", "0/001/002",
		"0/x001/2", "0/x001", "00/000", "+0/000", " 0/000", "8/000", "64/000", "-1/000", "0/-01", "0/000.p/0",
		"0/000.p/256", "0/000.p/01", "0/000.p/+1", "0/000.p/", "0/000.p", "0/000.p/1/", "entries", "entries/",
		"entries/x", "0/000/", "0/../000", "x/000", "0/x999/x999/x999/x999/x999/x999/x999/999", "entries/ 00"};
	struct tile_name name;
	for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++)
		cr_assert_not(tile_name_read(bad[i], &name), "%s", bad[i]);
}

Test(tile, entries_of_a_bundle)
{
	static const uint8_t bundle[] = {0, 2, 'a', 'b', 0, 0, 0, 1, 'c', 0, 5, 'x'};
	const uint8_t *at = bundle, *entry;
	size_t left = sizeof bundle, length;
	cr_assert(tile_next_entry(&at, &left, &entry, &length) && length == 2 && memcmp(entry, "ab", 2) == 0);
	cr_assert(tile_next_entry(&at, &left, &entry, &length) && length == 0);
	cr_assert(tile_next_entry(&at, &left, &entry, &length) && length == 1 && *entry == 'c');
	cr_assert_not(tile_next_entry(&at, &left, &entry, &length));
	cr_assert_eq(left, 3);
}
