/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char help[] =
	"Usage: hsmint mint jwt (--socket PATH | --url URL --cert FILE --key FILE --ca FILE)\n"
	"           --profile NAME --subject ID --audience AUDIENCE... [OPTION...]\n"
	"\n"
	"Have a JWT minted and print it.\n"
	"\n"
	"  --socket PATH      the service's Unix socket (otherwise HSMINT_SOCKET)\n"
	"  --url URL          the service's address, https://host:port, with:\n"
	"  --cert FILE          the client certificate, PEM\n"
	"  --key FILE           its key, PEM\n"
	"  --ca FILE            the CA to trust for the service, PEM\n"
	"  --profile NAME     the profile that says what may be minted\n"
	"  --subject ID       the agent's SPIFFE ID\n"
	"  --audience TEXT    whom the credential is for; repeat for several\n"
	"  --scope TEXT       scopes, separated by single spaces\n"
	"  --lifetime SECONDS ask for less than the profile's default, or more up to its maximum\n"
	"  --task ID          the task that it is for\n"
	"  --approval ID      an approval of exactly this request, when it needs one\n"
	"  --claims JSON      further claims that the profile lists, as a JSON object\n"
	"  --context K=V      for the service's record, never in the credential; repeat for several\n"
	"  --timeout SECONDS  give up after this long (10)\n"
	"  --json             print the whole reply\n"
	"\n"
	"What others have to approve first is not minted: exit status 1, and which approval is wanted stands on "
	"standard\n"
	"error, with --json on standard output. When it is granted (hsmint approve), the same command with --approval\n"
	"mints.\n"
	"\n"
	"A refusal is told on standard error as 'code: title (field: what would be accepted)'.\n"
	"\n"
	"Example:\n"
	"  hsmint mint jwt --socket run/hsmint.sock --profile demo-access \\\n"
	"      --subject spiffe://demo.test/agent/first --audience https://api.demo.test \\\n"
	"      --scope 'read write' --lifetime 120 --context session=42";

enum {
	OPTION_SOCKET = 256,
	OPTION_URL,
	OPTION_CERT,
	OPTION_KEY,
	OPTION_CA,
	OPTION_PROFILE,
	OPTION_SUBJECT,
	OPTION_AUDIENCE,
	OPTION_SCOPE,
	OPTION_LIFETIME,
	OPTION_TASK,
	OPTION_APPROVAL,
	OPTION_CLAIMS,
	OPTION_CONTEXT,
	OPTION_TIMEOUT,
	OPTION_JSON,
	OPTION_HELP
};

static const struct option options[] = {
	{"socket", required_argument, NULL, OPTION_SOCKET},
	{"url", required_argument, NULL, OPTION_URL},
	{"cert", required_argument, NULL, OPTION_CERT},
	{"key", required_argument, NULL, OPTION_KEY},
	{"ca", required_argument, NULL, OPTION_CA},
	{"profile", required_argument, NULL, OPTION_PROFILE},
	{"subject", required_argument, NULL, OPTION_SUBJECT},
	{"audience", required_argument, NULL, OPTION_AUDIENCE},
	{"scope", required_argument, NULL, OPTION_SCOPE},
	{"lifetime", required_argument, NULL, OPTION_LIFETIME},
	{"task", required_argument, NULL, OPTION_TASK},
	{"approval", required_argument, NULL, OPTION_APPROVAL},
	{"claims", required_argument, NULL, OPTION_CLAIMS},
	{"context", required_argument, NULL, OPTION_CONTEXT},
	{"timeout", required_argument, NULL, OPTION_TIMEOUT},
	{"json", no_argument, NULL, OPTION_JSON},
	{"help", no_argument, NULL, OPTION_HELP},
	{0},
};

struct wanted {
	struct connection connection;
	hsmint_request *request;
	long timeout; /* seconds; 0: the library's */
	bool profile, subject, audience, json, help;
};

/* Each takes one option's argument and returns 0, or says what is wrong and returns EXIT_USAGE. */

static int take_number(struct wanted *wanted, const char *text)
{
	long seconds;
	if (!parse_number(text, 1, INT32_MAX, &seconds))
		return usage_error("mint", "--lifetime takes whole seconds above 0, not '%s'", text);
	if (hsmint_request_number(wanted->request, "lifetime", seconds) < 0)
		return usage_error("mint", "--lifetime is given once");
	return 0;
}

static int take_text(struct wanted *wanted, const char *member, const char *text)
{
	if (hsmint_request_text(wanted->request, member, text) < 0)
		return usage_error("mint", "--%s takes UTF-8 text and is given once", member);
	return 0;
}

static int take_claims(struct wanted *wanted, const char *json)
{
	if (hsmint_request_json(wanted->request, "claims", json) < 0)
		return usage_error("mint", "--claims takes a JSON object and is given once");
	return 0;
}

static int take_context(struct wanted *wanted, const char *pair)
{
	const char *equals = strchr(pair, '=');
	char name[256];
	if (!equals || equals == pair || (size_t)(equals - pair) >= sizeof name)
		return usage_error("mint", "--context takes name=value, not '%s'", pair);
	memcpy(name, pair, (size_t)(equals - pair));
	name[equals - pair] = 0;
	if (hsmint_request_pair(wanted->request, "context", name, equals + 1) < 0)
		return usage_error("mint", "--context takes UTF-8 text and each name once: '%s'", pair);
	return 0;
}

