/* SPDX-License-Identifier: Apache-2.0 */
/* The user PIN, from where the configuration says, for as long as the login takes. */
#ifndef HSMINT_PIN_H
#define HSMINT_PIN_H

#include "failure.h"

struct pin {
	size_t length;
	uint8_t text[HM_PIN_MAX];
};

/* The parts of a PIN as they came with the configuration: sealed memfds, in their order. */
struct pin_parts {
	unsigned count; /* 0: none came */
	int fds[HM_PIN_PARTS_MAX];
};
void pin_parts_close(struct pin_parts *parts);

/*
 * Read the PIN, without a line's end. With LOGIN_FILE a file that others can read is refused; with LOGIN_CREDENTIAL
 * systemd guards the directory. With LOGIN_CUSTODIANS it is the parts put together, and with LOGIN_PROTECTED_PATH and
 * LOGIN_NONE it is empty. TOKEN_LATCH: there is none to be had, which a person has to mend.
 */
hm_result pin_read(const struct token_config *config, const struct pin_parts *parts, struct pin *pin,
	struct token_failure *why) HM_MUST_USE;

/* The same from a file named otherwise: a security officer's PIN. */
hm_result pin_read_file(const char *path, struct pin *pin, struct token_failure *why) HM_MUST_USE;

void pin_wipe(struct pin *pin);
#define PIN_AUTO __attribute__((cleanup(pin_wipe))) struct pin

#endif
