/* SPDX-License-Identifier: Apache-2.0 */
#include "hsmint/client.h"

#include "base64url.h"
#include "error.h"
#include "limits.h"
#include "reply.h"
#include "request.h"
#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/un.h>
#include <time.h>

enum {
	REPLY_MAX = 1024 * 1024,         /* a credential is far smaller */
	DOCUMENT_MAX = 16 * 1024 * 1024, /* what gate can hold */
	TIMEOUT_MS = 10 * 1000,
	EARLY_MS = 50,
	PAUSE_FIRST_MS = 10, /* between attempts; doubles */
	PAUSE_MAX_MS = 1000,
	KEY_BYTES = 16,
	/* A kept connection is not used again when the service is about to close it for being idle. */
	KEEP_SECONDS = HM_HTTP_IDLE_SECONDS - 10
};

struct hsmint_client {
	CURL *curl;
	char *base;   /* "http://localhost" on a socket, otherwise the URL */
	char *socket; /* its path, NULL with a URL */
	char detail[CURL_ERROR_SIZE];
	long timeout_ms;
	bool was_answered; /* by whatever serves there, once */
};

/* An answer's body while it arrives, and what is known of its head. */
struct body {
	char *text;
	size_t length, most;
	bool too_long;
	bool headed; /* the head before it is complete */
};

const char *hsmint_version(void)
{
	return HSMINT_VERSION;
}

static void initialise_curl(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
}

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

/* What holds for every request of a client. Nothing of the user's environment or files may steer it. */
static bool set_up(hsmint_client *client, const char *protocol)
{
	CURL *curl = client->curl;
	CURLcode failed = CURLE_OK;
	failed |= curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, client->detail);
	failed |= curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, protocol);
	failed |= curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	failed |= curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	failed |= curl_easy_setopt(curl, CURLOPT_PROXY, "");
	failed |= curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
	client->timeout_ms = TIMEOUT_MS;
	failed |= curl_easy_setopt(curl, CURLOPT_MAXAGE_CONN, (long)KEEP_SECONDS);
	failed |= curl_easy_setopt(curl, CURLOPT_USERAGENT, "libhsmint/" HSMINT_VERSION);
	failed |= curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, receive);
	failed |= curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, receive_head);
	return failed == CURLE_OK;
}

static bool set_up_tls(CURL *curl, const char *certificate, const char *key, const char *ca)
{
	CURLcode failed = CURLE_OK;
	failed |= curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_3);
	failed |= curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L);
	failed |= curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L);
	failed |= curl_easy_setopt(curl, CURLOPT_CAINFO, ca);
	failed |= curl_easy_setopt(curl, CURLOPT_CAPATH, NULL); /* not the system's as well */
	failed |= curl_easy_setopt(curl, CURLOPT_SSLCERT, certificate);
	failed |= curl_easy_setopt(curl, CURLOPT_SSLKEY, key);
	failed |= curl_easy_setopt(curl, CURLOPT_KEYPASSWD, ""); /* or OpenSSL would ask at the terminal */
	return failed == CURLE_OK;
}

static hsmint_client *client_new(const char *base, const char *protocol, hsmint_error **error)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, initialise_curl);

	hsmint_client *client = calloc(1, sizeof *client);
	if (client) {
		client->base = strdup(base);
		client->curl = curl_easy_init();
	}
	if (client && client->base && client->curl && set_up(client, protocol))
		return client;
	hsmint_client_free(client);
	error_make(error, "client_memory", "client");
	return NULL;
}

hsmint_client *hsmint_client_unix(const char *socket_path, hsmint_error **error)
{
	const size_t most = sizeof((struct sockaddr_un *)NULL)->sun_path - 1;
	if (!socket_path || !*socket_path || strlen(socket_path) > most) {
		error_make(error, "client_argument", "the path of a Unix socket, at most %zu bytes", most);
		return NULL;
	}
	hsmint_client *client = client_new("http://localhost", "http", error);
	if (!client)
		return NULL;
	client->socket = strdup(socket_path);
	if (client->socket && curl_easy_setopt(client->curl, CURLOPT_UNIX_SOCKET_PATH, socket_path) == CURLE_OK)
		return client;
	hsmint_client_free(client);
	error_make(error, "client_memory", "client");
	return NULL;
}

/* "https://host:port", perhaps with a slash behind, which is dropped. NULL: something else. */
static char *base_url(const char *url)
{
	static const char scheme[] = "https://";
	if (!url || strncmp(url, scheme, sizeof scheme - 1) != 0)
		return NULL;
	size_t host = strcspn(url + sizeof scheme - 1, "/?#@");
	const char *rest = url + sizeof scheme - 1 + host;
	if (!host || (strcmp(rest, "") != 0 && strcmp(rest, "/") != 0))
		return NULL;
	return strndup(url, (size_t)(rest - url));
}

hsmint_client *hsmint_client_https(
	const char *url, const char *certificate_file, const char *key_file, const char *ca_file, hsmint_error **error)
{
	if (!certificate_file || !key_file || !ca_file) {
		error_make(error, "client_argument", "https needs a certificate, a key and a CA file");
		return NULL;
	}
	char *base = base_url(url);
	if (!base) {
		error_make(error, "client_argument", "a URL like https://host:port, without a path");
		return NULL;
	}
	hsmint_client *client = client_new(base, "https", error);
	free(base);
	if (!client || set_up_tls(client->curl, certificate_file, key_file, ca_file))
		return client;
	hsmint_client_free(client);
	error_make(error, "client_memory", "client");
	return NULL;
}

