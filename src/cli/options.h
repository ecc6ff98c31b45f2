/* SPDX-License-Identifier: Apache-2.0 */
/* What several commands share: saying how to use them, reaching the service, reporting an error. */
#ifndef HSMINT_OPTIONS_H
#define HSMINT_OPTIONS_H

#include "commands.h"
#include "hsmint/client.h"
#include <stdbool.h>

/* Print "hsmint: …" and where to find help on standard error. Returns EXIT_USAGE. */
int usage_error(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Print an error on standard error and release it. Returns EXIT_FAILED. */
int report_error(hsmint_error *error);

/* Print one line on standard output. Returns EXIT_DONE, or EXIT_FAILED when it could not be written. */
int print_line(const char *text);

/* See that what was printed is written. Returns as print_line. */
int flush_output(void);

/* A whole number within bounds, and nothing else. */
bool parse_number(const char *text, long least, long most, long *number);

/* Where the service listens: `socket` (else HSMINT_SOCKET), or `url` with its three files. */
struct connection {
	const char *socket, *url, *certificate, *key, *ca;
};

/*
 * A client for this connection. On failure NULL, `*status` is the exit status, and why stands on standard error:
 * neither or both ways were given, or files are missing.
 */
hsmint_client *connection_open(const struct connection *connection, const char *command, int *status);

/*
 * Give a command to the control socket at `path`, or HSMINT_CONTROL when `path` is NULL. The reply's JSON, to be
 * released with hsmint_text_free; or NULL, `*status`, and why on standard error.
 */
char *control_call(const char *path, const char *json, const char *command, int *status);

struct control_options {
	const char *control; /* NULL: HSMINT_CONTROL */
	bool json;
};

/* Read --control, --json and --help; argv[0] is the command's name, and words are left from optind on. False: it is
 * done, with `*status`. */
bool control_options_read(int argc, char **argv, const char *help, struct control_options *options, int *status);

/*
 * A whole command that takes --control, --json and --help, and gives `request` to the control socket; argv[0] is its
 * name. `print` shows the reply to people and returns the exit status; NULL: there is nothing to show. Returns the exit
 * status.
 */
int control_command(int argc, char **argv, const char *help, const char *request, int (*print)(const char *reply));

#endif
