/* SPDX-License-Identifier: Apache-2.0 */
#include "file.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[] = "/tmp/hsmint-file-XXXXXX";
static char path[64], beside[64];
static struct hm_problem why;

static void make_directory(void)
{
	cr_assert_not_null(mkdtemp(directory));
	snprintf(path, sizeof path, "%s/file", directory);
	snprintf(beside, sizeof beside, "%s/.file.new", directory);
}

static void remove_directory(void)
{
	(void)unlink(path);
	(void)unlink(beside);
	cr_expect_eq(rmdir(directory), 0);
}

TestSuite(file, .init = make_directory, .fini = remove_directory);

static void write_file(const char *text, mode_t mode)
{
	FILE *file = fopen(path, "w");
	cr_assert_not_null(file);
	fputs(text, file);
	fclose(file);
	cr_assert_eq(chmod(path, mode), 0);
}

static void expect_refused(hm_result result, const char *mend)
{
	cr_expect_eq(result, HM_REFUSED);
	cr_expect(strstr(why.detail, path), "names the path: %s", why.detail);
	cr_expect(strstr(why.detail, mend), "'%s' in: %s", mend, why.detail);
}

Test(file, a_file_is_read_whole_up_to_exactly_the_room_there_is)
{
	char data[8];
	size_t length;
	write_file("12345678", 0644);
	cr_assert_eq(file_read(path, false, data, sizeof data, &length, &why), HM_OK);
	cr_expect_eq(length, 8);
	cr_expect_arr_eq(data, "12345678", 8);
	expect_refused(file_read(path, false, data, 7, &length, &why), "longer than 7 bytes");
}

Test(file, an_empty_file_has_length_0)
{
	char data[8];
	size_t length = 99;
	write_file("", 0600);
	cr_expect_eq(file_read(path, true, data, sizeof data, &length, &why), HM_OK);
	cr_expect_eq(length, 0);
}

Test(file, what_is_no_regular_file_is_refused_without_waiting, .timeout = 10)
{
	char data[8];
	size_t length;
	expect_refused(file_read(path, false, data, sizeof data, &length, &why), "No such file");
	cr_assert_eq(mkfifo(path, 0600), 0);
	expect_refused(file_read(path, false, data, sizeof data, &length, &why), "not a regular file");
	cr_expect_eq(file_read(directory, false, data, sizeof data, &length, &why), HM_REFUSED);
	cr_expect_eq(file_read("/dev/zero", false, data, sizeof data, &length, &why), HM_REFUSED);
}

Test(file, a_secret_that_group_or_others_can_touch_is_refused_with_the_mend)
{
	static const mode_t modes[] = {0640, 0620, 0610, 0604, 0602, 0601, 0644, 0777, 0440};
	char data[8];
	size_t length;
	write_file("pin", 0600);
	for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
		cr_assert_eq(chmod(path, modes[i]), 0);
		expect_refused(file_read(path, true, data, sizeof data, &length, &why), "chmod 600");
		cr_expect_eq(length, 0, "mode %03o", modes[i]);
	}
	cr_expect_eq(file_read(path, false, data, sizeof data, &length, &why), HM_OK, "it need not be a secret");
}

Test(file, a_secret_that_only_its_owner_can_touch_is_read)
{
	static const mode_t modes[] = {0600, 0400};
	char data[8];
	size_t length;
	write_file("pin", 0600);
	for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
		cr_assert_eq(chmod(path, modes[i]), 0);
		cr_expect_eq(file_read(path, true, data, sizeof data, &length, &why), HM_OK, "mode %03o", modes[i]);
		cr_expect_eq(length, 3);
	}
}

Test(file, a_secret_of_another_user_is_refused_unless_root_owns_it)
{
	char data[8];
	size_t length;
	if (geteuid() != 0)
		cr_skip_test("only root can give a file away");
	write_file("pin", 0600);
	cr_expect_eq(file_read(path, true, data, sizeof data, &length, &why), HM_OK);
	cr_assert_eq(chown(path, 12345, 12345), 0);
	expect_refused(file_read(path, true, data, sizeof data, &length, &why), "uid 12345");
}

static void expect_content(const char *text)
{
	char data[64];
	size_t length;
	cr_assert_eq(file_read(path, false, data, sizeof data, &length, &why), HM_OK, "%s", why.detail);
	cr_expect_eq(length, strlen(text));
	cr_expect_arr_eq(data, text, length);
}

Test(file, replacing_makes_a_new_file_with_its_mode_and_leaves_nothing_beside)
{
	struct stat stat_before, stat_after;
	cr_assert_eq(file_replace(path, "first", 5, 0600, &why), HM_OK);
	expect_content("first");
	cr_assert_eq(stat(path, &stat_before), 0);
	cr_expect_eq(stat_before.st_mode & 0777, 0600);
	cr_assert_eq(file_replace(path, "second, longer", 14, 0600, &why), HM_OK);
	expect_content("second, longer");
	cr_assert_eq(stat(path, &stat_after), 0);
	cr_expect_neq(stat_before.st_ino, stat_after.st_ino, "replaced, not written over");
	cr_expect_neq(access(beside, F_OK), 0);
}

/* Who has the old file open goes on reading the old one: that is what a crash would leave, too. */
Test(file, a_reader_of_the_old_file_sees_nothing_of_the_new_one)
{
	char data[16] = "";
	cr_assert_eq(file_replace(path, "old", 3, 0600, &why), HM_OK);
	int fd = open(path, O_RDONLY);
	cr_assert_eq(file_replace(path, "newer", 5, 0600, &why), HM_OK);
	cr_expect_eq(read(fd, data, sizeof data), 3);
	cr_expect_str_eq(data, "old");
	close(fd);
}

Test(file, what_a_crash_left_beside_is_no_obstacle_and_no_way_elsewhere)
{
	char elsewhere[64];
	snprintf(elsewhere, sizeof elsewhere, "%s/elsewhere", directory);
	FILE *file = fopen(elsewhere, "w");
	cr_assert_not_null(file);
	fputs("untouched", file);
	fclose(file);
	cr_assert_eq(symlink(elsewhere, beside), 0);
	cr_expect_eq(file_replace(path, "text", 4, 0600, &why), HM_OK, "%s", why.detail);
	expect_content("text");
	struct stat stat_elsewhere;
	cr_assert_eq(stat(elsewhere, &stat_elsewhere), 0);
	cr_expect_eq(stat_elsewhere.st_size, 9);
	(void)unlink(elsewhere);
}

Test(file, a_failed_replacement_leaves_the_old_file)
{
	char nowhere[80];
	cr_assert_eq(file_replace(path, "old", 3, 0600, &why), HM_OK);
	cr_assert_eq(mkdir(beside, 0700), 0);
	cr_expect_eq(file_replace(path, "new", 3, 0600, &why), HM_UNAVAILABLE);
	cr_expect(strstr(why.detail, path));
	expect_content("old");
	cr_assert_eq(rmdir(beside), 0);
	snprintf(nowhere, sizeof nowhere, "%s/none/file", directory);
	cr_expect_eq(file_replace(nowhere, "new", 3, 0600, &why), HM_UNAVAILABLE);
}

Test(file, a_path_too_long_is_refused_and_not_cut)
{
	char longest[1100];
	memset(longest, 'a', sizeof longest - 1);
	longest[0] = '/';
	longest[sizeof longest - 1] = 0;
	cr_expect_eq(file_replace(longest, "new", 3, 0600, &why), HM_REFUSED);
}
