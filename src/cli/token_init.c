/* SPDX-License-Identifier: Apache-2.0 */
#include "token_init.h"

#include "options.h"
#include "token_admin.h"
#include <getopt.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
	"Usage: hsmint token init --module PATH --label LABEL --pin FILE --so-pin FILE [--environment NAME=VALUE]...\n"
	"\n"
	"Initialise a blank token of a PKCS#11 module: give it its label, the security officer's PIN and the user's "
	"PIN.\n"
	"A token that is initialised already is left alone. The PINs are read from files that their owner alone may "
	"read,\n"
	"at most 256 bytes, by hsmint-token. It leaves an empty file token-start.lock beside the user's PIN.\n"
	"\n"
	"  --module PATH             the PKCS#11 module\n"
	"  --label LABEL             what the token is to be called, at most 32 bytes\n"
	"  --pin FILE                the user's PIN, with which the service will log in\n"
	"  --so-pin FILE             the security officer's PIN\n"
	"  --environment NAME=VALUE  set before the module is loaded; may be repeated\n"
	"\n"
	"Example:\n"
	"  hsmint token init --module /usr/lib/softhsm/libsofthsm2.so --label agents --pin pin --so-pin so.pin\n"
	"\n"
	"hsm/softhsm, hsm/tpm and hsm/remote have scripts that do all of it.";

enum { OPTION_MODULE = 256, OPTION_LABEL, OPTION_PIN, OPTION_SO_PIN, OPTION_ENVIRONMENT, OPTION_HELP };

static const struct option options[] = {
	{"module", required_argument, NULL, OPTION_MODULE},
	{"label", required_argument, NULL, OPTION_LABEL},
	{"pin", required_argument, NULL, OPTION_PIN},
	{"so-pin", required_argument, NULL, OPTION_SO_PIN},
	{"environment", required_argument, NULL, OPTION_ENVIRONMENT},
	{"help", no_argument, NULL, OPTION_HELP},
	{0},
};

struct request {
	struct token_config token;
	char so_pin[HM_PATH_MAX];
};

/* False: it is too long, or empty. */
static bool take(char *to, size_t size, const char *text)
{
	size_t length = strlen(text);
	if (length == 0 || length >= size)
		return false;
	memcpy(to, text, length + 1);
	return true;
}

static bool take_environment(struct token_config *token, const char *text)
{
	const char *equals = strchr(text, '=');
	return equals && equals != text && token->environment_count < HM_TOKEN_ENVIRONMENT_MAX &&
	       take(token->environment[token->environment_count++], sizeof *token->environment, text);
}

static bool take_option(struct request *request, int option, const char *value)
{
	struct token_config *token = &request->token;
	switch (option) {
	case OPTION_MODULE:
		return take(token->module, sizeof token->module, value);
	case OPTION_LABEL:
		return take(token->label, sizeof token->label, value);
	case OPTION_PIN:
		return take(token->pin_file, sizeof token->pin_file, value);
	case OPTION_SO_PIN:
		return take(request->so_pin, sizeof request->so_pin, value);
	case OPTION_ENVIRONMENT:
		return take_environment(token, value);
	default:
		return false;
	}
}

/* The lock of hsmint-token, which a service would have in its state directory, lies beside the PIN. */
static void choose_state(struct token_config *token)
{
	char path[HM_PATH_MAX];
	memcpy(path, token->pin_file, sizeof path);
	snprintf(token->state, sizeof token->state, "%s", dirname(path));
}

static hm_result initialise(const struct request *request, struct hm_problem *why)
{
	struct token_admin *admin = token_admin_open(&request->token, why);
	if (!admin)
		return HM_UNAVAILABLE;
	hm_result result = token_admin_init(admin, request->so_pin, why);
	token_admin_close(admin);
	return result;
}

int command_token_init(int argc, char **argv)
{
	static struct request request = {.token = {.name = "init", .login = LOGIN_FILE, .threads = 1, .user_type = 1}};
	struct hm_problem why;
	int option;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == OPTION_HELP)
			return print_line(help);
		if (option == '?' || option == ':')
			return usage_error("token init", "see the options");
		if (!take_option(&request, option, optarg))
			return usage_error("token init", "'%s' is empty, too long or not of this form", optarg);
	}
	if (optind != argc)
		return usage_error("token init", "'%s' is not wanted", argv[optind]);
	const struct token_config *token = &request.token;
	if (!token->module[0] || !token->label[0] || !token->pin_file[0] || !request.so_pin[0])
		return usage_error("token init", "--module, --label, --pin and --so-pin are needed");
	choose_state(&request.token);
	if (initialise(&request, &why) == HM_OK)
		return EXIT_DONE;
	fprintf(stderr, "hsmint: %s\n", why.detail);
	return EXIT_FAILED;
}
