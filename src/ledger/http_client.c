/* SPDX-License-Identifier: Apache-2.0 */
#include "http_client.h"

#include "limits.h"
#include <ctype.h>
#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { CONNECT_SECONDS = 5, WHOLE_SECONDS = 20 };

struct http_client {
	CURL *curl;
	struct curl_slist *headers; /* of a POST */
	char base[HM_URL_MAX];
	char detail[CURL_ERROR_SIZE];
};

/* A body while it arrives. */
struct body {
	char *bytes;
	size_t length, most;
	bool is_too_long;
};

static void initialise_curl(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* ---- opening ---- */

static const char *after(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0 ? text + strlen(prefix) : NULL;
}

/* Its host is this machine, by an address that only means it. */
static bool is_loopback(const char *authority)
{
	static const char *const hosts[] = {"127.0.0.1", "[::1]", "localhost"};
	for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
		const char *rest = after(authority, hosts[i]);
		if (rest && (*rest == 0 || *rest == ':' || *rest == '/'))
			return true;
	}
	return false;
}

static hm_result set_base(struct http_client *client, const char *url, struct hm_problem *why)
{
	const char *plain = after(url, "http://"), *secure = after(url, "https://");
	const char *authority = secure ? secure : plain;
	if (!authority || !*authority || *authority == '/' || strpbrk(url, "?#@ ") || (plain && !is_loopback(plain)))
		return hm_refuse(why, "config", NULL,
			"%s: a URL that begins with https://, or http:// on 127.0.0.1, without query and user", url);
	size_t length = strlen(url);
	while (url[length - 1] == '/')
		length--;
	if (length >= sizeof client->base)
		return hm_refuse(why, "config", NULL, "a URL has at most %zu bytes", sizeof client->base - 1);
	memcpy(client->base, url, length);
	client->base[length] = 0;
	return HM_OK;
}

static size_t receive(char *data, size_t one, size_t length, void *context)
{
	struct body *body = context;
	(void)one; /* always 1 */
	body->is_too_long = length > body->most - body->length;
	char *bytes = body->is_too_long ? NULL : realloc(body->bytes, body->length + length + 1);
	if (!bytes)
		return 0;
	memcpy(bytes + body->length, data, length);
	body->bytes = bytes;
	body->length += length;
	bytes[body->length] = 0;
	return length;
}

/* RFC 9111, section 5.2.2 */
static void read_cache_control(const char *value, long *max_age)
{
	static const char age[] = "max-age=";
	for (; *value; value += strcspn(value, ","), value += *value == ',') {
		value += strspn(value, " \t");
		if (strncasecmp(value, "no-store", 8) == 0 || strncasecmp(value, "no-cache", 8) == 0) {
			*max_age = 0;
			return;
		}
		if (strncasecmp(value, age, sizeof age - 1) == 0 && isdigit((unsigned char)value[sizeof age - 1]))
			*max_age = strtol(value + sizeof age - 1, NULL, 10);
	}
}

static long max_age_of(CURL *curl)
{
	struct curl_header *header;
	long max_age = -1;
	for (size_t i = 0; curl_easy_header(curl, "Cache-Control", i, CURLH_HEADER, -1, &header) == CURLHE_OK; i++)
		read_cache_control(header->value, &max_age);
	return max_age;
}

static int stops(void *context, curl_off_t down, curl_off_t downloaded, curl_off_t up, curl_off_t uploaded)
{
	const atomic_bool *stop = context;
	(void)down, (void)downloaded, (void)up, (void)uploaded;
	return atomic_load(stop);
}

/* Nothing of the environment or of files may steer it. */
static bool set_up(struct http_client *client)
{
	CURL *curl = client->curl;
	CURLcode failed = CURLE_OK;
	failed |= curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, client->detail);
	failed |= curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, after(client->base, "https://") ? "https" : "http");
	failed |= curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	failed |= curl_easy_setopt(curl, CURLOPT_PROXY, "");
	failed |= curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
	failed |= curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
	failed |= curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)WHOLE_SECONDS);
	failed |= curl_easy_setopt(curl, CURLOPT_USERAGENT, "hsmint/" HSMINT_VERSION);
	failed |= curl_easy_setopt(curl, CURLOPT_ACCEPT_ENCODING, ""); /* all that libcurl knows */
	failed |= curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, receive);
	return failed == CURLE_OK;
}

static bool set_identity(CURL *curl, const struct http_identity *identity)
{
	CURLcode failed = CURLE_OK;
	failed |= curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	failed |= curl_easy_setopt(curl, CURLOPT_KEYPASSWD, ""); /* or OpenSSL would ask at the terminal */
	if (identity && identity->ca) {
		failed |= curl_easy_setopt(curl, CURLOPT_CAINFO, identity->ca);
		failed |= curl_easy_setopt(curl, CURLOPT_CAPATH, NULL); /* not the system's as well */
	}
	if (identity && identity->certificate) {
		failed |= curl_easy_setopt(curl, CURLOPT_SSLCERT, identity->certificate);
		failed |= curl_easy_setopt(curl, CURLOPT_SSLKEY, identity->key);
	}
	return failed == CURLE_OK;
}

