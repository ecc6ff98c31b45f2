/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a credential broker asks hsmint, with libhsmint:
 *
 *   cc -o broker broker.c $(pkg-config --cflags --libs hsmint)
 *   broker (--socket PATH | --url URL --cert FILE --key FILE --ca FILE)
 *          [--profile NAME] [--subject SPIFFE-ID] [--audience URL] [--scope SCOPE] [--task ID] [--approval ID]
 *          [--within MS] [--count N]
 *
 * Prints each credential on a line of its own. The library keeps one Idempotency-Key for all attempts at a credential,
 * obeys Retry-After within the time it was given, and keeps its connection; so what is left to a broker is what to do
 * with the answer, and to wait for what others have to approve first.
 */
#include <getopt.h>
#include <hsmint/client.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct options {
	const char *socket, *url, *cert, *key, *ca, *profile, *subject, *audience, *scope, *task, *approval;
	long within, count;
};

/* What to tell whoever asked: it can mend the request, come back, or call the operator. */
static void explain(const hsmint_error *error)
{
	const char *what = strcmp(hsmint_error_retry(error), "no") != 0 ? "later it may succeed"
			   : *hsmint_error_approval(error)              ? "ask again with it when it is granted"
			   : hsmint_error_status(error) < 500           ? "mend the request"
									: "tell the operator";
	fprintf(stderr, "broker: %s (%s)\n", hsmint_error_message(error), what);
}

static hsmint_reply *ask(
	hsmint_client *client, const struct options *options, const char *approval, hsmint_error **error)
{
	hsmint_request *request = hsmint_request_new();
	hsmint_request_text(request, "profile", options->profile);
	hsmint_request_text(request, "subject", options->subject);
	hsmint_request_add(request, "audience", options->audience);
	if (options->scope)
		hsmint_request_text(request, "scope", options->scope);
	if (options->task)
		hsmint_request_text(request, "task", options->task);
	if (approval)
		hsmint_request_text(request, "approval", approval);
	/* A broker that must survive its own end too writes a key down first, and sets it: hsmint_request_set_key. */
	hsmint_reply *reply = hsmint_mint(client, "jwt", request, error);
	hsmint_request_free(request);
	return reply;
}

/* Answered as soon as it no longer waits for anybody, after `seconds` at the latest. */
static int wait_for(hsmint_client *client, const char *approval, long seconds, hsmint_error **error)
{
	char path[256];
	snprintf(path, sizeof path, "/v1/approvals/%s?wait=%ld", approval, seconds < 30 ? seconds : 30);
	char *answer = hsmint_get(client, path, NULL, error);
	hsmint_text_free(answer);
	return answer ? 0 : -1;
}

/* `*error` says which approval is wanted. The same request with it is answered with the credential once it is granted.
 */
static hsmint_reply *ask_approved(hsmint_client *client, const struct options *options, hsmint_error **error)
{
	char approval[64];
	const time_t end = time(NULL) + options->within / 1000;
	hsmint_reply *reply = NULL;
	long left;
	snprintf(approval, sizeof approval, "%s", hsmint_error_approval(*error));
	fprintf(stderr, "broker: approval %s is wanted\n", approval);
	while (!reply && (left = (long)(end - time(NULL)) - 1) > 0) { /* a second to ask again */
		hsmint_error_free(*error);
		*error = NULL;
		if (wait_for(client, approval, left, error) == 0)
			reply = ask(client, options, approval, error);
		if (!reply && strcmp(hsmint_error_code(*error), "approval_pending") != 0)
			break;
	}
	return reply;
}

static int mint(hsmint_client *client, const struct options *options)
{
	hsmint_error *error = NULL;
	hsmint_reply *reply = ask(client, options, options->approval, &error);
	if (!reply && *hsmint_error_approval(error))
		reply = ask_approved(client, options, &error);
	if (reply)
		puts(hsmint_reply_credential(reply));
	else
		explain(error);
	int status = reply ? 0 : 1;
	hsmint_reply_free(reply);
	hsmint_error_free(error);
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
		{"audience", 1, NULL, 'd'}, {"scope", 1, NULL, 'o'}, {"task", 1, NULL, 't'}, {"approval", 1, NULL, 'v'},
		{"within", 1, NULL, 'w'}, {"count", 1, NULL, 'n'}, {0}};
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
		case 'o':
			options.scope = optarg;
			break;
		case 't':
			options.task = optarg;
			break;
		case 'v':
			options.approval = optarg;
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
