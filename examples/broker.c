/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a credential broker asks hsmint, with libhsmint:
 *
 *   cc -o broker broker.c $(pkg-config --cflags --libs hsmint)
 *   broker (--socket PATH | --url URL --cert FILE --key FILE --ca FILE)
 *          [--profile NAME] [--subject SPIFFE-ID] [--audience URL] [--within MS] [--count N]
 *
 * Prints each credential on a line of its own. The library keeps one Idempotency-Key for all attempts at a credential,
 * obeys Retry-After within the time it was given, and keeps its connection; so what is left to a broker is what to do
 * with the answer.
 */
#include <getopt.h>
#include <hsmint/client.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct options {
	const char *socket, *url, *cert, *key, *ca, *profile, *subject, *audience;
	long within, count;
};

/* What to tell whoever asked: it can mend the request, come back, or call the operator. */
static void explain(const hsmint_error *error)
{
	const char *what = strcmp(hsmint_error_retry(error), "no") != 0 ? "later it may succeed"
			   : hsmint_error_status(error) < 500           ? "mend the request"
									: "tell the operator";
	fprintf(stderr, "broker: %s (%s)\n", hsmint_error_message(error), what);
}

static int mint(hsmint_client *client, const struct options *options)
{
	hsmint_error *error = NULL;
	hsmint_request *request = hsmint_request_new();
	hsmint_request_text(request, "profile", options->profile);
	hsmint_request_text(request, "subject", options->subject);
	hsmint_request_add(request, "audience", options->audience);
	/* A broker that must survive its own end too writes a key down first, and sets it: hsmint_request_set_key. */
	hsmint_reply *reply = hsmint_mint(client, "jwt", request, &error);
	if (reply)
		puts(hsmint_reply_credential(reply));
	else
		explain(error);
	int status = reply ? 0 : 1;
	hsmint_reply_free(reply);
	hsmint_error_free(error);
	hsmint_request_free(request);
	return status;
}

/* A first answer tells that the service is there: from then on the library waits for it when it restarts. */
static int greet(hsmint_client *client)
{
	hsmint_error *error = NULL;
	char *health = hsmint_get(client, "/healthz", NULL, &error);
	if (!health)
		explain(error);
	int status = health ? 0 : 1;
	hsmint_text_free(health);
	hsmint_error_free(error);
	return status;
}

static struct options parse(int argc, char **argv)
{
	static const struct option flags[] = {{"socket", 1, NULL, 's'}, {"url", 1, NULL, 'u'}, {"cert", 1, NULL, 'c'},
		{"key", 1, NULL, 'k'}, {"ca", 1, NULL, 'a'}, {"profile", 1, NULL, 'p'}, {"subject", 1, NULL, 'j'},
		{"audience", 1, NULL, 'd'}, {"within", 1, NULL, 'w'}, {"count", 1, NULL, 'n'}, {0}};
	struct options options = {.profile = "demo-access",
		.subject = "spiffe://demo.test/agent/first",
		.audience = "https://api.demo.test",
		.within = 10000,
		.count = 1};
	for (int flag; (flag = getopt_long(argc, argv, "", flags, NULL)) != -1;) {
		switch (flag) {
		case 's':
			options.socket = optarg;
			break;
		case 'u':
			options.url = optarg;
			break;
		case 'c':
			options.cert = optarg;
			break;
		case 'k':
			options.key = optarg;
			break;
		case 'a':
			options.ca = optarg;
			break;
		case 'p':
			options.profile = optarg;
			break;
		case 'j':
			options.subject = optarg;
			break;
		case 'd':
			options.audience = optarg;
			break;
		case 'w':
			options.within = strtol(optarg, NULL, 10);
			break;
		case 'n':
			options.count = strtol(optarg, NULL, 10);
			break;
		default:
			exit(2);
		}
	}
	if (!options.socket == !options.url) {
		fputs("broker: either --socket, or --url with --cert, --key and --ca\n", stderr);
		exit(2);
	}
	return options;
}

int main(int argc, char **argv)
{
	struct options options = parse(argc, argv);
	hsmint_error *error = NULL;
	hsmint_client *client =
		options.socket ? hsmint_client_unix(options.socket, &error)
			       : hsmint_client_https(options.url, options.cert, options.key, options.ca, &error);
	if (!client) {
		explain(error);
		hsmint_error_free(error);
		return 1;
	}
	hsmint_client_set_timeout(client, options.within);
	int status = greet(client);
	for (long i = 0; i < options.count && status == 0; i++)
		status = mint(client, &options);
	hsmint_client_free(client);
	return status;
}
