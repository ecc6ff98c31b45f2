/* SPDX-License-Identifier: Apache-2.0 */
#include "latch.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char state[] = "/tmp/hsmint-latch-XXXXXX";
static char path[sizeof state + 32];
static struct latch latch;
static struct token_failure why;

static void begin(void)
{
	strcpy(state + sizeof state - 7, "XXXXXX");
	cr_assert_not_null(mkdtemp(state));
	snprintf(path, sizeof path, "%s/latch/soft", state);
}

static void end(void)
{
	char directory[sizeof path];
	snprintf(directory, sizeof directory, "%s/latch", state);
	(void)unlink(path);
	(void)rmdir(directory);
	(void)rmdir(state);
}

TestSuite(latch, .init = begin, .fini = end);

static hm_result try_pin(const struct pin *pin, struct token_failure *failure)
{
	HM_TRY(latch_choose(&latch, pin, failure));
	return latch_try(&latch, failure);
}

/* As another process would: nothing but the file is known. */
static hm_result try(const char *text)
{
	struct pin pin = {.length = strlen(text)};
	memcpy(pin.text, text, pin.length);
	why = (struct token_failure){0};
	HM_TRY(latch_open(state, "soft", false, &latch, &why));
	return try_pin(&pin, &why);
}

static void answer(enum latch_state said)
{
	cr_assert_eq(latch_answer(&latch, said, &why), HM_OK);
}

static void expect_latched(const char *pin, const char *said)
{
	for (int restart = 0; restart < 3; restart++) {
		cr_expect_eq(try(pin), HM_REFUSED, "%s", pin);
		cr_expect_eq(why.class, TOKEN_LATCH, "%s", pin);
		cr_expect_not_null(strstr(why.detail, said), "%s: %s", pin, why.detail);
		cr_expect_null(strstr(why.detail, pin), "the PIN stands in '%s'", why.detail);
	}
}

static void forget(const char *next)
{
	struct pin pin = {.length = strlen(next)};
	memcpy(pin.text, next, pin.length);
	cr_assert_eq(latch_open(state, "soft", true, &latch, &why), HM_OK, "%s", why.detail);
	cr_assert_eq(try_pin(&pin, &why), HM_OK, "%s", why.detail);
}

static char *read_file(void)
{
	static char text[8192];
	FILE *file = fopen(path, "r");
	cr_assert_not_null(file);
	text[fread(text, 1, sizeof text - 1, file)] = 0;
	cr_assert_eq(fclose(file), 0);
	return text;
}

static void write_file(const char *text, size_t length, mode_t mode)
{
	char directory[sizeof path];
	snprintf(directory, sizeof directory, "%s/latch", state);
	(void)mkdir(directory, 0700);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);
	cr_assert_geq(fd, 0);
	cr_assert_eq(fchmod(fd, mode), 0);
	cr_assert_eq(write(fd, text, length), (ssize_t)length);
	cr_assert_eq(close(fd), 0);
}

/* ---- what may be tried ---- */

Test(latch, a_pin_whose_attempt_was_never_answered_is_not_tried_again)
{
	cr_assert_eq(try("pin-one"), HM_OK);
	cr_expect_not_null(strstr(read_file(), "\ntrying "), "it is recorded before it is tried");
	expect_latched("pin-one", "without an answer");
	cr_expect_eq(try("pin-two"), HM_OK, "another PIN may be tried");
}

Test(latch, a_wrong_pin_is_not_tried_again)
{
	cr_assert_eq(try("pin-one"), HM_OK);
	answer(LATCH_WRONG);
	expect_latched("pin-one", "refused this PIN");
	cr_assert_eq(try("pin-two"), HM_OK, "another PIN may be tried");
	answer(LATCH_GOOD);
	cr_expect_eq(try("pin-two"), HM_OK);
	answer(LATCH_GOOD);
	expect_latched("pin-one", "refused this PIN");
}

Test(latch, a_good_pin_is_tried_as_often_as_it_succeeds)
{
	for (int i = 0; i < HM_LOGIN_UNANSWERED_MAX + 2; i++) {
		cr_assert_eq(try("pin-one"), HM_OK, "login %d: %s", i, why.detail);
		answer(LATCH_GOOD);
	}
}