static bool set_way(struct http_client *client, const struct http_way *way)
{
	char header[128];
	CURLcode failed = CURLE_OK;
	const char *type = way->content_type ? way->content_type : "text/plain; charset=utf-8";
	snprintf(header, sizeof header, "Content-Type: %s", type);
	client->headers = curl_slist_append(NULL, header);
	if (way->socket)
		failed |= curl_easy_setopt(client->curl, CURLOPT_UNIX_SOCKET_PATH, way->socket);
	if (way->whole_ms)
		failed |= curl_easy_setopt(client->curl, CURLOPT_TIMEOUT_MS, way->whole_ms);
	if (way->stop) {
		failed |= curl_easy_setopt(client->curl, CURLOPT_NOPROGRESS, 0L);
		failed |= curl_easy_setopt(client->curl, CURLOPT_XFERINFOFUNCTION, stops);
		failed |= curl_easy_setopt(client->curl, CURLOPT_XFERINFODATA, (void *)way->stop);
	}
	return client->headers && failed == CURLE_OK;
}

static hm_result open_client(struct http_client *client, const char *url, const struct http_identity *identity,
	const struct http_way *way, struct hm_problem *why)
{
	HM_TRY(set_base(client, url, why));
	client->curl = curl_easy_init();
	if (!client->curl || !set_up(client) || !set_identity(client->curl, identity) || !set_way(client, way))
		return hm_unavailable(why, "system", "no memory for an HTTP client");
	return HM_OK;
}

hm_result http_client_open(
	const char *url, const struct http_identity *identity, struct http_client **client, struct hm_problem *why)
{
	static const struct http_way usual;
	return http_client_open_by(url, identity, &usual, client, why);
}

hm_result http_client_open_by(const char *url, const struct http_identity *identity, const struct http_way *way,
	struct http_client **client, struct hm_problem *why)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, initialise_curl);
	*client = calloc(1, sizeof **client);
	hm_result result = *client ? open_client(*client, url, identity, way, why)
				   : hm_unavailable(why, "system", "no memory for an HTTP client");
	if (result == HM_OK)
		return HM_OK;
	http_client_close(*client);
	*client = NULL;
	return result;
}

void http_client_close(struct http_client *client)
{
	if (!client)
		return;
	curl_easy_cleanup(client->curl);
	curl_slist_free_all(client->headers);
	free(client);
}

/* ---- asking ---- */

static hm_result perform(
	struct http_client *client, const char *path, size_t most, struct http_answer *answer, struct hm_problem *why)
{
	char url[HM_URL_MAX + HM_HTTP_MAX_PATH];
	struct body body = {.most = most};
	long status = 0;
	char *type = NULL;
	*answer = (struct http_answer){.status = 0};
	if (snprintf(url, sizeof url, "%s%s", client->base, path) >= (int)sizeof url)
		return hm_refuse(why, "ledger", NULL, "%s: path too long", client->base);
	client->detail[0] = 0;
	curl_easy_setopt(client->curl, CURLOPT_URL, url);
	curl_easy_setopt(client->curl, CURLOPT_WRITEDATA, &body);
	CURLcode failure = curl_easy_perform(client->curl);
	curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(client->curl, CURLINFO_CONTENT_TYPE, &type);
	if (failure == CURLE_OK && !body.bytes)
		body.bytes = calloc(1, 1);
	if (failure != CURLE_OK || !body.bytes) {
		free(body.bytes);
		if (body.is_too_long)
			return hm_unavailable(why, "ledger", "%s: an answer of more than %zu bytes", url, most);
		return hm_unavailable(
			why, "ledger", "%s: %s", url, client->detail[0] ? client->detail : curl_easy_strerror(failure));
	}
	*answer = (struct http_answer){
		.status = (int)status, .body = body.bytes, .length = body.length, .max_age = max_age_of(client->curl)};
	if (type && strlen(type) < sizeof answer->type)
		memcpy(answer->type, type, strlen(type) + 1);
	return HM_OK;
}

hm_result http_get(
	struct http_client *client, const char *path, size_t most, struct http_answer *answer, struct hm_problem *why)
{
	curl_easy_setopt(client->curl, CURLOPT_HTTPGET, 1L);
	curl_easy_setopt(client->curl, CURLOPT_HTTPHEADER, NULL);
	return perform(client, path, most, answer, why);
}

hm_result http_post(struct http_client *client, const char *path, const void *body, size_t length, size_t most,
	struct http_answer *answer, struct hm_problem *why)
{
	curl_easy_setopt(client->curl, CURLOPT_POST, 1L);
	curl_easy_setopt(client->curl, CURLOPT_POSTFIELDS, body);
	curl_easy_setopt(client->curl, CURLOPT_POSTFIELDSIZE, (long)length);
	curl_easy_setopt(client->curl, CURLOPT_HTTPHEADER, client->headers);
	return perform(client, path, most, answer, why);
}

void http_answer_free(struct http_answer *answer)
{
	free(answer->body);
	*answer = (struct http_answer){.status = 0};
}
