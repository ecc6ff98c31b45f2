/* SPDX-License-Identifier: Apache-2.0 */
#include "exchange.h"

#include "error.h"
#include "limits.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* An answer's body while it arrives, and what is known of its head. */
struct body {
	char *text;
	size_t length, most;
	bool too_long;
	bool headed; /* the head before it is complete */
	bool is_once, is_sent;
};

static size_t receive(char *data, size_t one, size_t length, void *context)
{
	struct body *body = context;
	(void)one; /* always 1 */
	if (length > body->most - body->length) {
		body->too_long = true;
		return 0;
	}
	char *text = realloc(body->text, body->length + length + 1);
	if (!text)
		return 0;
	memcpy(text + body->length, data, length);
	body->text = text;
	body->length += length;
	text[body->length] = 0;
	return length;
}

/* libcurl takes a connection that ends within the head for the end of the answer. */
static size_t receive_head(char *line, size_t one, size_t length, void *context)
{
	struct body *body = context;
	(void)one; /* always 1 */
	if (length > 5 && memcmp(line, "HTTP/", 5) == 0)
		body->headed = false; /* a status 100 may have come before */
	else if (line[0] == '\r' || line[0] == '\n')
		body->headed = true;
	return length;
}

/* Before each time that libcurl sends a request. */
static int on_sending(void *context, char *peer, char *own, int peer_port, int own_port)
{
	struct body *body = context;
	(void)peer, (void)own, (void)peer_port, (void)own_port;
	bool is_again = body->is_sent;
	body->is_sent = true;
	return is_again && body->is_once ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

static const char *code_of(CURLcode failure)
{
	switch (failure) {
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_CONNECT:
		return "client_unreachable";
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CIPHER:
		return "client_tls";
	case CURLE_OPERATION_TIMEDOUT:
		return "client_timeout";
	case CURLE_GOT_NOTHING:
	case CURLE_ABORTED_BY_CALLBACK: /* it would have been sent again */
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR: /* with TLS 1.3 also a client certificate that the service refused */
	case CURLE_PARTIAL_FILE:
		return "client_lost";
	case CURLE_OUT_OF_MEMORY:
		return "client_memory";
	case CURLE_URL_MALFORMAT:
		return "client_argument";
	default:
		return "client_reply";
	}
}

static void report(const hsmint_client *client, CURLcode failure, const struct body *body, hsmint_error **error)
{
	long system_error = 0;
	curl_easy_getinfo(client->curl, CURLINFO_OS_ERRNO, &system_error);
	if (failure == CURLE_COULDNT_CONNECT && client->socket)
		error_make(error, "client_unreachable", "%s: %s", client->socket, strerror((int)system_error));
	else if (body->too_long)
		error_make(error, "client_reply", "at most %zu bytes", body->most);
	else if (failure == CURLE_WRITE_ERROR)
		error_make(error, "client_memory", "answer");
	else
		error_make(error, code_of(failure), "%s",
			client->detail[0] ? client->detail : curl_easy_strerror(failure));
}

/* An answer other than 200: a problem, or what a server in front says without one. */
static void report_status(CURL *curl, int status, const struct body *body, hsmint_error **error)
{
	curl_off_t retry_after = 0;
	curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &retry_after);
	json_t *problem = json_loadb(body->text ? body->text : "", body->length, JSON_REJECT_DUPLICATES, NULL);
	if (!error_from_problem(error, problem, status, (long)retry_after))
		error_from_status(error, status, (long)retry_after);
	json_decref(problem);
}

int64_t exchange_now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool exchange_add_header(struct curl_slist **headers, const char *header)
{
	struct curl_slist *longer = curl_slist_append(*headers, header);
	if (!longer)
		curl_slist_free_all(*headers);
	*headers = longer;
	return longer;
}

/* Of a POST: a body has its type, and nothing waits for "100 Continue", which costs a round trip. */
static bool set_body(CURL *curl, struct exchange *exchange)
{
	const char *type = exchange->json ? "Content-Type: application/json" : "Content-Type:"; /* none */
	if (!exchange_add_header(&exchange->headers, type) || !exchange_add_header(&exchange->headers, "Expect:"))
		return false;
	curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, exchange->json ? (long)strlen(exchange->json) : 0L);
	curl_easy_setopt(curl, CURLOPT_POSTFIELDS, exchange->json ? exchange->json : "");
	return true;
}

static bool set_exchange(
	const hsmint_client *client, struct exchange *exchange, struct body *body, hsmint_error **error)
{
	long left_ms = (long)(exchange->end_ms - exchange_now_ms());
	char url[HM_URL_MAX + HM_HTTP_MAX_PATH];
	CURL *curl = client->curl;
	int wanted = snprintf(url, sizeof url, "%s%s", client->base, exchange->target);
	if (wanted < 0 || (size_t)wanted >= sizeof url) {
		error_make(error, "client_argument", "a URL of at most %zu bytes", sizeof url - 1);
		return false;
	}
	curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L);
	if (exchange->is_post && !set_body(curl, exchange)) {
		error_make(error, "client_memory", "request");
		return false;
	}
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, exchange->headers);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, left_ms > 0 ? left_ms : 1L);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, receive);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, receive_head);
	curl_easy_setopt(curl, CURLOPT_PREREQFUNCTION, on_sending);
	curl_easy_setopt(curl, CURLOPT_PREREQDATA, body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, body);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, body);
	if (curl_easy_setopt(curl, CURLOPT_URL, url) == CURLE_OK) /* which is copied */
		return true;
	error_make(error, "client_memory", "request");
	return false;
}

static bool perform(hsmint_client *client, const struct body *body, int *status, hsmint_error **error)
{
	long code = 0;
	client->detail[0] = 0;
	CURLcode failure = curl_easy_perform(client->curl);
	curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &code);
	*status = (int)code;
	client->was_answered |= failure == CURLE_OK;
	if (failure != CURLE_OK)
		report(client, failure, body, error);
	else if (!body->headed)
		error_make(error, "client_lost", "the answer ends within its head");
	else if (code < 200 || code > 299)
		report_status(client->curl, *status, body, error);
	else
		return true;
	return false;
}

bool exchange_run(hsmint_client *client, struct exchange *exchange, struct answer *answer, hsmint_error **error)
{
	struct body body = {.most = exchange->most, .is_once = exchange->is_once};
	bool answered = set_exchange(client, exchange, &body, error) && perform(client, &body, &answer->status, error);
	curl_easy_setopt(client->curl, CURLOPT_HTTPHEADER, NULL);
	curl_slist_free_all(exchange->headers);
	exchange->headers = NULL;
	if (!answered) {
		free(body.text);
		return false;
	}
	answer->text = body.text;
	answer->length = body.length;
	return true;
}
