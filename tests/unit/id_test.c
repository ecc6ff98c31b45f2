/* SPDX-License-Identifier: Apache-2.0 */
#include "id.h"

#include "base64url.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

enum { IDS = 10000 }; /* "-" would begin one of 64 */

static char ids[IDS][HM_ID_MAX + 1];

static int compare(const void *left, const void *right)
{
	return strcmp(left, right);
}

Test(id, is_128_bits_that_no_command_takes_for_an_option)
{
	for (size_t i = 0; i < IDS; i++) {
		uint8_t bytes[16];
		cr_assert(id_make(ids[i]));
		cr_assert_eq(base64url_decode(ids[i], HM_ID_MAX, bytes, sizeof bytes), sizeof bytes);
		cr_assert_eq(strlen(ids[i]), HM_ID_MAX);
		cr_assert_neq(ids[i][0], '-', "%s", ids[i]);
	}
}

Test(id, is_given_once)
{
	for (size_t i = 0; i < IDS; i++)
		cr_assert(id_make(ids[i]));
	qsort(ids, IDS, sizeof *ids, compare);
	for (size_t i = 1; i < IDS; i++)
		cr_assert_str_neq(ids[i - 1], ids[i]);
}