Test(latch, three_unanswered_attempts_with_a_good_pin_close_the_latch)
{
	cr_assert_eq(try("pin-one"), HM_OK);
	answer(LATCH_GOOD);
	for (int i = 0; i < HM_LOGIN_UNANSWERED_MAX; i++) {
		cr_assert_eq(try("pin-one"), HM_OK, "attempt %d: %s", i, why.detail);
		cr_expect_not_null(strstr(read_file(), "\ngood "), "good is never overwritten by an attempt");
	}
	expect_latched("pin-one", "3 attempts in a row");
	cr_expect_not_null(strstr(read_file(), "\ngood "));
}

Test(latch, a_success_clears_the_count)
{
	cr_assert_eq(try("pin-one"), HM_OK);
	answer(LATCH_GOOD);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < HM_LOGIN_UNANSWERED_MAX; i++)
			cr_assert_eq(try("pin-one"), HM_OK, "round %d: %s", round, why.detail);
		answer(LATCH_GOOD); /* the last of them */
	}
	cr_expect_eq(try("pin-one"), HM_OK);
}

Test(latch, a_good_pin_that_the_token_now_refuses_is_latched_at_once)
{
	cr_assert_eq(try("pin-one"), HM_OK);
	answer(LATCH_GOOD);
	cr_assert_eq(try("pin-one"), HM_OK);
	answer(LATCH_WRONG);
	expect_latched("pin-one", "refused this PIN");
}

Test(latch, each_token_has_its_own)
{
	struct pin pin = {.length = 4, .text = "same"};
	char other[sizeof path + 8];
	cr_assert_eq(try("same"), HM_OK);
	answer(LATCH_WRONG);
	cr_assert_eq(latch_open(state, "other", false, &latch, &why), HM_OK);
	cr_expect_eq(try_pin(&pin, &why), HM_OK);
	snprintf(other, sizeof other, "%s/latch/other", state);
	cr_expect_eq(unlink(other), 0);
}

Test(latch, pins_that_begin_alike_are_different)
{
	cr_assert_eq(try("1234"), HM_OK);
	answer(LATCH_WRONG);
	cr_expect_eq(try("12345"), HM_OK);
	cr_expect_eq(try("123"), HM_OK);
	cr_expect_eq(try("1234"), HM_REFUSED);
}

/* ---- PINs that people give ---- */

static const uint8_t first_id[HM_UNLOCK_ID] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 255};
static const uint8_t next_id[HM_UNLOCK_ID] = {2};
#define FIRST_ID_TEXT "AQIDBAUGBwgJCgsMDQ4P_w"

static hm_result try_unlock(const uint8_t id[HM_UNLOCK_ID])
{
	HM_TRY(latch_open(state, "soft", false, &latch, &why));
	latch_choose_unlock(&latch, id);
	return latch_try(&latch, &why);
}

Test(latch, an_unlock_leaves_its_id_and_no_digest)
{
	cr_assert_eq(try_unlock(first_id), HM_OK);
	cr_expect_not_null(strstr(read_file(), "\ntrying " FIRST_ID_TEXT " 0\n"), "%s", read_file());
	answer(LATCH_GOOD);
	cr_expect_not_null(strstr(read_file(), "\ngood " FIRST_ID_TEXT " 0\n"), "%s", read_file());
	cr_expect_eq(try_unlock(first_id), HM_OK, "it may log in again");
}

Test(latch, an_unlock_that_was_wrong_or_never_answered_is_not_tried_again)
{
	cr_assert_eq(try_unlock(first_id), HM_OK);
	cr_expect_eq(try_unlock(first_id), HM_REFUSED);
	cr_expect_eq(why.class, TOKEN_LATCH);
	cr_expect_not_null(strstr(why.detail, "hsmint token unlock"), "%s", why.detail);
	cr_assert_eq(try_unlock(next_id), HM_OK, "%s", why.detail);
	answer(LATCH_WRONG);
	cr_expect_eq(try_unlock(next_id), HM_REFUSED);
}

