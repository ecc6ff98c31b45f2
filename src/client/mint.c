/* SPDX-License-Identifier: Apache-2.0 */
/* Asking for a credential, as often as the time allows. */
#include "base64url.h"
#include "error.h"
#include "exchange.h"
#include "limits.h"
#include "reply.h"
#include "request.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

enum {
	REPLY_MAX = 1024 * 1024, /* a credential is far smaller */
	EARLY_MS = 50,
	PAUSE_FIRST_MS = 10, /* between attempts; doubles */
	PAUSE_MAX_MS = 1000,
	KEY_BYTES = 16
};

/* What a caller wants, over all attempts at it. */
struct call {
	const char *path, *json;
	int64_t end_ms; /* on the monotonic clock */
	char key[HM_IDEMPOTENCY_KEY_MAX + 1];
};

/* The service answers a little before we give up, so that its reason is heard. NULL: no memory. */
static struct curl_slist *headers_of(const struct call *call)
{
	struct curl_slist *headers = NULL;
	char key[sizeof call->key + 32], deadline[48];
	long left_ms = (long)(call->end_ms - exchange_now_ms());
	left_ms = left_ms > 0 ? left_ms : 1;
	long early_ms = left_ms / 10 < EARLY_MS ? left_ms / 10 : EARLY_MS;
	long told_ms = left_ms - early_ms < HM_HTTP_DEADLINE_MAX_MS ? left_ms - early_ms : HM_HTTP_DEADLINE_MAX_MS;
	snprintf(key, sizeof key, "Idempotency-Key: %s", call->key);
	snprintf(deadline, sizeof deadline, "Deadline-Ms: %ld", told_ms);
	return exchange_add_header(&headers, key) && exchange_add_header(&headers, deadline) ? headers : NULL;
}

static bool ask(hsmint_client *client, const struct call *call, struct answer *answer, hsmint_error **error)
{
	struct exchange exchange = {.target = call->path,
		.is_post = true,
		.json = call->json,
		.headers = headers_of(call),
		.most = REPLY_MAX,
		.end_ms = call->end_ms};
	if (exchange.headers)
		return exchange_run(client, &exchange, answer, error);
	error_make(error, "client_memory", "request");
	return false;
}

/* How long to wait before the next attempt; -1: another one is of no use. */
static long wait_ms(const hsmint_client *client, const hsmint_error *error, long *pause_ms)
{
	const char *code = hsmint_error_code(error), *retry = hsmint_error_retry(error);
	bool is_own = strncmp(code, "client_", 7) == 0;
	bool may_help = strcmp(retry, "after") == 0 || strcmp(retry, "same-key") == 0;
	if (!may_help || strcmp(code, "client_timeout") == 0 || (is_own && !client->was_answered))
		return -1;
	if (hsmint_error_retry_after(error) > 0)
		return hsmint_error_retry_after(error) * 1000;
	long wait = *pause_ms;
	*pause_ms = wait * 2 < PAUSE_MAX_MS ? wait * 2 : PAUSE_MAX_MS;
	return wait;
}

static void sleep_ms(long milliseconds)
{
	struct timespec time = {.tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1000000};
	while (nanosleep(&time, &time) < 0 && errno == EINTR)
		;
}

/* As many attempts as the time allows. */
static bool ask_until(hsmint_client *client, const struct call *call, struct answer *answer, hsmint_error **error)
{
	hsmint_error *last = NULL;
	long pause_ms = PAUSE_FIRST_MS, wait;
	for (;;) {
		hsmint_error *failure = NULL;
		if (ask(client, call, answer, &failure)) {
			hsmint_error_free(last);
			return true;
		}
		if (last && strcmp(hsmint_error_code(failure), "client_timeout") == 0) {
			hsmint_error_free(failure); /* it says less than what was heard before */
			break;
		}
		hsmint_error_free(last);
		last = failure;
		wait = wait_ms(client, last, &pause_ms);
		if (wait < 0 || exchange_now_ms() + wait >= call->end_ms)
			break;
		sleep_ms(wait);
	}
	if (error)
		*error = last;
	else
		hsmint_error_free(last);
	return false;
}

static bool choose_key(struct call *call, const hsmint_request *request, hsmint_error **error)
{
	uint8_t random[KEY_BYTES];
	snprintf(call->key, sizeof call->key, "%s", request_key(request));
	if (call->key[0])
		return true;
	if (getrandom(random, sizeof random, 0) != sizeof random) {
		error_make(error, "client_memory", "key");
		return false;
	}
	call->key[base64url_encode(random, sizeof random, call->key)] = 0;
	return true;
}

hsmint_reply *hsmint_mint(hsmint_client *client, const char *kind, const hsmint_request *request, hsmint_error **error)
{
	char path[64];
	struct answer answer = {0};
	if (!client || !kind || !*kind || kind[strspn(kind, "abcdefghijklmnopqrstuvwxyz0123456789")] ||
		snprintf(path, sizeof path, "/v1/mint/%s", kind) >= (int)sizeof path) {
		error_make(error, "client_argument", "a client, and a kind such as \"jwt\"");
		return NULL;
	}
	char *json = request_text(request, error);
	if (!json)
		return NULL;
	struct call call = {.path = path, .json = json, .end_ms = exchange_now_ms() + client->timeout_ms};
	bool answered = choose_key(&call, request, error) && ask_until(client, &call, &answer, error);
	free(json);
	return answered ? reply_parse(&answer, error) : NULL;
}
