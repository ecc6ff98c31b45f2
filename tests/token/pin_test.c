/* SPDX-License-Identifier: Apache-2.0 */
#include "pin.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[] = "/tmp/hsmint-pin-XXXXXX";
static struct token_config config;
static struct token_failure why;
static struct pin pin;
static const struct pin_parts no_parts;

static void begin(void)
{
	strcpy(directory + sizeof directory - 7, "XXXXXX");
	cr_assert_not_null(mkdtemp(directory));
	config = (struct token_config){.login = LOGIN_FILE};
	snprintf(config.pin_file, sizeof config.pin_file, "%s/pin", directory);
	unsetenv("CREDENTIALS_DIRECTORY");
}

static void end(void)
{
	char path[sizeof directory + 8];
	snprintf(path, sizeof path, "%s/pin", directory);
	(void)unlink(path);
	(void)rmdir(directory);
}

TestSuite(pin, .init = begin, .fini = end);

static void write_pin(const char *text, size_t length, mode_t mode)
{
	char path[sizeof directory + 8];
	snprintf(path, sizeof path, "%s/pin", directory);
	FILE *file = fopen(path, "w");
	cr_assert_not_null(file);
	cr_assert_eq(fwrite(text, 1, length, file), length);
	cr_assert_eq(fclose(file), 0);
	cr_assert_eq(chmod(path, mode), 0);
}

static void expect_pin(const char *text, size_t length)
{
	cr_expect_eq(pin_read(&config, &no_parts, &pin, &why), HM_OK);
	cr_expect_eq(pin.length, length);
	cr_expect_eq(memcmp(pin.text, text, length), 0);
}

static void expect_refused(const char *said)
{
	cr_expect_eq(pin_read(&config, &no_parts, &pin, &why), HM_REFUSED);
	cr_expect_eq(why.class, TOKEN_LATCH, "a person has to mend it");
	cr_expect_not_null(strstr(why.detail, said), "'%s' does not say '%s'", why.detail, said);
}

Test(pin, one_line_end_is_not_part_of_it)
{
	write_pin("1234\n", 5, 0600);
	expect_pin("1234", 4);
	write_pin("1234", 4, 0400);
	expect_pin("1234", 4);
	write_pin("1234\n\n", 6, 0600);
	expect_pin("1234\n", 5);
	write_pin(" 12\t34 ", 7, 0600);
	expect_pin(" 12\t34 ", 7);
}

Test(pin, a_file_that_others_can_read_is_refused_with_the_mend)
{
	static const mode_t modes[] = {0640, 0604, 0620, 0602, 0610, 0644, 0666};
	for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
		write_pin("secret-9183\n", 12, modes[i]);
		expect_refused("chmod 600");
		cr_expect_null(strstr(why.detail, "secret-9183"));
		cr_expect_eq(pin.length, 0, "it was not even read");
	}
}

Test(pin, no_pin_is_refused)
{
	expect_refused("No such file");
	write_pin("", 0, 0600);
	expect_refused("is empty");
	write_pin("\n", 1, 0600);
	expect_refused("is empty");
	cr_assert_eq(mkdir(strcat(strcpy(config.pin_file, directory), "/sub"), 0700), 0);
	expect_refused("not a regular file");
	cr_assert_eq(rmdir(config.pin_file), 0);
}

Test(pin, its_length_is_limited)
{
	char text[HM_PIN_MAX + 1];
	memset(text, '7', sizeof text);
	write_pin(text, HM_PIN_MAX, 0600);
	expect_pin(text, HM_PIN_MAX);
	write_pin(text, HM_PIN_MAX + 1, 0600);
	expect_refused("longer than 256 bytes");
	cr_expect_null(strstr(why.detail, "7777"));
}

Test(pin, a_credential_is_found_by_its_name_and_systemd_guards_it)
{
	config.login = LOGIN_CREDENTIAL;
	strcpy(config.pin_file, "pin");
	write_pin("5678\n", 5, 0440); /* as systemd shows its access list */
	expect_refused("LoadCredential=pin");
	cr_assert_eq(setenv("CREDENTIALS_DIRECTORY", directory, 1), 0);
	expect_pin("5678", 4);
	strcpy(config.pin_file, "another");
	expect_refused("/another: No such file");
}

/* ---- parts ---- */

/* What a custodian's command makes of a part. */
static int part(const char *text)
{
	int fd = memfd_create("part", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	cr_assert_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL), 0);
	return fd;
}

static hm_result put_together(const char *first, const char *second)
{
	struct pin_parts parts = {2, {part(first), part(second)}};
	config = (struct token_config){.login = LOGIN_CUSTODIANS, .custodian_count = 2};
	why = (struct token_failure){0};
	hm_result result = pin_read(&config, &parts, &pin, &why);
	pin_parts_close(&parts);
	cr_expect_eq(parts.count, 0);
	return result;
}

static void expect_not_put_together(const char *first, const char *second, const char *said)
{
	cr_expect_eq(put_together(first, second), HM_REFUSED);
	cr_expect_eq(why.class, TOKEN_LATCH);
	cr_expect_not_null(strstr(why.detail, said), "%s", why.detail);
}

Test(pin, parts_are_put_together_in_their_order)
{
	cr_assert_eq(put_together("12", "345\n"), HM_OK, "%s", why.detail);
	cr_expect_eq(pin.length, 6);
	cr_expect_eq(memcmp(pin.text, "12345\n", 6), 0, "a part is taken as it is");
}

Test(pin, parts_that_make_no_pin_are_refused)
{
	char half[HM_PIN_MAX / 2 + 2];
	memset(half, '7', sizeof half);
	half[HM_PIN_MAX / 2] = 0;
	cr_expect_eq(put_together(half, half), HM_OK, "%s", why.detail);
	cr_expect_eq(pin.length, HM_PIN_MAX);
	half[HM_PIN_MAX / 2] = '7';
	half[HM_PIN_MAX / 2 + 1] = 0;
	expect_not_put_together(half + 1, half, "more than 256 bytes");
	expect_not_put_together("", "1234", "empty");
	expect_not_put_together("1234", "", "empty");
}

Test(pin, without_parts_there_is_no_pin)
{
	config = (struct token_config){.login = LOGIN_CUSTODIANS, .custodian_count = 2};
	cr_expect_eq(pin_read(&config, &no_parts, &pin, &why), HM_REFUSED);
	cr_expect_not_null(strstr(why.detail, "hsmint token unlock"), "%s", why.detail);
}

Test(pin, where_the_token_asks_for_it_there_is_none)
{
	config = (struct token_config){.login = LOGIN_PROTECTED_PATH};
	pin.length = 3;
	cr_expect_eq(pin_read(&config, &no_parts, &pin, &why), HM_OK);
	cr_expect_eq(pin.length, 0);
}

Test(pin, wiping_leaves_nothing)
{
	static const struct pin blank;
	write_pin("1234\n", 5, 0600);
	expect_pin("1234", 4);
	pin_wipe(&pin);
	cr_expect_eq(memcmp(&pin, &blank, sizeof pin), 0);
}
