/* SPDX-License-Identifier: Apache-2.0 */
#include "pin.h"

#include "file.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

hm_result pin_read(const struct token_config *config, struct pin *pin, struct token_failure *why)
{
	char path[2 * HM_PATH_MAX];
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
