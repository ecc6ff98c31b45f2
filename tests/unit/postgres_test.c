/* SPDX-License-Identifier: Apache-2.0 */
#include "postgres.h"

#include <criterion/criterion.h>
#include <string.h>

Test(postgres, of_a_url_that_can_be_used_nothing_is_said)
{
	struct {
		struct hm_problem why;
		char behind[64];
	} said, before;
	memset(&said, '\n', sizeof said); /* as what nobody has written yet may be */
	before = said;
	cr_assert_eq(postgres_check_url("postgresql://mint@h/d", &said.why), HM_OK);
	cr_expect_arr_eq(&said, &before, sizeof said);
}

Test(postgres, why_a_url_cannot_be_used_is_one_line)
{
	struct hm_problem why;
	cr_assert_eq(postgres_check_url("postgresql://h/d?no_such=1", &why), HM_REFUSED);
	cr_expect_not_null(strstr(why.detail, "no_such"), "%s", why.detail);
	cr_expect_null(strchr(why.detail, '\n'), "%s", why.detail);
}