Test(latch, only_the_last_unlock_is_remembered_and_every_pin)
{
	cr_assert_eq(try("pin-one"), HM_OK);
	answer(LATCH_WRONG);
	for (uint8_t i = 0; i < 2 * LATCH_ENTRIES; i++) {
		const uint8_t id[HM_UNLOCK_ID] = {i};
		cr_assert_eq(try_unlock(id), HM_OK, "unlock %u: %s", i, why.detail);
		answer(LATCH_WRONG);
	}
	cr_assert_eq(latch_open(state, "soft", false, &latch, &why), HM_OK);
	cr_expect_eq(latch.count, 2);
	expect_latched("pin-one", "refused this PIN");
}

Test(latch, what_was_good_and_had_no_answer_is_in_doubt)
{
	cr_assert_eq(try_unlock(first_id), HM_OK);
	cr_expect_not(latch_is_good(&latch) || latch_is_in_doubt(&latch), "nothing is known of it");
	answer(LATCH_GOOD);
	cr_expect(latch_is_good(&latch) && !latch_is_in_doubt(&latch));
	cr_assert_eq(try_unlock(first_id), HM_OK);
	cr_expect(latch_is_good(&latch) && latch_is_in_doubt(&latch));
	answer(LATCH_WRONG);
	cr_expect_not(latch_is_good(&latch) || latch_is_in_doubt(&latch));
}

/* ---- an operator unlatches ---- */

Test(latch, unlatching_allows_a_wrong_pin_exactly_once_more)
{
	cr_assert_eq(try("pin-one"), HM_OK);
	answer(LATCH_WRONG);
	forget("pin-one");
	answer(LATCH_WRONG);
	expect_latched("pin-one", "refused this PIN");
}

Test(latch, unlatching_allows_an_unanswered_pin_exactly_once_more)
{
	cr_assert_eq(try("pin-one"), HM_OK);
	forget("pin-one");
	expect_latched("pin-one", "without an answer");
}

Test(latch, unlatching_keeps_what_is_known_to_be_good_and_clears_its_count)
{
	cr_assert_eq(try("pin-one"), HM_OK);
	answer(LATCH_GOOD);
	for (int i = 0; i < HM_LOGIN_UNANSWERED_MAX; i++)
		cr_assert_eq(try("pin-one"), HM_OK);
	cr_assert_eq(try("pin-one"), HM_REFUSED);
	forget("pin-one");
	cr_expect_not_null(strstr(read_file(), "\ngood "));
	cr_expect_eq(try("pin-one"), HM_OK, "one attempt is unanswered now, not three");
}

Test(latch, opening_to_unlatch_alone_changes_nothing)
{
	cr_assert_eq(try("pin-one"), HM_OK);
	answer(LATCH_WRONG);
	cr_assert_eq(latch_open(state, "soft", true, &latch, &why), HM_OK);
	expect_latched("pin-one", "refused this PIN");
}

/* ---- the file ---- */

Test(latch, the_file_is_for_this_user_alone_and_holds_no_pin)
{
	struct stat stat;
	char directory[sizeof path];
	umask(0);
	cr_assert_eq(try("pin-one"), HM_OK);
	answer(LATCH_GOOD);
	cr_assert_eq(lstat(path, &stat), 0);
	cr_expect_eq(stat.st_mode, S_IFREG | 0600);
	snprintf(directory, sizeof directory, "%s/latch", state);
	cr_assert_eq(lstat(directory, &stat), 0);
	cr_expect_eq(stat.st_mode, S_IFDIR | 0700);
	cr_expect_null(strstr(read_file(), "pin-one"));
}

Test(latch, the_same_pin_looks_different_under_another_salt)
{
	char first[8192];
	cr_assert_eq(try("pin-one"), HM_OK);
	answer(LATCH_GOOD);
	strcpy(first, read_file());
	cr_assert_eq(unlink(path), 0);
	cr_assert_eq(try("pin-one"), HM_OK);
	answer(LATCH_GOOD);
	cr_expect_neq(strcmp(strstr(first, "\ngood "), strstr(read_file(), "\ngood ")), 0);
}

#define SALT     "salt AAAAAAAAAAAAAAAAAAAAAA\n"
#define DIGEST   "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define TEXT(t)  t, sizeof t - 1
#define BEGIN(t) TEXT("hsmint-latch 1\n" SALT t)

