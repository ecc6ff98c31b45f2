/* SPDX-License-Identifier: Apache-2.0 */
#include "http_signature.h"

#include "limits.h"
#include <criterion/criterion.h>
#include <string.h>

enum { NOW = 1760000000 };

static struct nonces *nonces;
static struct hm_problem why;

static void begin(void)
{
	nonces = nonces_open();
	cr_assert_not_null(nonces);
}

static void end(void)
{
	nonces_close(nonces);
}

TestSuite(nonces, .init = begin, .fini = end);

static const char *make(int64_t now)
{
	static char text[HM_ID_MAX + 1];
	cr_assert_eq(nonces_make(nonces, now, text, &why), HM_OK);
	return text;
}

Test(nonces, one_is_good_once)
{
	const char *one = make(NOW);
	cr_expect_eq(nonces_use(nonces, NOW, one, &why), HM_OK);
	for (int64_t later = 0; later <= 4L * HM_NONCE_SECONDS; later++) {
		cr_expect_eq(nonces_use(nonces, NOW + later, one, &why), HM_REFUSED, "%d s later", (int)later);
		cr_expect_str_eq(why.code, "signature_refused");
	}
}

Test(nonces, one_is_good_for_its_time)
{
	cr_expect_eq(nonces_use(nonces, NOW + HM_NONCE_SECONDS, make(NOW), &why), HM_OK);
	cr_expect_eq(
		nonces_use(nonces, NOW + 3 * HM_NONCE_SECONDS + 1, make(NOW + 2 * HM_NONCE_SECONDS), &why), HM_REFUSED);
}

/* At every moment of a period it is remembered for as long as it could come again. */
Test(nonces, none_is_forgotten_while_it_could_be_used)
{
	for (int64_t made = NOW; made < NOW + 2L * HM_NONCE_SECONDS; made++) {
		char one[HM_ID_MAX + 1];
		strcpy(one, make(made));
		cr_expect_eq(nonces_use(nonces, made, one, &why), HM_OK);
		cr_expect_eq(nonces_use(nonces, made, one, &why), HM_REFUSED);
	}
	char one[HM_ID_MAX + 1];
	int64_t at = NOW + 5L * HM_NONCE_SECONDS;
	strcpy(one, make(at));
	cr_expect_eq(nonces_use(nonces, at + HM_NONCE_SECONDS - 1, one, &why), HM_OK);
	cr_expect_eq(nonces_use(nonces, at + HM_NONCE_SECONDS, one, &why), HM_REFUSED);
}

Test(nonces, a_clock_that_goes_back_makes_none_good_again)
{
	char old[HM_ID_MAX + 1], used[HM_ID_MAX + 1];
	strcpy(old, make(NOW));
	strcpy(used, make(NOW));
	cr_expect_eq(nonces_use(nonces, NOW, used, &why), HM_OK);
	(void)make(NOW + 1000);
	cr_expect_eq(nonces_use(nonces, NOW, used, &why), HM_REFUSED);
	cr_expect_eq(nonces_use(nonces, NOW, old, &why), HM_REFUSED);
}

Test(nonces, what_was_never_given_out_is_none)
{
	static const char *const others[] = {
		"", "AAAAAAAAAAAAAAAAAAAAAA", "short", "AAAAAAAAAAAAAAAAAAAAAAAA", "not base64!"};
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		cr_expect_eq(nonces_use(nonces, NOW, others[i], &why), HM_REFUSED, "%s", others[i]);
	const char *one = make(NOW);
	for (size_t i = 0; i < HM_ID_MAX; i++) {
		char changed[HM_ID_MAX + 1];
		strcpy(changed, one);
		changed[i] = changed[i] == 'A' ? 'Q' : 'A';
		cr_expect_eq(nonces_use(nonces, NOW, changed, &why), HM_REFUSED, "character %zu", i);
	}
	struct nonces *others_process = nonces_open();
	cr_expect_eq(nonces_use(others_process, NOW, one, &why), HM_REFUSED);
	nonces_close(others_process);
	cr_expect_eq(nonces_use(nonces, NOW, one, &why), HM_OK);
}

/* However many are asked for, those that were given out stay good; only those that were used take room. */
Test(nonces, asking_for_many_keeps_nobody_out_and_using_many_is_bounded)
{
	char early[HM_ID_MAX + 1];
	strcpy(early, make(NOW));
	for (int i = 0; i < 3 * HM_NONCES_MAX; i++)
		(void)make(NOW);
	cr_expect_eq(nonces_use(nonces, NOW, early, &why), HM_OK);
	for (int i = 1; i < HM_NONCES_MAX; i++)
		cr_assert_eq(nonces_use(nonces, NOW, make(NOW), &why), HM_OK, "%d", i);
	cr_expect_eq(nonces_use(nonces, NOW, make(NOW), &why), HM_UNAVAILABLE);
	cr_expect_str_eq(why.code, "overload");
	cr_expect_eq(nonces_use(nonces, NOW, early, &why), HM_REFUSED);
	int64_t later = NOW + 2L * HM_NONCE_SECONDS + 2;
	cr_expect_eq(nonces_use(nonces, later, make(later), &why), HM_OK);
}
