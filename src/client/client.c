/* SPDX-License-Identifier: Apache-2.0 */
#include "hsmint/client.h"

#include "error.h"
#include "exchange.h"
#include "limits.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

enum {
	TIMEOUT_MS = 10 * 1000,
	/* A kept connection is not used again when the service is about to close it for being idle. */
	KEEP_SECONDS = HM_HTTP_IDLE_SECONDS - 10
};

const char *hsmint_version(void)
{
	return HSMINT_VERSION;
}

static void initialise_curl(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
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
	failed |= curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L); /* what is signed is what is sent */
	client->timeout_ms = TIMEOUT_MS;
	failed |= curl_easy_setopt(curl, CURLOPT_MAXAGE_CONN, (long)KEEP_SECONDS);
	failed |= curl_easy_setopt(curl, CURLOPT_USERAGENT, "libhsmint/" HSMINT_VERSION);
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
	if (!client)
		return NULL;
	client->key_file = strdup(key_file);
	if (client->key_file && set_up_tls(client->curl, certificate_file, key_file, ca_file))
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
	EVP_PKEY_free(client->key);
	free(client->key_file);
	free(client->socket);
	free(client->base);
	free(client);
}