static const struct {
	const char *what, *text;
	size_t length;
} damaged[] = {
	{"nothing", TEXT("")},
	{"a later version", TEXT("hsmint-latch 2\n" SALT)},
	{"another first line", TEXT("hsmint-latch 10\n" SALT)},
	{"no salt", TEXT("hsmint-latch 1\n")},
	{"no salt before the first PIN", TEXT("hsmint-latch 1\nwrong " DIGEST " 0\n")},
	{"a short salt", TEXT("hsmint-latch 1\nsalt AAAA\n")},
	{"a salt that is no base64url", TEXT("hsmint-latch 1\nsalt AAAAAAAAAAAAAAAAAAAA+A\n")},
	{"an unknown state", BEGIN("fine " DIGEST " 0\n")},
	{"a short digest", BEGIN("wrong AAAA 0\n")},
	{"a long digest", BEGIN("wrong " DIGEST "AA 0\n")},
	{"an id of an unlock too long by one", BEGIN("wrong AAAAAAAAAAAAAAAAAAAAAAA 0\n")},
	{"a digit behind the digest", BEGIN("wrong " DIGEST "1\n")},
	{"no count", BEGIN("wrong " DIGEST "\n")},
	{"something behind the count", BEGIN("wrong " DIGEST " 0 1\n")},
	{"a NUL within", BEGIN("wrong " DIGEST " 0\n\0")},
	{"cut off", BEGIN("wrong AAAAAAAAAAAAAAAAAAA")},
	{"the last line's end cut off", BEGIN("wrong " DIGEST " 0")},
	{"an empty line", BEGIN("\nwrong " DIGEST " 0\n")},
	{"a count with a zero before it", BEGIN("wrong " DIGEST " 00\n")},
};

Test(latch, a_damaged_file_allows_nothing_until_an_operator_acts)
{
	for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++) {
		write_file(damaged[i].text, damaged[i].length, 0600);
		cr_expect_eq(try("pin-one"), HM_REFUSED, "%s", damaged[i].what);
		cr_expect_eq(why.class, TOKEN_LATCH, "%s", damaged[i].what);
		cr_expect_not_null(strstr(why.detail, "hsmint token unlatch"), "%s: %s", damaged[i].what, why.detail);
		cr_expect_eq(latch_open(state, "soft", true, &latch, &why), HM_OK, "%s", damaged[i].what);
	}
	forget("pin-one");
	answer(LATCH_GOOD);
	cr_expect_eq(try("pin-one"), HM_OK);
}

Test(latch, a_file_that_others_can_read_or_that_is_too_long_is_refused)
{
	static char much[8192];
	write_file(BEGIN(""), 0600);
	cr_expect_eq(try("pin-one"), HM_OK);
	write_file(BEGIN(""), 0640);
	expect_latched("pin-one", "chmod 600");
	memset(much, '\n', sizeof much);
	memcpy(much, "hsmint-latch 1\n" SALT, strlen("hsmint-latch 1\n" SALT));
	write_file(much, sizeof much, 0600);
	expect_latched("pin-one", "longer than");
}

/* Fill the latch with `states`, oldest first. */
static void write_full(const char *const states[LATCH_ENTRIES], unsigned unanswered)
{
	char text[4096] = "hsmint-latch 1\n" SALT;
	size_t used = strlen(text);
	for (int i = 0; i < LATCH_ENTRIES; i++)
		used += (size_t)snprintf(
			text + used, sizeof text - used, "%s %c%s %u\n", states[i], 'B' + i, DIGEST + 1, unanswered);
	write_file(text, used, 0600);
}

Test(latch, a_full_latch_is_closed_until_an_operator_acts)
{
	static const char *const states[LATCH_ENTRIES] = {"wrong", "wrong", "trying", "wrong", "wrong", "trying",
		"wrong", "wrong", "wrong", "wrong", "wrong", "wrong", "wrong", "wrong", "wrong", "wrong"};
	write_full(states, 0);
	expect_latched("pin-one", "16 PINs were tried already");
	forget("pin-one");
}