static int take(struct wanted *wanted, int option, const char *argument)
{
	switch (option) {
	case OPTION_SOCKET:
		wanted->connection.socket = argument;
		return 0;
	case OPTION_URL:
		wanted->connection.url = argument;
		return 0;
	case OPTION_CERT:
		wanted->connection.certificate = argument;
		return 0;
	case OPTION_KEY:
		wanted->connection.key = argument;
		return 0;
	case OPTION_CA:
		wanted->connection.ca = argument;
		return 0;
	case OPTION_PROFILE:
		wanted->profile = true;
		return take_text(wanted, "profile", argument);
	case OPTION_SUBJECT:
		wanted->subject = true;
		return take_text(wanted, "subject", argument);
	case OPTION_AUDIENCE:
		wanted->audience = true;
		if (hsmint_request_add(wanted->request, "audience", argument) < 0)
			return usage_error("mint", "--audience takes UTF-8 text");
		return 0;
	case OPTION_SCOPE:
		return take_text(wanted, "scope", argument);
	case OPTION_LIFETIME:
		return take_number(wanted, argument);
	case OPTION_TASK:
		return take_text(wanted, "task", argument);
	case OPTION_APPROVAL:
		return take_text(wanted, "approval", argument);
	case OPTION_CLAIMS:
		return take_claims(wanted, argument);
	case OPTION_CONTEXT:
		return take_context(wanted, argument);
	case OPTION_TIMEOUT:
		if (!parse_number(argument, 1, 3600, &wanted->timeout))
			return usage_error("mint", "--timeout takes 1 to 3600 seconds, not '%s'", argument);
		return 0;
	case OPTION_JSON:
		wanted->json = true;
		return 0;
	case OPTION_HELP:
		wanted->help = true;
		return 0;
	default:
		return usage_error("mint", "see the options"); /* getopt_long has named the one at fault */
	}
}

static int take_all(struct wanted *wanted, int argc, char **argv)
{
	int option;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		int status = take(wanted, option, optarg);
		if (status || wanted->help)
			return status;
	}
	if (argc - optind != 1)
		return usage_error("mint", "one kind of credential is wanted: jwt");
	if (strcmp(argv[optind], "jwt") != 0)
		return usage_error("mint", "there is no kind '%s': jwt", argv[optind]);
	if (!wanted->profile || !wanted->subject || !wanted->audience)
		return usage_error("mint", "--profile, --subject and --audience are needed");
	return 0;
}

/* What the service answered, for programs. */
static void print_approval(const hsmint_error *error)
{
	json_t *reply = json_pack("{s:{s:s, s:s, s:I}}", "approval", "id", hsmint_error_approval(error), "hash",
		hsmint_error_approval_hash(error), "expires_at", (json_int_t)hsmint_error_approval_expires_at(error));
	char *text = reply ? json_dumps(reply, JSON_COMPACT) : NULL;
	if (text)
		(void)print_line(text);
	free(text);
	json_decref(reply);
}

/* For people: how to go on. */
static void explain_approval(const hsmint_error *error)
{
	char until[32];
	struct tm utc;
	const time_t seconds = (time_t)hsmint_error_approval_expires_at(error);
	if (gmtime_r(&seconds, &utc) && strftime(until, sizeof until, "%Y-%m-%dT%H:%M:%SZ", &utc))
		fprintf(stderr, "hsmint: until %s: when it is granted, the same again with --approval %s\n", until,
			hsmint_error_approval(error));
}

static int not_minted(const struct wanted *wanted, hsmint_error *error)
{
	bool wants_approval = *hsmint_error_approval(error);
	if (wants_approval && wanted->json)
		print_approval(error);
	if (wants_approval) {
		fprintf(stderr, "hsmint: %s\n", hsmint_error_message(error));
		explain_approval(error);
		hsmint_error_free(error);
		return EXIT_FAILED;
	}
	return report_error(error);
}

static int mint(const struct wanted *wanted)
{
	int status = EXIT_FAILED;
	hsmint_error *error = NULL;
	hsmint_client *client = connection_open(&wanted->connection, "mint", &status);
	if (!client)
		return status;
	if (wanted->timeout)
		hsmint_client_set_timeout(client, wanted->timeout * 1000);
	hsmint_reply *reply = hsmint_mint(client, "jwt", wanted->request, &error);
	if (reply)
		status = print_line(wanted->json ? hsmint_reply_json(reply) : hsmint_reply_credential(reply));
	else
		status = not_minted(wanted, error);
	hsmint_reply_free(reply);
	hsmint_client_free(client);
	return status;
}

int command_mint(int argc, char **argv)
{
	struct wanted wanted = {.request = hsmint_request_new()};
	int status = take_all(&wanted, argc, argv);
	if (!status)
		status = wanted.help ? print_line(help) : mint(&wanted);
	hsmint_request_free(wanted.request);
	return status;
}