void hsmint_client_set_timeout(hsmint_client *client, long milliseconds)
{
	if (client)
		client->timeout_ms = milliseconds > 0 ? milliseconds : 1;
}

void hsmint_client_free(hsmint_client *client)
{
	if (!client)
		return;
	curl_easy_cleanup(client->curl);
	free(client->socket);
	free(client->base);
	free(client);
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

/* What a caller wants of a call, over all its attempts. */
struct call {
	const char *path;
	const char *json; /* the body; NULL: it is a GET, and has no key */
	int64_t end_ms;   /* on the monotonic clock */
	char key[HM_IDEMPOTENCY_KEY_MAX + 1];
};

static int64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static struct curl_slist *append(struct curl_slist *headers, const char *header)
{
	struct curl_slist *longer = headers ? curl_slist_append(headers, header) : NULL;
	if (!longer)
		curl_slist_free_all(headers);
	return longer;
}

/* The service answers a little before we give up, so that its reason is heard. NULL: no memory. */
static struct curl_slist *headers_of(const struct call *call, long left_ms)
{
	char key[sizeof call->key + 32], deadline[48];
	long early_ms = left_ms / 10 < EARLY_MS ? left_ms / 10 : EARLY_MS;
	long told_ms = left_ms - early_ms < HM_HTTP_DEADLINE_MAX_MS ? left_ms - early_ms : HM_HTTP_DEADLINE_MAX_MS;
	snprintf(key, sizeof key, "Idempotency-Key: %s", call->key);
	snprintf(deadline, sizeof deadline, "Deadline-Ms: %ld", told_ms);
	struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
	headers = append(headers, "Expect:"); /* waiting for "100 Continue" costs a round trip */
	headers = append(headers, key);
	return append(headers, deadline);
}

/* One attempt. True: status 200, and `body` is the caller's. */
static bool ask(hsmint_client *client, const struct call *call, struct body *body, hsmint_error **error)
{
	long left_ms = (long)(call->end_ms - now_ms());
	const char *path = call->path, *json = call->json;
	char url[HM_URL_MAX + HM_HTTP_MAX_PATH];
	CURL *curl = client->curl;
	int wanted = snprintf(url, sizeof url, "%s%s", client->base, path);
	if (wanted < 0 || (size_t)wanted >= sizeof url) {
		error_make(error, "client_argument", "a URL of at most %zu bytes", sizeof url - 1);
		return false;
	}
	left_ms = left_ms > 0 ? left_ms : 1;
	struct curl_slist *headers = json ? headers_of(call, left_ms) : NULL;
	if (json && !headers) {
		error_make(error, "client_memory", "request");
		return false;
	}
	client->detail[0] = 0;
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, left_ms);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, body);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, body);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	if (json) {
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)strlen(json));
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, json);
	} else {
		curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L);
	}

	CURLcode failure = curl_easy_perform(curl);
	long status = 0;
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	curl_slist_free_all(headers);
	client->was_answered |= failure == CURLE_OK;
	if (failure != CURLE_OK)
		report(client, failure, body, error);
	else if (!body->headed)
		error_make(error, "client_lost", "the answer ends within its head");
	else if (status != 200)
		report_status(curl, (int)status, body, error);
	else
		return true;
	free(body->text);
	body->text = NULL;
	body->length = 0;
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
static bool ask_until(hsmint_client *client, const struct call *call, struct body *body, hsmint_error **error)
{
	hsmint_error *last = NULL;
	long pause_ms = PAUSE_FIRST_MS, wait;
	for (;;) {
		hsmint_error *failure = NULL;
		if (ask(client, call, body, &failure)) {
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
		if (wait < 0 || now_ms() + wait >= call->end_ms)
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
	struct body body = {.most = REPLY_MAX};
	if (!client || !kind || !*kind || kind[strspn(kind, "abcdefghijklmnopqrstuvwxyz0123456789")] ||
		snprintf(path, sizeof path, "/v1/mint/%s", kind) >= (int)sizeof path) {
		error_make(error, "client_argument", "a client, and a kind such as \"jwt\"");
		return NULL;
	}
	char *json = request_text(request, error);
	if (!json)
		return NULL;
	struct call call = {.path = path, .json = json, .end_ms = now_ms() + client->timeout_ms};
	bool answered = choose_key(&call, request, error) && ask_until(client, &call, &body, error);
	free(json);
	return answered ? reply_parse(body.text, body.length, error) : NULL;
}

char *hsmint_get(hsmint_client *client, const char *path, size_t *length, hsmint_error **error)
{
	struct body body = {.most = DOCUMENT_MAX};
	if (!client || !path || *path != '/') {
		error_make(error, "client_argument", "a client, and a path that begins with \"/\"");
		return NULL;
	}
	struct call call = {.path = path, .end_ms = now_ms() + client->timeout_ms};
	if (!ask(client, &call, &body, error))
		return NULL;
	if (!body.text && !(body.text = calloc(1, 1))) {
		error_make(error, "client_memory", "answer");
		return NULL;
	}
	if (length)
		*length = body.length;
	return body.text;
}

void hsmint_text_free(char *text)
{
	free(text);
}
