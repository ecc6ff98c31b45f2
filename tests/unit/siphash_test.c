/* SPDX-License-Identifier: Apache-2.0 */
#include "siphash.h"

#include <criterion/criterion.h>

static const struct siphash_key key = {{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}};

/* The value that appendix A of the paper works out, and the first of its authors' list. */
Test(siphash, it_gives_the_values_that_its_authors_publish)
{
	static const uint8_t message[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14};
	cr_expect_eq(siphash(&key, message, sizeof message), 0xa129ca6149be45e5);
	cr_expect_eq(siphash(&key, message, 0), 0x726fdb47dd0e0e31);
}