Test(latch, more_entries_than_it_holds_are_damage)
{
	static const char *const states[LATCH_ENTRIES] = {"good", "good", "good", "good", "good", "good", "good",
		"good", "good", "good", "good", "good", "good", "good", "good", "good"};
	char text[4096];
	write_full(states, 0);
	strcat(strcpy(text, read_file()), "good " DIGEST " 0\n");
	write_file(text, strlen(text), 0600);
	cr_expect_eq(try("pin-one"), HM_REFUSED);
	cr_expect_not_null(strstr(why.detail, "damaged"), "%s", why.detail);
}

Test(latch, pins_changed_for_years_do_not_fill_it)
{
	static const char *const states[LATCH_ENTRIES] = {"wrong", "good", "good", "good", "good", "good", "good",
		"good", "good", "good", "good", "good", "good", "good", "good", "good"};
	write_full(states, 0);
	cr_assert_eq(try("pin-one"), HM_OK, "%s", why.detail);
	cr_expect_not_null(strstr(read_file(), "\nwrong B"), "a wrong one is kept");
	cr_expect_null(strstr(read_file(), "\ngood C"), "the oldest good one makes room");
	cr_expect_not_null(strstr(read_file(), "\ngood D"));
	answer(LATCH_GOOD);
	cr_expect_eq(try("pin-one"), HM_OK, "%s", why.detail);
}

Test(latch, a_good_pin_with_attempts_to_answer_for_makes_no_room)
{
	static const char *const states[LATCH_ENTRIES] = {"good", "good", "good", "good", "good", "good", "good",
		"good", "good", "good", "good", "good", "good", "good", "good", "good"};
	write_full(states, 1);
	expect_latched("pin-one", "16 PINs were tried already");
	forget("pin-one");
}

Test(latch, what_cannot_be_recorded_is_not_tried)
{
	struct token_failure failure;
	struct pin pin = {.length = 3, .text = "pin"};
	char place[sizeof state + 8];
	snprintf(place, sizeof place, "%s/file", state);
	FILE *file = fopen(place, "w"); /* a file where the state directory should be: not even root can write in it */
	cr_assert_not_null(file);
	cr_assert_eq(fclose(file), 0);
	hm_result result = latch_open(place, "soft", false, &latch, &failure);
	if (result == HM_OK)
		result = try_pin(&pin, &failure);
	cr_expect_eq(result, HM_REFUSED);
	cr_expect_eq(unlink(place), 0);

	snprintf(place, sizeof place, "%s/gone", state);
	cr_assert_eq(latch_open(place, "soft", false, &latch, &failure), HM_OK);
	cr_expect_eq(try_pin(&pin, &failure), HM_REFUSED);
	cr_expect_eq(failure.class, TOKEN_DEVICE, "a disk may come back without a person");
	cr_expect_not_null(strstr(failure.detail, "PIN latch"));
}

Test(latch, a_directory_that_cannot_be_written_allows_nothing)
{
	char directory[sizeof path];
	cr_assert_eq(try("pin-one"), HM_OK);
	answer(LATCH_GOOD);
	snprintf(directory, sizeof directory, "%s/latch", state);
	if (geteuid() == 0) {
		cr_assert_eq(chown(state, 65534, 65534), 0);
		cr_assert_eq(chown(directory, 65534, 65534), 0);
		cr_assert_eq(chown(path, 65534, 65534), 0);
		cr_assert_eq(seteuid(65534), 0);
	}
	cr_assert_eq(chmod(directory, 0500), 0);
	cr_expect_eq(try("pin-one"), HM_REFUSED);
	cr_expect_eq(why.class, TOKEN_DEVICE);
	cr_assert_eq(chmod(directory, 0700), 0);
	cr_expect_eq(try("pin-one"), HM_OK);
}

Test(latch, a_state_path_that_is_too_long_is_refused)
{
	char place[HM_PATH_MAX];
	memset(place, 'x', sizeof place - 1);
	place[sizeof place - 1] = 0;
	cr_expect_eq(latch_open(place, "soft", false, &latch, &why), HM_REFUSED);
	cr_expect_eq(why.class, TOKEN_PERMANENT);
}
