/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONTROL_TIMEOUT_MS = 30 * 1000 }; /* a reload starts token processes anew */

int usage_error(const char *command, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fputs("hsmint: ", stderr);
	vfprintf(stderr, format, args);
	fprintf(stderr, "\nTry 'hsmint %s --help'.\n", command);
	va_end(args);
	return EXIT_USAGE;
}

int report_error(hsmint_error *error)
{
	fprintf(stderr, "hsmint: %s\n", hsmint_error_message(error));
	if (hsmint_error_retry_after(error) > 0)
		fprintf(stderr, "hsmint: try again after %ld s\n", hsmint_error_retry_after(error));
	hsmint_error_free(error);
	return EXIT_FAILED;
}

int flush_output(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return EXIT_DONE;
	fprintf(stderr, "hsmint: standard output: %s\n", strerror(errno));
	return EXIT_FAILED;
}

int print_line(const char *text)
{
	(void)puts(text);
	return flush_output();
}

bool parse_number(const char *text, long least, long most, long *number)
{
	char *end;
	errno = 0;
	*number = strtol(text, &end, 10);
	return *text >= '0' && *text <= '9' && !*end && !errno && *number >= least && *number <= most;
}

hsmint_client *connection_open(const struct connection *connection, const char *command, int *status)
{
	hsmint_error *error = NULL;
	hsmint_client *client = NULL;
	const char *socket = connection->socket;

	if (!socket && !connection->url)
		socket = getenv("HSMINT_SOCKET");
	if (connection->url && (!connection->certificate || !connection->key || !connection->ca))
		*status = usage_error(command, "--url needs --cert, --key and --ca");
	else if (!connection->url && (connection->certificate || connection->key || connection->ca))
		*status = usage_error(command, "--cert, --key and --ca belong to --url");
	else if (connection->url && connection->socket)
		*status = usage_error(command, "either --socket or --url");
	else if (connection->url)
		client = hsmint_client_https(
			connection->url, connection->certificate, connection->key, connection->ca, &error);
	else if (socket && *socket)
		client = hsmint_client_unix(socket, &error);
	else
		*status = usage_error(command, "where is the service? --socket PATH, HSMINT_SOCKET, or --url URL");
	if (error)
		*status = report_error(error);
	return client;
}

char *control_call(const char *path, const char *json, const char *command, int *status)
{
	hsmint_error *error = NULL;
	if (!path)
		path = getenv("HSMINT_CONTROL");
	if (!path || !*path) {
		*status = usage_error(command, "where is the control socket? --control PATH or HSMINT_CONTROL");
		return NULL;
	}
	char *reply = hsmint_control_call(path, json, CONTROL_TIMEOUT_MS, &error);
	if (!reply)
		*status = report_error(error);
	return reply;
}

enum { OPTION_CONTROL = 256, OPTION_JSON, OPTION_HELP };

static const struct option control_options[] = {
	{"control", required_argument, NULL, OPTION_CONTROL},
	{"json", no_argument, NULL, OPTION_JSON},
	{"help", no_argument, NULL, OPTION_HELP},
	{0},
};

bool control_options_read(int argc, char **argv, const char *help, struct control_options *options, int *status)
{
	int option;
	*options = (struct control_options){0};
	while ((option = getopt_long(argc, argv, "", control_options, NULL)) != -1) {
		if (option == OPTION_CONTROL)
			options->control = optarg;
		else if (option == OPTION_JSON)
			options->json = true;
		else {
			*status = option == OPTION_HELP ? print_line(help) : usage_error(argv[0], "see the options");
			return false;
		}
	}
	return true;
}

int control_command(int argc, char **argv, const char *help, const char *request, int (*print)(const char *reply))
{
	const char *name = argv[0];
	struct control_options options;
	int status = EXIT_FAILED;

	if (!control_options_read(argc, argv, help, &options, &status))
		return status;
	if (optind != argc)
		return usage_error(name, "'%s' is not wanted", argv[optind]);

	char *reply = control_call(options.control, request, name, &status);
	if (!reply)
		return status;
	status = options.json ? print_line(reply) : print ? print(reply) : EXIT_DONE;
	hsmint_text_free(reply);
	return status;
}
