/* SPDX-License-Identifier: Apache-2.0 */
#include "pin.h"

#include "file.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static hm_result read_file(const char *path, bool secret, struct pin *pin, struct token_failure *why)
{
	struct hm_problem problem;
	if (file_read(path, secret, pin->text, sizeof pin->text, &pin->length, &problem) != HM_OK)
		return fail(why, TOKEN_LATCH, "PIN: %s", problem.detail);
	if (pin->length && pin->text[pin->length - 1] == '\n')
		pin->length--;
	if (!pin->length)
		return fail(why, TOKEN_LATCH, "PIN: %s is empty", path);
	return HM_OK;
}

hm_result pin_read_file(const char *path, struct pin *pin, struct token_failure *why)
{
	return read_file(path, true, pin, why);
}

void pin_parts_close(struct pin_parts *parts)
{
	for (unsigned i = 0; i < parts->count; i++)
		close(parts->fds[i]);
	parts->count = 0;
}

static hm_result add_part(int fd, struct pin *pin, struct token_failure *why)
{
	struct stat stat;
	size_t room = sizeof pin->text - pin->length;
	if (fstat(fd, &stat) < 0 || stat.st_size < 1)
		return fail(why, TOKEN_LATCH, "PIN: a part is empty");
	if ((size_t)stat.st_size > room)
		return fail(why, TOKEN_LATCH, "PIN: its parts have more than %d bytes together", HM_PIN_MAX);
	if (pread(fd, pin->text + pin->length, (size_t)stat.st_size, 0) != stat.st_size)
		return fail(why, TOKEN_LATCH, "PIN: a part cannot be read: %s", strerror(errno));
	pin->length += (size_t)stat.st_size;
	return HM_OK;
}

static hm_result assemble(
	const struct token_config *config, const struct pin_parts *parts, struct pin *pin, struct token_failure *why)
{
	if (parts->count != config->custodian_count)
		return fail(why, TOKEN_LATCH, "PIN: %u of %u parts are there: hsmint token unlock", parts->count,
			config->custodian_count);
	for (unsigned i = 0; i < parts->count; i++)
		HM_TRY(add_part(parts->fds[i], pin, why));
	return HM_OK;
}

hm_result pin_read(
	const struct token_config *config, const struct pin_parts *parts, struct pin *pin, struct token_failure *why)
{
	char path[2 * HM_PATH_MAX];
	pin->length = 0;
	if (config->login == LOGIN_PROTECTED_PATH || config->login == LOGIN_NONE)
		return HM_OK;
	if (config->login == LOGIN_CUSTODIANS)
		return assemble(config, parts, pin, why);
	if (config->login == LOGIN_FILE)
		return read_file(config->pin_file, true, pin, why);
	const char *directory = getenv("CREDENTIALS_DIRECTORY");
	if (!directory)
		return fail(why, TOKEN_LATCH, "PIN: no CREDENTIALS_DIRECTORY: run under systemd with LoadCredential=%s",
			config->pin_file);
	snprintf(path, sizeof path, "%s/%s", directory, config->pin_file);
	return read_file(path, false, pin, why); /* an access list there shows as group bits in the mode */
}

void pin_wipe(struct pin *pin)
{
	explicit_bzero(pin, sizeof *pin);
}
